"""A GGUF file with random weights in the shape of a Phi-4-mini, for llama.cpp; needs the package `gguf`.

As llama-quantize makes it: every projection in one format, the tied embedding in Q6_K.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from models.config import Phi4MMConfig

Quant = Literal["Q4_0", "Q4_K"]
QUANTS: Final[tuple[Quant, ...]] = ("Q4_0", "Q4_K")
_FORMATS: Final = {"Q4_0": (32, 18), "Q4_K": (256, 144), "Q6_K": (256, 210), "F32": (1, 4)}
"""Weights of a block, and its bytes."""
_PIECE: Final = 4_093  # blocks of noise that a matrix is cut from, a prime


@dataclass(frozen=True)
class Tensor:
    """One tensor of the file, rows by columns, or one row."""

    name: str
    format: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Its size in the file."""
        weights, size = _FORMATS[self.format]
        return math.prod(self.shape) // weights * size


def tensors(config: Phi4MMConfig, quant: Quant) -> list[Tensor]:
    """All tensors of the language model, by llama.cpp's names."""
    hidden, inner, head = config.hidden_size, config.intermediate_size, config.head_dim
    found = [
        Tensor("token_embd.weight", "Q6_K", (config.vocab_size, hidden)),
        Tensor("output_norm.weight", "F32", (hidden,)),
        Tensor("rope_factors_long.weight", "F32", (config.rope.rotary_dim // 2,)),
        Tensor("rope_factors_short.weight", "F32", (config.rope.rotary_dim // 2,)),
    ]
    for i in range(config.layers):
        found += [
            Tensor(f"blk.{i}.attn_norm.weight", "F32", (hidden,)),
            Tensor(f"blk.{i}.attn_qkv.weight", quant, ((config.heads + 2 * config.kv_heads) * head, hidden)),
            Tensor(f"blk.{i}.attn_output.weight", quant, (hidden, config.heads * head)),
            Tensor(f"blk.{i}.ffn_norm.weight", "F32", (hidden,)),
            Tensor(f"blk.{i}.ffn_up.weight", quant, (2 * inner, hidden)),
            Tensor(f"blk.{i}.ffn_down.weight", quant, (hidden, inner)),
        ]
    return found


def decode_bytes(config: Phi4MMConfig, quant: Quant) -> int:
    """Bytes of weights that one decoded token reads: all, since the embedding is the head as well."""
    return sum(tensor.bytes for tensor in tensors(config, quant))


def write(
    config: Phi4MMConfig,
    quant: Quant,
    out: Path,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Path:
    """Write the file. Raises ImportError without `gguf`."""
    gguf = importlib.import_module("gguf")
    writer = gguf.GGUFWriter(out, "phi3")
    _describe(writer, config)
    listed = tensors(config, quant)
    for tensor in listed:
        weights, size = _FORMATS[tensor.format]
        *rows, columns = tensor.shape
        plain = tensor.format == "F32"
        writer.add_tensor_info(
            tensor.name,
            tensor.shape if plain else (*rows, columns // weights * size),
            np.dtype(np.float32 if plain else np.uint8),
            tensor.bytes,
            None if plain else gguf.GGMLQuantizationType[tensor.format],
        )
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        total, done = sum(tensor.bytes for tensor in listed), 0
        for tensor in listed:
            writer.write_tensor_data(_values(tensor, config))
            done += tensor.bytes
            progress(f"llama.cpp {quant}", done, total)
    finally:
        writer.close()
    return out


def _describe(writer: Any, config: Phi4MMConfig) -> None:
    """The keys that llama.cpp reads for this architecture; no tokenizer."""
    writer.add_name("random weights")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.layers)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.rope.rotary_dim)
    writer.add_rope_freq_base(config.rope.theta)
    writer.add_rope_scaling_attn_factors(config.rope.attention_factor)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("none")


def _values(tensor: Tensor, config: Phi4MMConfig) -> NDArray[Any]:
    """Numbers that keep activations finite; blocks repeat."""
    if tensor.format == "F32":
        factors = {
            "rope_factors_long": config.rope.long_factor,
            "rope_factors_short": config.rope.short_factor,
        }
        known = factors.get(tensor.name.removesuffix(".weight"))
        return np.array(known, np.float32) if known else np.ones(tensor.shape, np.float32)
    weights, size = _FORMATS[tensor.format]
    *_, columns = tensor.shape
    noise = _blocks(tensor.format, 1 / math.sqrt(columns))
    flat = np.resize(noise, (tensor.bytes // size, size))
    return flat.reshape(*tensor.shape[:-1], columns // weights * size)


def _blocks(kind: str, spread: float) -> NDArray[np.uint8]:
    """Blocks [_PIECE, bytes] of random weights with about this standard deviation around zero."""
    random = np.random.default_rng(7)
    blocks: NDArray[np.uint8] = random.integers(0, 256, (_PIECE, _FORMATS[kind][1]), np.uint8)
    # where the block's scales lie; Q4_K multiplies its own by 6-bit ones and subtracts, Q6_K by 8-bit ones
    scales = {
        "Q4_0": [(0, spread / 4.6)],
        "Q4_K": [(0, spread / 4.6 / 32), (2, spread / 4.6 / 32 * 7.5)],
        "Q6_K": [(208, spread / 18.5 / 74)],
    }
    for at, scale in scales[kind]:
        blocks[:, at : at + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
    return blocks
