"""The architecture of a Phi-4-multimodal checkpoint, read from its ``config.json``.

Two layouts exist: transformers' own (``model_type`` phi4_multimodal) and that of the original repository
(phi4mm), which nests the encoders in ``embd_layer`` and ``audio_processor`` and keeps the vision tower's
sizes in its code. Both become the same frozen dataclasses. What the exporter can't express is an error here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from models.errors import CheckpointError
from models.json_files import Fields, read_object

IMAGE_TOKEN = 200010  # fixed in genai's processor, whatever the checkpoint says
AUDIO_TOKEN = 200011
_REMEDY = "Use an unmodified Phi-4-multimodal checkpoint."
_LAYERS = 1_000  # more is no model's
_POSITIONS = 2**21


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
        return cls.parse(read_object(path, CheckpointError, _REMEDY), str(path))

    @classmethod
    def parse(cls, values: Mapping[str, Any], file: str = "config.json") -> Phi4MMConfig:
        """Build the configuration from the parsed JSON of either layout; ``file`` is named in errors."""
        fields = Fields(values, file, CheckpointError, _REMEDY)
        kind = values.get("model_type")
        if kind == "phi4_multimodal":
            vision, audio = _vision(fields.section("vision_config")), _audio(fields.section("audio_config"))
        elif kind == "phi4mm":
            vision, audio = _original_encoders(fields)
        else:
            raise fields.wrong("model_type", "phi4_multimodal or phi4mm")
        return _language_model(fields, vision, audio)


def _language_model(fields: Fields, vision: VisionConfig, audio: AudioConfig) -> Phi4MMConfig:
    fields.expect("hidden_act", "silu")
    for name in ("attention_bias", "mlp_bias", "lm_head_bias"):
        fields.expect(name, False)
    context = fields.whole("max_position_embeddings", least=2, most=_POSITIONS)
    if "sliding_window" in fields and fields.whole("sliding_window") < context:
        raise fields.wrong("sliding_window", "null or at least max_position_embeddings")
    heads, hidden = fields.whole("num_attention_heads"), fields.whole("hidden_size")
    head_dim = fields.whole("head_dim", max(hidden // heads, 1))
    kv_heads = fields.whole("num_key_value_heads", heads)
    if heads % kv_heads:
        raise fields.wrong("num_key_value_heads", f"a divisor of the {heads} heads")
    stops = fields.wholes("eos_token_id")
    if fields.values["model_type"] == "phi4mm" and len(stops) == 1:
        stops.append(
            200020
        )  # the original names only <|endoftext|>; <|end|> is in its generation_config.json
    rope, original = _rope(fields, head_dim, context)
    return Phi4MMConfig(
        vocab_size=fields.whole("vocab_size"),
        hidden_size=hidden,
        intermediate_size=fields.whole("intermediate_size"),
        layers=fields.whole("num_hidden_layers", most=_LAYERS),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        rms_norm_eps=fields.real("rms_norm_eps", 1e-5, above=0),
        tied_embeddings=fields.flag("tie_word_embeddings", False),
        max_position_embeddings=context,
        original_max_position_embeddings=original,
        bos_token_id=fields.whole("bos_token_id", 199999, least=0),
        eos_token_ids=tuple(stops) or (199999, 200020),
        pad_token_id=fields.whole("pad_token_id", 199999, least=0),
        rope=rope,
        vision=vision,
        audio=audio,
        adapters={
            name: AdapterConfig(lora.whole("r"), lora.real("lora_alpha", above=0, most=1e6))
            for name in ("vision", "speech")
            if (lora := fields.section(f"{name}_lora", required=False)).values
        },
    )


def _rope(fields: Fields, head_dim: int, context: int) -> tuple[RopeConfig, int]:
    """The rotation, and the length up to which the short factors apply."""
    key = "rope_parameters" if fields.values.get("rope_parameters") else "rope_scaling"
    given = fields.section(key, required=False)
    theta = given.real("rope_theta", fields.real("rope_theta", 10000.0, above=0), above=0)
    partial = given.real("partial_rotary_factor", fields.real("partial_rotary_factor", 1.0, above=0), above=0)
    rotary_dim = int(head_dim * partial) if partial <= 1.0 else 0
    if rotary_dim < 2 or rotary_dim % 2:
        raise fields.error(
            f"partial_rotary_factor in {fields.file} is {partial:g}: no even part of {head_dim} dimensions.",
            fields.remedy,
        )
    kind = "type" if "rope_type" not in given and "type" in given else "rope_type"
    given.expect(kind, "default", "longrope", "su")
    lengths = {
        place.whole("original_max_position_embeddings", least=2, most=_POSITIONS)
        for place in (fields, given)
        if "original_max_position_embeddings" in place
    }
    if len(lengths) > 1:
        raise given.wrong("original_max_position_embeddings", "the number at the top level")
    ones = (1.0,) * (rotary_dim // 2)
    if given.values.get(kind, "default") == "default":
        return RopeConfig(theta, rotary_dim, ones, ones, 1.0), max(lengths, default=context)
    if not lengths:
        raise fields.error(f"{fields.file} has no original_max_position_embeddings.", fields.remedy)
    original = lengths.pop()
    short, long = (given.reals(name, rotary_dim // 2) for name in ("short_factor", "long_factor"))
    # LongRoPE (arXiv 2402.13753), the scaling of cos and sin that Phi-3 and Phi-4 are trained with
    factor = given.real("factor", context / original, above=0)
    attention = 1.0 if factor <= 1.0 else math.sqrt(1.0 + math.log(factor) / math.log(original))
    attention = given.real("attention_factor", attention, above=0)
    return RopeConfig(theta, rotary_dim, short, long, attention), original


def _vision(fields: Fields) -> VisionConfig:
    fields.expect("hidden_act", "gelu_pytorch_tanh")
    default = VisionConfig()
    vision = VisionConfig(
        hidden_size=fields.whole("hidden_size", default.hidden_size),
        intermediate_size=fields.whole("intermediate_size", default.intermediate_size),
        layers=fields.whole("num_hidden_layers", default.layers, most=_LAYERS),
        heads=fields.whole("num_attention_heads", default.heads),
        channels=fields.whole("num_channels", default.channels),
        image_size=fields.whole("image_size", default.image_size),
        patch_size=fields.whole("patch_size", default.patch_size),
        layer_norm_eps=fields.real("layer_norm_eps", default.layer_norm_eps, above=0),
        crop_size=fields.whole("crop_size", default.crop_size),
        image_token_id=fields.whole("image_token_id", default.image_token_id, least=0),
        feature_layer=fields.whole("feature_layer", default.feature_layer, least=-_LAYERS, most=_LAYERS),
    )
    if not 0 <= vision.layers_used <= vision.layers:
        raise fields.wrong("feature_layer", f"one of the {vision.layers} layers")
    return vision


def _audio(fields: Fields) -> AudioConfig:
    for name in ("activation", "conv_activation", "conv_glu_type"):
        fields.expect(name, "swish")
    fields.expect("nemo_activation", "relu")
    default = AudioConfig()
    audio = AudioConfig(
        hidden_size=fields.whole("hidden_size", default.hidden_size),
        intermediate_size=fields.whole("intermediate_size", default.intermediate_size),
        blocks=fields.whole("num_blocks", default.blocks, most=_LAYERS),
        heads=fields.whole("num_attention_heads", default.heads),
        ext_pw_out_channel=fields.whole("ext_pw_out_channel", default.ext_pw_out_channel),
        depthwise_separable_out_channel=fields.whole(
            "depthwise_separable_out_channel", default.depthwise_separable_out_channel
        ),
        depthwise_multiplier=fields.whole("depthwise_multiplier", default.depthwise_multiplier),
        kernel_size=fields.whole("kernel_size", default.kernel_size),
        input_size=fields.whole("input_size", default.input_size),
        time_reduction=fields.whole("time_reduction", default.time_reduction),
        bias_max_distance=fields.whole(
            "bias_max_distance", 1000
        ),  # transformers' default, not the model's 500
        bias_symmetric=fields.flag("bias_symmetric", False),
        conv_channels=fields.whole("nemo_conv_channels", default.conv_channels),
        chunk_size=fields.whole("chunk_size", default.chunk_size, least=-1),
        left_chunk=fields.whole("left_chunk", default.left_chunk, least=0),
        downsample_rate=fields.whole("downsample_rate", default.downsample_rate),
        audio_token_id=fields.whole("audio_token_id", default.audio_token_id, least=0),
    )
    if audio.time_reduction != 2**audio.convolutions:
        raise fields.wrong("time_reduction", "a power of two")
    fields.expect("downsample_rate", 1)
    return audio


def _original_encoders(fields: Fields) -> tuple[VisionConfig, AudioConfig]:
    """Translate the original repository's nested names; its vision tower is always SigLIP-400M."""
    layer = fields.section("embd_layer")
    images, sounds = layer.section("image_embd_layer"), layer.section("audio_embd_layer")
    encoder = fields.section("audio_processor").section("config")
    for section, name, value in (
        (images, "use_hd_transform", True),
        (images, "hd_transform_order", "sub_glb"),
        (images, "with_learnable_separator", True),
        (images, "image_token_compression_cls", "avg_pool_2d"),
        (images, "projection_cls", "mlp"),
        (sounds, "projection_cls", "mlp"),
        (sounds, "use_conv_downsample", False),
        (sounds, "use_qformer", False),
        (encoder, "input_layer", "nemo_conv"),
        (encoder, "cnn_layer_norm", True),
        (encoder, "bias_in_glu", True),
        (encoder, "causal", True),
        (encoder, "batch_norm", False),
        (encoder, "ext_pw_kernel_size", 1),
    ):
        section.expect(name, value)
    bias = encoder.section("relative_attention_bias_args")
    renamed = {
        "hidden_size": encoder.whole("attention_dim"),
        "num_attention_heads": encoder.whole("attention_heads"),
        "intermediate_size": encoder.whole("linear_units"),
        "nemo_conv_channels": encoder.section("nemo_conv_settings").whole("conv_channels"),
        "bias_max_distance": bias.whole("t5_bias_max_distance"),
        "bias_symmetric": bias.flag("t5_bias_symmetric", False),
        # the original spells it wrongly
        "depthwise_separable_out_channel": encoder.whole("depthwise_seperable_out_channel"),
        "downsample_rate": sounds.whole("downsample_rate", 1),
    }
    tower = fields.section(
        "vision_config", required=False
    )  # not in Microsoft's; a smaller checkpoint's sizes
    crops = {"crop_size": images.whole("crop_size", 448)}
    return (
        _vision(replace(tower, values={**tower.values, **crops})),
        _audio(replace(encoder, values={**encoder.values, **renamed})),
    )
