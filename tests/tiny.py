"""A Phi-4-multimodal small enough for tests, with every structural feature of the real one.

Six query heads on two key heads, rotary over three quarters of a head, long factors that take over after 48
tokens, both encoders, both projectors, both adapters. Weights are random but fixed by a seed; everything that
transformers initialises with zeros or ones (norms, separators, LoRA B) is random too, so that a graph that
leaves it out gives other numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import Phi4MultimodalConfig, Phi4MultimodalForCausalLM

from models.export.tokenizer import byte_tokenizer, tokenizer_config

Model = Any  # transformers' classes look typed and are not
ORIGINAL_LENGTH = 48
VOCABULARY = 320
ADAPTERS = {"vision": (4, 8.0), "speech": (6, 12.0)}  # rank, alpha
TARGETS = r"model.layers.\d+.((self_attn.(qkv|o)_proj)|(mlp.(gate_up|down)_proj))"
LAYERS = 3


def tiny_config(**changes: Any) -> Phi4MultimodalConfig:
    """The configuration; ``changes`` replace top-level values."""
    rotary = 48  # 64 a head, three quarters of it
    values: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 384,
        "intermediate_size": 256,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "original_max_position_embeddings": ORIGINAL_LENGTH,
        "partial_rotary_factor": 0.75,
        "tie_word_embeddings": True,
        "rope_scaling": {
            "type": "longrope",
            "short_factor": [1.0 + 0.005 * i for i in range(rotary // 2)],
            "long_factor": [1.0 + 0.4 * i for i in range(rotary // 2)],
        },
        "bos_token_id": 256,
        "eos_token_id": [257, 256],
        "pad_token_id": 256,
        "vision_config": {
            "hidden_size": 48,
            "intermediate_size": 80,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_token_id": 258,
        },
        "audio_config": {
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_blocks": 2,
            "num_attention_heads": 4,
            "ext_pw_out_channel": 64,
            "depthwise_separable_out_channel": 64,
            "nemo_conv_channels": 16,
            "bias_max_distance": 20,
            "audio_token_id": 259,
        },
    }
    return Phi4MultimodalConfig(**{**values, **changes})


def tiny_model(seed: int = 0, **changes: Any) -> Model:
    """The reference model in eager attention, float32, evaluation mode."""
    torch.manual_seed(seed)
    config = tiny_config(**changes)
    config._attn_implementation = "eager"
    model: Model = Phi4MultimodalForCausalLM(config)
    model.eval()
    with torch.no_grad():
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            if name.endswith(("norm.weight", "norm1.weight", "norm2.weight", "norm_att.weight", "invstd")):
                tensor.copy_(1 + 0.2 * torch.randn_like(tensor))
            elif tensor.dim() == 1 or "_GN" in name or "extensor" in name or ".glu.b" in name:
                if "inv_freq" not in name:
                    tensor.copy_(0.2 * torch.randn_like(tensor))
            else:
                fan_in = tensor[0].numel() if tensor.dim() > 1 else 1
                tensor.copy_(torch.randn_like(tensor) * fan_in**-0.5)
    return model


def tiny_adapters(model: Model, seed: int = 1) -> dict[str, dict[str, torch.Tensor]]:
    """LoRA matrices for both modalities: ``{name: {"<module>.lora_A.weight": tensor}}``."""
    generator = torch.Generator().manual_seed(seed)
    adapters: dict[str, dict[str, torch.Tensor]] = {}
    for name, (rank, _) in ADAPTERS.items():
        tensors = {}
        for module, weight in projections(model).items():
            out, inner = weight.shape
            tensors[f"{module}.lora_A.weight"] = torch.randn(rank, inner, generator=generator) * inner**-0.5
            tensors[f"{module}.lora_B.weight"] = torch.randn(out, rank, generator=generator) * 0.1
        adapters[name] = tensors
    return adapters


def projections(model: Model) -> dict[str, torch.Tensor]:
    """The four adapted matrices of each layer by module path."""
    names = ("qkv_proj.weight", "o_proj.weight", "gate_up_proj.weight", "down_proj.weight")
    return {
        name.removesuffix(".weight"): tensor
        for name, tensor in model.named_parameters()
        if name.startswith("model.layers.") and name.endswith(names)
    }


def merge(model: Model, adapter: Mapping[str, torch.Tensor], scale: float) -> None:
    """Add ``scale * B @ A`` to the weights; call it again with ``-scale`` to take it back."""
    with torch.no_grad():
        for module, weight in projections(model).items():
            weight.add_(adapter[f"{module}.lora_B.weight"] @ adapter[f"{module}.lora_A.weight"], alpha=scale)


def state(model: Model) -> dict[str, torch.Tensor]:
    """What ``save_pretrained`` would store: everything but the tied head."""
    return {n: t.detach().clone() for n, t in model.state_dict().items() if n != "lm_head.weight"}


def save_tokenizer(folder: Path) -> None:
    """A byte-level tokenizer whose placeholders have the ids that genai expects."""
    for name, content in (
        ("tokenizer.json", byte_tokenizer(VOCABULARY)),
        ("tokenizer_config.json", tokenizer_config()),
    ):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


def save_checkpoint(
    folder: Path,
    model: Model,
    adapters: Mapping[str, dict[str, torch.Tensor]],
    shards: int = 1,
) -> Path:
    """Store in transformers' layout: one file or several with an index, adapters as PEFT folders."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(model.config.to_json_string(use_diff=False), encoding="utf-8")
    tensors = state(model)
    if shards == 1:
        save_file(tensors, folder / "model.safetensors")
    else:
        index: dict[str, str] = {}
        for part in range(shards):
            file = f"model-{part + 1:05}-of-{shards:05}.safetensors"
            chosen = {n: t for i, (n, t) in enumerate(tensors.items()) if i % shards == part}
            save_file(chosen, folder / file)
            index |= dict.fromkeys(chosen, file)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    for name, matrices in adapters.items():
        save_lora(folder / f"{name}-lora", matrices, *ADAPTERS[name])
    save_tokenizer(folder)
    return folder


