"""The tensors of a checkpoint: their canonical names (transformers' own), shapes, and the original's names.

The original repository (``phi4mm``) stores the same tensors under other names, with the LoRA matrices in the
same files; ``canonical`` states which is which. The correspondence was confirmed, name by name, against
transformers' ``convert_phi4_multimodal_weights_to_hf.py``, and the modules behind the old names (``glb_GN``,
``sub_GN``, ``img_projection``, ``audio_projection``) against Microsoft's ``modeling_phi4mm.py``.
"""

from __future__ import annotations

import re

from models.config import AudioConfig, Phi4MMConfig, VisionConfig

Shape = tuple[int, ...]

IMAGE = "model.embed_tokens_extend.image_embed"
TOWER = f"{IMAGE}.img_processor"
AUDIO = "model.embed_tokens_extend.audio_embed"
ENCODER = f"{AUDIO}.encoder"
ADAPTED = ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj")

_FEED_FORWARD = re.compile(r"\.feed_forward_(in|out)\.net\.(0\.linear|2)\.")
_SPEECH_ATTENTION = re.compile(r"\.self_attn\.linear_(q|k|v|out)\.")
_ADAPTER = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])(?:\.(?P<name>\w+))?\.weight")
_RENAMED = {
    f"{IMAGE}.glb_GN": f"{IMAGE}.global_img_feature_extensor",
    f"{IMAGE}.sub_GN": f"{IMAGE}.sub_img_feature_extensor",
    f"{IMAGE}.img_projection.0.": f"{IMAGE}.img_projection_up.",
    f"{IMAGE}.img_projection.2.": f"{IMAGE}.img_projection_down.",
    f"{AUDIO}.audio_projection.speech.0.": f"{AUDIO}.up_proj_for_speech.",
    f"{AUDIO}.audio_projection.speech.2.": f"{AUDIO}.down_proj_for_speech.",
    f"{AUDIO}.audio_projection.vision.0.": f"{AUDIO}.up_proj_for_vision_speech.",
    f"{AUDIO}.audio_projection.vision.2.": f"{AUDIO}.down_proj_for_vision_speech.",
}


def canonical(name: str, adapter: str | None = None) -> str:
    """Return transformers' name of a stored tensor; a name that needs no change is returned as it is.

    LoRA matrices become ``<adapter>_lora.<module>.lora_A``; ``adapter`` names the PEFT folder they came from,
    else the stored name carries it.
    """
    name = name.removeprefix("base_model.model.")
    matrix = _ADAPTER.fullmatch(name)
    if matrix:
        owner = adapter or matrix["name"] or "unnamed"
        return f"{owner}_lora.{matrix['module']}.lora_{matrix['side']}"
    name = name.replace(".base_layer.", ".")
    for old, new in _RENAMED.items():
        if name.startswith(old):
            return new + name[len(old) :]
    name = _FEED_FORWARD.sub(
        lambda m: f".feed_forward_{m[1]}.{'down_proj' if m[2] == '2' else 'gate_up_proj'}.", name
    )
    return _SPEECH_ATTENTION.sub(lambda m: f".self_attn.{m[1][0]}_proj.", name)


