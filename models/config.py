"""The architecture of a Phi-4-multimodal checkpoint, read from its ``config.json``.

Two layouts exist: transformers' own (``model_type`` phi4_multimodal) and that of the original repository
(phi4mm), which nests the encoders in ``embd_layer`` and ``audio_processor`` and keeps the vision tower's
sizes in its code. Both become the same frozen dataclasses. What the exporter can't express is an error here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import CheckpointError

IMAGE_TOKEN = 200010  # fixed in genai's processor, whatever the checkpoint says
AUDIO_TOKEN = 200011


@dataclass(frozen=True)
class VisionConfig:
    """SigLIP tower: square crops of ``image_size`` pixels in patches of ``patch_size``."""

    hidden_size: int = 1152
    intermediate_size: int = 4304
    layers: int = 27
    heads: int = 16
    channels: int = 3
    image_size: int = 448
    patch_size: int = 14
    layer_norm_eps: float = 1e-6
    crop_size: int = 448
    image_token_id: int = IMAGE_TOKEN
    feature_layer: int = -2

    @property
    def patches_per_side(self) -> int:
        """Patches along one side of a crop."""
        return self.image_size // self.patch_size

    @property
    def layers_used(self) -> int:
        """Encoder layers that the features depend on: hidden state 0 is the embeddings' output."""
        return self.layers + 1 + self.feature_layer if self.feature_layer < 0 else self.feature_layer


@dataclass(frozen=True)
class AudioConfig:
    """Conformer encoder over log-mel frames, subsampled ``time_reduction`` times by strided convolutions."""

    hidden_size: int = 1024
    intermediate_size: int = 1536
    blocks: int = 24
    heads: int = 16
    ext_pw_out_channel: int = 1024
    depthwise_separable_out_channel: int = 1024
    depthwise_multiplier: int = 1
    kernel_size: int = 3
    input_size: int = 80
    time_reduction: int = 8
    bias_max_distance: int = 500
    bias_symmetric: bool = False
    conv_channels: int = 1024
    chunk_size: int = -1
    left_chunk: int = 18
    downsample_rate: int = 1
    audio_token_id: int = AUDIO_TOKEN

    @property
    def subsampled_input_size(self) -> int:
        """Mel bands left after the strided convolutions."""
        size = self.input_size
        for _ in range(self.convolutions):
            size = (size - 1) // 2 + 1
        return size

    @property
    def convolutions(self) -> int:
        """Strided convolutions, each halving time and frequency."""
        return round(math.log2(self.time_reduction))

    @property
    def bias_buckets(self) -> int:
        """Rows of the relative attention bias table."""
        return self.bias_max_distance * (1 if self.bias_symmetric else 2)


@dataclass(frozen=True)
class RopeConfig:
    """Rotary position embedding over the first ``rotary_dim`` of a head, with LongRoPE factors.

    ``short_factor`` applies up to ``original_max_position_embeddings`` tokens, ``long_factor`` beyond;
    each has ``rotary_dim // 2`` numbers, all 1.0 when the checkpoint uses plain RoPE.
    """

    theta: float
    rotary_dim: int
    short_factor: tuple[float, ...]
    long_factor: tuple[float, ...]
    attention_factor: float


@dataclass(frozen=True)
class AdapterConfig:
    """Rank and alpha of a LoRA as the original layout's config.json gives them."""

    rank: int
    alpha: float