def save_lora(folder: Path, matrices: Mapping[str, torch.Tensor], rank: int, alpha: float) -> None:
    """Store one adapter as PEFT does."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": TARGETS,
        "bias": "none",
    }
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    save_file({f"base_model.model.{n}": t for n, t in matrices.items()}, folder / "adapter_model.safetensors")


def save_original(folder: Path, model: Model, adapters: Mapping[str, dict[str, torch.Tensor]]) -> Path:
    """Store the same weights under the original repository's names and configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    adapted = set(projections(model))
    tensors = {original_name(n, adapted): t for n, t in state(model).items()}
    for name, matrices in adapters.items():
        for key, tensor in matrices.items():
            tensors[key.replace(".weight", f".{name}.weight")] = tensor
    save_file(tensors, folder / "model.safetensors")
    config = model.config.to_dict()
    audio, vision, rope = config["audio_config"], config["vision_config"], config["rope_parameters"]
    kept = [
        *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
        *("num_key_value_heads", "max_position_embeddings", "original_max_position_embeddings"),
        *(
            "rms_norm_eps",
            "tie_word_embeddings",
            "bos_token_id",
            "eos_token_id",
            "pad_token_id",
            "hidden_act",
        ),
    ]
    original = {name: config[name] for name in kept} | {
        "model_type": "phi4mm",
        "sliding_window": 262144,
        "attention_bias": False,
        "rope_theta": rope["rope_theta"],
        "partial_rotary_factor": rope["partial_rotary_factor"],
        "rope_scaling": {
            "type": "longrope",
            "short_factor": rope["short_factor"],
            "long_factor": rope["long_factor"],
        },
        "vision_config": {k: v for k, v in vision.items() if k not in ("model_type", "hidden_act")},
        "embd_layer": {
            "embedding_cls": "image_audio",
            "image_embd_layer": {
                "crop_size": 448,
                "hd_transform_order": "sub_glb",
                "image_token_compression_cls": "avg_pool_2d",
                "projection_cls": "mlp",
                "use_hd_transform": True,
                "with_learnable_separator": True,
            },
            "audio_embd_layer": {"downsample_rate": 1, "projection_cls": "mlp", "use_qformer": False},
        },
        "audio_processor": {
            "name": "cascades",
            "config": {
                "attention_dim": audio["hidden_size"],
                "attention_heads": audio["num_attention_heads"],
                "linear_units": audio["intermediate_size"],
                "num_blocks": audio["num_blocks"],
                "ext_pw_out_channel": audio["ext_pw_out_channel"],
                "depthwise_seperable_out_channel": audio["depthwise_separable_out_channel"],
                "depthwise_multiplier": 1,
                "kernel_size": 3,
                "input_size": 80,
                "time_reduction": 8,
                "input_layer": "nemo_conv",
                "nemo_conv_settings": {"conv_channels": audio["nemo_conv_channels"]},
                "relative_attention_bias_args": {"t5_bias_max_distance": audio["bias_max_distance"]},
                "chunk_size": -1,
                "left_chunk": 18,
                "audio_token_id": audio["audio_token_id"],
            },
        },
    }
    for name in adapters:
        rank, alpha = ADAPTERS[name]
        original[f"{name}_lora"] = {"r": rank, "lora_alpha": alpha, "layer": TARGETS, "dp": 0.0}
    (folder / "config.json").write_text(json.dumps(original))
    save_tokenizer(folder)
    return folder


def original_name(name: str, adapted: set[str]) -> str:
    """The name the original repository gives to one of transformers' tensors."""
    module = name.removesuffix(".weight")
    if module in adapted:
        return f"{module}.base_layer.weight"
    for new, old in (
        ("image_embed.global_img_feature_extensor", "image_embed.glb_GN"),
        ("image_embed.sub_img_feature_extensor", "image_embed.sub_GN"),
        ("image_embed.img_projection_up", "image_embed.img_projection.0"),
        ("image_embed.img_projection_down", "image_embed.img_projection.2"),
        ("audio_embed.up_proj_for_speech", "audio_embed.audio_projection.speech.0"),
        ("audio_embed.down_proj_for_speech", "audio_embed.audio_projection.speech.2"),
        ("audio_embed.up_proj_for_vision_speech", "audio_embed.audio_projection.vision.0"),
        ("audio_embed.down_proj_for_vision_speech", "audio_embed.audio_projection.vision.2"),
    ):
        name = name.replace(new, old)
    if "audio_embed.encoder.encoders." in name:
        for new, old in (
            (".gate_up_proj", ".net.0.linear"),
            (".down_proj", ".net.2"),
            (".q_proj", ".linear_q"),
            (".k_proj", ".linear_k"),
            (".v_proj", ".linear_v"),
            (".o_proj", ".linear_out"),
        ):
            name = name.replace(new, old)
    return name


def logits(model: Model, embeddings: np.ndarray[Any, np.dtype[np.float32]]) -> Any:
    """The reference's logits at the last position for inputs_embeds [1, S, hidden]."""
    with torch.no_grad():
        output = model(inputs_embeds=torch.from_numpy(embeddings), use_cache=False, logits_to_keep=1)
    return output.logits[:, -1:].numpy()
