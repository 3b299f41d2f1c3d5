"""The package's JSON files: ``genai_config.json``, the two processors, and ``aside.json``.

Keys and values are those that onnxruntime-genai 0.18 reads for a model of type ``phi4mm``.
"""

from __future__ import annotations

from typing import Any

from models.config import Phi4MMConfig
from models.errors import CheckpointError

CROP = 448
PATCH = 14
MELS = 80
FRAMES_PER_TOKEN = 8


def check_processors(config: Phi4MMConfig) -> None:
    """Raise CheckpointError where genai's media processors can't serve this architecture."""
    vision, audio = config.vision, config.audio
    for what, value, wanted in (
        ("crop_size", vision.crop_size, CROP),
        ("image_size", vision.image_size, CROP),
        ("patch_size", vision.patch_size, PATCH),
        ("input_size", audio.input_size, MELS),
        ("time_reduction", audio.time_reduction, FRAMES_PER_TOKEN),
    ):
        if value != wanted:
            raise CheckpointError(
                f"config.json says {what} is {value}; onnxruntime-genai's processors need {wanted}.",
                "Such a checkpoint can't become a package.",
            )


def genai_config(config: Phi4MMConfig) -> dict[str, Any]:
    """``genai_config.json``.

    The search length stops at the switch to the long factors: genai's generator would allocate the whole
    context at once (34 GB at real size), and it does not recompute its cache at the switch.
    """
    length = min(config.max_position_embeddings, config.original_max_position_embeddings)
    return {
        "model": {
            "type": "phi4mm",
            "bos_token_id": config.bos_token_id,
            "eos_token_id": list(config.eos_token_ids),
            "pad_token_id": config.pad_token_id,
            "context_length": config.max_position_embeddings,
            "vocab_size": config.vocab_size,
            "decoder": {
                # the default of adapter_mode makes onnxruntime warn at each load; 3 is errors only
                "session_options": {"log_id": "aside", "log_severity_level": 3, "provider_options": []},
                "filename": "phi-4-mm-text.onnx",
                "head_size": config.head_dim,
                "hidden_size": config.hidden_size,
                "num_attention_heads": config.heads,
                "num_hidden_layers": config.layers,
                "num_key_value_heads": config.kv_heads,
                "inputs": {
                    "inputs_embeds": "inputs_embeds",
                    "attention_mask": "attention_mask",
                    "past_key_names": "past_key_values.%d.key",
                    "past_value_names": "past_key_values.%d.value",
                },
                "outputs": {
                    "logits": "logits",
                    "present_key_names": "present.%d.key",
                    "present_value_names": "present.%d.value",
                },
            },
            "vision": {
                "filename": "phi-4-mm-vision.onnx",
                "config_filename": "vision_processor.json",
                "inputs": {
                    "pixel_values": "pixel_values",
                    "attention_mask": "image_attention_mask",
                    "image_sizes": "image_sizes",
                },
                "outputs": {"image_features": "image_features"},
            },
            "speech": {
                "filename": "phi-4-mm-speech.onnx",
                "config_filename": "speech_processor.json",
                "inputs": {
                    "audio_embeds": "audio_embeds",
                    "attention_mask": "audio_attention_mask",
                    "audio_sizes": "audio_sizes",
                    "audio_projection_mode": "audio_projection_mode",
                },
                "outputs": {"audio_features": "audio_features"},
            },
            "embedding": {
                "filename": "phi-4-mm-embedding.onnx",
                "inputs": {
                    "input_ids": "input_ids",
                    "image_features": "image_features",
                    "audio_features": "audio_features",
                },
                "outputs": {"inputs_embeds": "inputs_embeds"},
            },
        },
        "search": {
            "do_sample": False,
            "early_stopping": True,
            "max_length": length,
            "min_length": 0,
            "num_beams": 1,
            "num_return_sequences": 1,
            "past_present_share_buffer": True,
            "repetition_penalty": 1.0,
            "temperature": 1.0,
            "top_k": 1,
            "top_p": 1.0,
        },
    }


def vision_processor(dynamic_hd: int = 36) -> dict[str, Any]:
    """``vision_processor.json``; ``dynamic_hd`` is the most crops a picture is cut into."""
    steps: list[tuple[str, str, dict[str, Any] | None, list[str] | None]] = [
        ("decode_image", "DecodeImage", {"color_space": "RGB"}, None),
        (
            "phi4_vision_dynamic_preprocess",
            "Phi4VisionDynamicPreprocess",
            {"dynamic_hd": dynamic_hd, "dyhd_base_resolution": CROP},
            None,
        ),
        ("rescale", "Rescale", None, [":0"]),
        ("normalize", "Normalize", {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}, None),
        (
            "phi4_vision_processor",
            "Phi4VisionProcessor",
            {"dyhd_base_resolution": CROP, "interpolation": "CUBIC"},
            [":0", "phi4_vision_dynamic_preprocess:1"],
        ),
    ]
    transforms = [
        {
            "operation": {"name": name, "type": kind}
            | ({"inputs": inputs} if inputs else {})
            | ({"attrs": attributes} if attributes else {})
        }
        for name, kind, attributes, inputs in steps
    ]
    return {
        "processor": {
            "name": "phi_4_vision_processor",
            "transforms": transforms,
            "output_aligner": "phi4-vision-aligner",
        }
    }


def speech_processor() -> dict[str, Any]:
    """``speech_processor.json``: 80 log-mel bands, 100 frames a second, from 16 kHz or 8 kHz sound."""
    attributes: dict[str, Any] = {"audio_compression_rate": FRAMES_PER_TOKEN}
    for suffix, transform, rate in (("", 512, 16_000), ("_8k", 256, 8_000)):
        attributes |= {
            f"stft_normal{suffix}/n_fft": transform,
            f"stft_normal{suffix}/frame_length": rate // 40,
            f"stft_normal{suffix}/hop_length": rate // 100,
            f"stft_normal{suffix}/win_fn": "hamming",
            f"logmel{suffix}/chunk_size": 30,
            f"logmel{suffix}/hop_length": rate // 100,
            f"logmel{suffix}/n_fft": 512,
            f"logmel{suffix}/n_mel": MELS,
            f"logmel{suffix}/feature_first": 0,
            f"logmel{suffix}/no_padding": 1,
        }
    decode = {
        "name": "audio_decoder",
        "type": "AudioDecoderEx",
        "attrs": {"target_sample_rates": [8000, 16000]},
    }
    embed = {"name": "phi_4_audio_embed", "type": "Phi4AudioEmbed", "attrs": attributes}
    return {
        "feature_extraction": {
            "sequence": [{"operation": decode}, {"operation": embed}],
            "output_aligner": "phi4-audio-aligner",
        }
    }