@dataclass(frozen=True)
class Phi4MMConfig:
    """Everything the exporter needs to know about a checkpoint."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    rms_norm_eps: float
    tied_embeddings: bool
    max_position_embeddings: int
    original_max_position_embeddings: int
    bos_token_id: int
    eos_token_ids: tuple[int, ...]
    pad_token_id: int
    rope: RopeConfig
    vision: VisionConfig
    audio: AudioConfig
    adapters: Mapping[str, AdapterConfig] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Phi4MMConfig:
        """Parse ``folder/config.json``; raise CheckpointError when it is missing, damaged or unsupported."""
        path = folder / "config.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CheckpointError(
                f"{folder} has no config.json.", "Give the folder of a checkpoint."
            ) from None
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{path} can't be read: {error}.", "Download the checkpoint again."
            ) from error
        if not isinstance(values, dict):
            raise CheckpointError(f"{path} is not a JSON object.", "Download the checkpoint again.")
        return cls.parse(values)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Phi4MMConfig:
        """Build the configuration from the parsed JSON of either layout."""
        kind = values.get("model_type")
        try:
            if kind == "phi4_multimodal":
                vision, audio = _vision(values["vision_config"]), _audio(values["audio_config"])
            elif kind == "phi4mm":
                vision, audio = _original_encoders(values)
            else:
                raise CheckpointError(
                    f"The checkpoint's model_type is {kind!r}, not phi4_multimodal or phi4mm.",
                    "Only Phi-4-multimodal checkpoints can be exported.",
                )
            return _language_model(values, vision, audio)
        except KeyError as error:
            raise CheckpointError(f"config.json has no {error}.", "Download the checkpoint again.") from error
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"config.json has a wrong value: {error}.", "Download it again.") from error


def _language_model(values: Mapping[str, Any], vision: VisionConfig, audio: AudioConfig) -> Phi4MMConfig:
    _expect(values, "hidden_act", "silu")
    for name in ("attention_bias", "mlp_bias", "lm_head_bias"):
        _expect(values, name, False)
    context = int(values["max_position_embeddings"])
    window = values.get("sliding_window")
    if window is not None and window < context:
        raise _unsupported("sliding_window", window)
    heads, hidden = int(values["num_attention_heads"]), int(values["hidden_size"])
    head_dim = int(values.get("head_dim") or hidden // heads)
    kv_heads = int(values.get("num_key_value_heads") or heads)
    if heads % kv_heads:
        raise _unsupported("num_key_value_heads", kv_heads)
    original = int(values.get("original_max_position_embeddings") or context)
    eos = values.get("eos_token_id")
    if values["model_type"] == "phi4mm" and isinstance(eos, int):
        eos = [eos, 200020]  # the original names only <|endoftext|>; <|end|> is in its generation_config.json
    stops = [eos] if isinstance(eos, int) else list(eos or [199999, 200020])
    lora = {name: values.get(f"{name}_lora") or {} for name in ("vision", "speech")}
    bos = values.get("bos_token_id")
    pad = values.get("pad_token_id")
    return Phi4MMConfig(
        vocab_size=int(values["vocab_size"]),
        hidden_size=hidden,
        intermediate_size=int(values["intermediate_size"]),
        layers=int(values["num_hidden_layers"]),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        rms_norm_eps=float(values.get("rms_norm_eps", 1e-5)),
        tied_embeddings=bool(values.get("tie_word_embeddings", False)),
        max_position_embeddings=context,
        original_max_position_embeddings=original,
        bos_token_id=199999 if bos is None else int(bos),
        eos_token_ids=tuple(int(i) for i in stops),
        pad_token_id=199999 if pad is None else int(pad),
        rope=_rope(values, head_dim, context, original),
        vision=vision,
        audio=audio,
        adapters={
            name: AdapterConfig(int(lora[name]["r"]), float(lora[name]["lora_alpha"]))
            for name in lora
            if lora[name]
        },
    )


def _rope(values: Mapping[str, Any], head_dim: int, context: int, original: int) -> RopeConfig:
    given = values.get("rope_parameters") or values.get("rope_scaling") or {}
    theta = float(given.get("rope_theta") or values.get("rope_theta") or 10000.0)
    partial = given.get("partial_rotary_factor") or values.get("partial_rotary_factor") or 1.0
    rotary_dim = int(head_dim * float(partial))
    if rotary_dim % 2:
        raise _unsupported("partial_rotary_factor", partial)
    kind = given.get("rope_type") or given.get("type") or "default"
    ones = (1.0,) * (rotary_dim // 2)
    if kind == "default":
        return RopeConfig(theta, rotary_dim, ones, ones, 1.0)
    if kind not in ("longrope", "su"):
        raise _unsupported("rope_type", kind)
    short = tuple(float(f) for f in given["short_factor"])
    long = tuple(float(f) for f in given["long_factor"])
    for name, factors in (("short_factor", short), ("long_factor", long)):
        if len(factors) != rotary_dim // 2:
            raise CheckpointError(
                f"{name} in config.json has {len(factors)} numbers, {rotary_dim // 2} are needed.",
                "Download the checkpoint again.",
            )
    attention = given.get("attention_factor")
    if attention is None:
        # LongRoPE (arXiv 2402.13753), the scaling of cos and sin that Phi-3 and Phi-4 are trained with
        factor = float(given.get("factor") or context / original)
        attention = 1.0 if factor <= 1.0 else math.sqrt(1.0 + math.log(factor) / math.log(original))
    return RopeConfig(theta, rotary_dim, short, long, float(attention))


def _vision(values: Mapping[str, Any]) -> VisionConfig:
    _expect(values, "hidden_act", "gelu_pytorch_tanh")
    default = VisionConfig()
    for name in ("image_size", "patch_size"):
        if not isinstance(values.get(name, 1), int):
            raise _unsupported(f"vision_config.{name}", values[name])
    vision = VisionConfig(
        hidden_size=int(values.get("hidden_size", default.hidden_size)),
        intermediate_size=int(values.get("intermediate_size", default.intermediate_size)),
        layers=int(values.get("num_hidden_layers", default.layers)),
        heads=int(values.get("num_attention_heads", default.heads)),
        channels=int(values.get("num_channels", default.channels)),
        image_size=int(values.get("image_size", default.image_size)),
        patch_size=int(values.get("patch_size", default.patch_size)),
        layer_norm_eps=float(values.get("layer_norm_eps", default.layer_norm_eps)),
        crop_size=int(values.get("crop_size", default.crop_size)),
        image_token_id=int(values.get("image_token_id", default.image_token_id)),
        feature_layer=int(values.get("feature_layer", default.feature_layer)),
    )
    if not 0 <= vision.layers_used <= vision.layers:
        raise _unsupported("vision_config.feature_layer", vision.feature_layer)
    return vision


def _audio(values: Mapping[str, Any]) -> AudioConfig:
    for name, value in (("activation", "swish"), ("conv_activation", "swish"), ("conv_glu_type", "swish")):
        _expect(values, name, value)
    _expect(values, "nemo_activation", "relu")
    default = AudioConfig()
    audio = AudioConfig(
        hidden_size=int(values.get("hidden_size", default.hidden_size)),
        intermediate_size=int(values.get("intermediate_size", default.intermediate_size)),
        blocks=int(values.get("num_blocks", default.blocks)),
        heads=int(values.get("num_attention_heads", default.heads)),
        ext_pw_out_channel=int(values.get("ext_pw_out_channel", default.ext_pw_out_channel)),
        depthwise_separable_out_channel=int(
            values.get("depthwise_separable_out_channel", default.depthwise_separable_out_channel)
        ),
        depthwise_multiplier=int(values.get("depthwise_multiplier", default.depthwise_multiplier)),
        kernel_size=int(values.get("kernel_size", default.kernel_size)),
        input_size=int(values.get("input_size", default.input_size)),
        time_reduction=int(values.get("time_reduction", default.time_reduction)),
        bias_max_distance=int(
            values.get("bias_max_distance", 1000)
        ),  # transformers' default, not the model's 500
        bias_symmetric=bool(values.get("bias_symmetric", False)),
        conv_channels=int(values.get("nemo_conv_channels", default.conv_channels)),
        chunk_size=int(values.get("chunk_size", default.chunk_size)),
        left_chunk=int(values.get("left_chunk", default.left_chunk)),
        downsample_rate=int(values.get("downsample_rate", default.downsample_rate)),
        audio_token_id=int(values.get("audio_token_id", default.audio_token_id)),
    )
    if audio.time_reduction != 2**audio.convolutions:
        raise _unsupported("audio_config.time_reduction", audio.time_reduction)
    if audio.downsample_rate != 1:
        raise _unsupported("audio_config.downsample_rate", audio.downsample_rate)
    return audio


def _original_encoders(values: Mapping[str, Any]) -> tuple[VisionConfig, AudioConfig]:
    """Translate the original repository's nested names; its vision tower is always SigLIP-400M."""
    images, sounds = values["embd_layer"]["image_embd_layer"], values["embd_layer"]["audio_embd_layer"]
    for name, value in (
        ("use_hd_transform", True),
        ("hd_transform_order", "sub_glb"),
        ("with_learnable_separator", True),
        ("image_token_compression_cls", "avg_pool_2d"),
        ("projection_cls", "mlp"),
    ):
        _expect(images, name, value)
    for name, value in (("projection_cls", "mlp"), ("use_conv_downsample", False), ("use_qformer", False)):
        _expect(sounds, name, value)
    encoder = dict(values["audio_processor"]["config"])
    for name, value in (
        ("input_layer", "nemo_conv"),
        ("cnn_layer_norm", True),
        ("bias_in_glu", True),
        ("causal", True),
    ):
        _expect(encoder, name, value)
    encoder["hidden_size"] = encoder["attention_dim"]
    encoder["num_attention_heads"] = encoder["attention_heads"]
    encoder["intermediate_size"] = encoder["linear_units"]
    encoder["nemo_conv_channels"] = encoder["nemo_conv_settings"]["conv_channels"]
    encoder["bias_max_distance"] = encoder["relative_attention_bias_args"]["t5_bias_max_distance"]
    # the original spells it wrongly
    encoder["depthwise_separable_out_channel"] = encoder["depthwise_seperable_out_channel"]
    encoder["downsample_rate"] = sounds.get("downsample_rate", 1)
    tower = values.get("vision_config", {})  # not in Microsoft's file; a smaller checkpoint gives its sizes
    return _vision({**tower, "crop_size": images.get("crop_size", 448)}), _audio(encoder)


def _expect(values: Mapping[str, Any], name: str, wanted: object) -> None:
    if values.get(name, wanted) != wanted:
        raise _unsupported(name, values[name])


def _unsupported(name: str, value: object) -> CheckpointError:
    return CheckpointError(
        f"config.json says {name} is {value!r}, which the exporter does not support.",
        "Use an unmodified Phi-4-multimodal checkpoint.",
    )