def text_projections(config: Phi4MMConfig) -> dict[str, Shape]:
    """The matrices of the language model that LoRA may adapt, by module path, with their [out, in] shapes."""
    hidden, inner, heads = config.hidden_size, config.intermediate_size, config.heads * config.head_dim
    shapes: dict[str, Shape] = {
        "self_attn.qkv_proj": (heads + 2 * config.kv_heads * config.head_dim, hidden),
        "self_attn.o_proj": (hidden, heads),
        "mlp.gate_up_proj": (2 * inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    return {f"model.layers.{i}.{name}": shapes[name] for i in range(config.layers) for name in ADAPTED}


def expected(config: Phi4MMConfig) -> dict[str, Shape]:
    """Every tensor of the base model by canonical name with its shape, used by the package or not."""
    tensors: dict[str, Shape] = {"model.embed_tokens.weight": (config.vocab_size, config.hidden_size)}
    for module, shape in text_projections(config).items():
        tensors[f"{module}.weight"] = shape
    for i in range(config.layers):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{i}.{norm}.weight"] = (config.hidden_size,)
    tensors["model.norm.weight"] = (config.hidden_size,)
    tensors["lm_head.weight"] = (config.vocab_size, config.hidden_size)
    tensors |= _image(config.vision, config.hidden_size)
    tensors |= _sound(config.audio, config.hidden_size)
    return tensors


def unused(config: Phi4MMConfig) -> set[str]:
    """The tensors of ``expected`` that no graph needs and that a checkpoint may leave out.

    The picture features come from an inner layer of the tower, so what follows it is never computed; a tied
    language model head is the embedding matrix.
    """
    names = expected(config)
    needless = {n for n in names if n.startswith((f"{TOWER}.post_layernorm.", f"{TOWER}.head."))}
    for i in range(config.vision.layers_used, config.vision.layers):
        needless |= {n for n in names if n.startswith(f"{TOWER}.encoder.layers.{i}.")}
    return needless | ({"lm_head.weight"} if config.tied_embeddings else set())


def _linear(name: str, out: int, inner: int) -> dict[str, Shape]:
    return {f"{name}.weight": (out, inner), f"{name}.bias": (out,)}


def _norm(name: str, size: int) -> dict[str, Shape]:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


def _convolution(name: str, out: int, *rest: int) -> dict[str, Shape]:
    return {f"{name}.weight": (out, *rest), f"{name}.bias": (out,)}


def _image(vision: VisionConfig, hidden: int) -> dict[str, Shape]:
    size, inner = vision.hidden_size, vision.intermediate_size
    tensors: dict[str, Shape] = {
        f"{IMAGE}.global_img_feature_extensor": (1, 1, size),
        f"{IMAGE}.sub_img_feature_extensor": (1, 1, 1, size),
        f"{TOWER}.embeddings.position_embedding.weight": (vision.patches_per_side**2, size),
        f"{TOWER}.head.probe": (1, 1, size),
        f"{TOWER}.head.attention.in_proj_weight": (3 * size, size),
        f"{TOWER}.head.attention.in_proj_bias": (3 * size,),
    }
    tensors |= _linear(f"{IMAGE}.img_projection_up", hidden, size)
    tensors |= _linear(f"{IMAGE}.img_projection_down", hidden, hidden)
    patch = vision.patch_size
    tensors |= _convolution(f"{TOWER}.embeddings.patch_embedding", size, vision.channels, patch, patch)
    tensors |= _linear(f"{TOWER}.head.attention.out_proj", size, size)
    for norm in ("post_layernorm", "head.layernorm"):
        tensors |= _norm(f"{TOWER}.{norm}", size)
    for i in range(vision.layers):
        layer = f"{TOWER}.encoder.layers.{i}"
        for norm in ("layer_norm1", "layer_norm2"):
            tensors |= _norm(f"{layer}.{norm}", size)
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            tensors |= _linear(f"{layer}.self_attn.{projection}", size, size)
    for block in (*(f"encoder.layers.{i}" for i in range(vision.layers)), "head"):
        tensors |= _linear(f"{TOWER}.{block}.mlp.fc1", inner, size)
        tensors |= _linear(f"{TOWER}.{block}.mlp.fc2", size, inner)
    return tensors


def _sound(audio: AudioConfig, hidden: int) -> dict[str, Shape]:
    size, inner, channels = audio.hidden_size, audio.intermediate_size, audio.conv_channels
    tensors: dict[str, Shape] = {
        f"{ENCODER}.encoder_embedding.global_mean": (audio.input_size,),
        f"{ENCODER}.encoder_embedding.global_invstd": (audio.input_size,),
        f"{ENCODER}.relative_attention_bias_layer.bias_values.weight": (audio.bias_buckets, audio.heads),
    }
    tensors |= _convolution(f"{ENCODER}.embed.conv.0", channels, 1, 3, 3)
    for step in range(1, audio.convolutions):
        tensors |= _convolution(f"{ENCODER}.embed.conv.{3 * step - 1}", channels, 1, 3, 3)
        tensors |= _convolution(f"{ENCODER}.embed.conv.{3 * step}", channels, channels, 1, 1)
    tensors |= _linear(f"{ENCODER}.embed.out", size, channels * audio.subsampled_input_size)
    for projection in ("for_speech", "for_vision_speech"):
        tensors |= _linear(f"{AUDIO}.up_proj_{projection}", hidden, size * audio.downsample_rate)
        tensors |= _linear(f"{AUDIO}.down_proj_{projection}", hidden, hidden)
    for i in range(audio.blocks):
        tensors |= _conformer_block(f"{ENCODER}.encoders.{i}", audio, size, inner)
    return tensors


def _conformer_block(block: str, audio: AudioConfig, size: int, inner: int) -> dict[str, Shape]:
    tensors: dict[str, Shape] = {}
    for part in ("feed_forward_in", "feed_forward_out"):
        tensors |= _norm(f"{block}.{part}.layer_norm", size)
        tensors |= _linear(f"{block}.{part}.gate_up_proj", 2 * inner, size)
        tensors |= _linear(f"{block}.{part}.down_proj", size, inner)
    for projection in ("q_proj", "k_proj", "v_proj", "o_proj"):
        tensors |= _linear(f"{block}.self_attn.{projection}", size, size)
    for norm in ("layer_norm_att", "layer_norm", "conv.layer_norm"):
        tensors |= _norm(f"{block}.{norm}", size)
    out, deep = audio.ext_pw_out_channel, size * audio.depthwise_multiplier
    tensors |= {f"{block}.conv.glu.b1": (1, out, 1), f"{block}.conv.glu.b2": (1, out, 1)}
    tensors |= _convolution(f"{block}.conv.glu.ext_pw_conv_1d", 2 * out, size, 1)
    tensors |= _convolution(f"{block}.conv.dw_sep_conv_1d.dw_conv", deep, 1, audio.kernel_size)
    tensors |= _convolution(
        f"{block}.conv.dw_sep_conv_1d.pw_conv", audio.depthwise_separable_out_channel, deep, 1
    )
    tensors |= _convolution(f"{block}.conv.ext_pw_conv_1d", out, size, 1)
    return tensors
