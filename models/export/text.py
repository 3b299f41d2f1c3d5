"""The language model's graph: RMSNorm, GroupQueryAttention with LongRoPE, SwiGLU, LoRA by mode.

Inputs ``inputs_embeds`` [1, S, hidden], ``attention_mask`` int64 [1, total], the past and ``adapter_mode``;
outputs the logits of the last position [1, 1, vocab] and the present. Past and present may be one buffer of
a larger capacity, or past may hold exactly ``total - S`` tokens: positions come from the mask's length, never
from the buffer's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.adapters import Adapter
from models.checkpoint import Tensors
from models.config import Phi4MMConfig
from models.export.graph import MICROSOFT, Dim, GraphWriter, Stored
from models.export.quantize import FP32, Precision
from models.package import FIRST_OWN_ADAPTER

NAME = "phi-4-mm-text"
PREFILL = "phi-4-mm-prefill"


@dataclass(frozen=True)
class TextPrecision:
    """Precision of each kind of matrix in the text graph."""

    projections: Precision = FP32  # qkv, o, gate_up
    down: Precision = FP32
    head: Precision = FP32
    adapters: Precision = FP32


def adapter_modes(adapters: Iterable[str]) -> dict[int, str]:
    """Which adapter each value of ``adapter_mode`` switches on; 0 and absent numbers mean none."""
    names = list(adapters)
    modes = {mode: name for mode, name in enumerate(("vision", "speech", "vision"), 1) if name in names}
    own = [name for name in names if name not in ("vision", "speech")]
    return modes | dict(enumerate(own, FIRST_OWN_ADAPTER))


def rotary_cache(config: Phi4MMConfig) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosine and sine rows [original + maximum positions, rotary_dim / 2], scaled by the attention factor.

    The first ``original_max_position_embeddings`` rows use the short factors, the others the long ones, each
    counting positions from 0. In a graph that picks its rows by position, switching the factors is adding
    ``original_max_position_embeddings`` to the positions: nothing is copied.
    """
    rope = config.rope
    exponents = np.arange(0, rope.rotary_dim, 2, dtype=np.float32) / np.float32(rope.rotary_dim)
    tables = []
    for factors, length in (
        (rope.short_factor, config.original_max_position_embeddings),
        (rope.long_factor, config.max_position_embeddings),
    ):
        # rounded to float32 where the reference is: at position 100,000 one more rounding is visible
        steps = (rope.theta ** exponents.astype(np.float64)).astype(np.float32)
        frequencies = np.float32(1.0) / (np.asarray(factors, np.float32) * steps)
        tables.append(np.arange(length, dtype=np.float32)[:, None] * frequencies[None, :])
    angles = np.concatenate(tables)
    factor = np.float32(rope.attention_factor)
    return np.cos(angles) * factor, np.sin(angles) * factor


def write_text(checkpoint: Tensors, directory: Path, precision: TextPrecision = TextPrecision()) -> Path:
    """Write ``phi-4-mm-text.onnx`` into ``directory`` and return its path."""
    with GraphWriter(NAME, directory, checkpoint) as graph:
        return _Text(graph, checkpoint, precision).write()


def write_prefill(checkpoint: Tensors, directory: Path, precision: TextPrecision) -> Path:
    """Write ``phi-4-mm-prefill.onnx``: the text graph with the present as its only output.

    It reads what comes before the last token of a prompt, into the cache that the text graph goes on with.
    """
    with GraphWriter(PREFILL, directory, checkpoint) as graph:
        return _Text(graph, checkpoint, precision).write(logits=False)


class _Text:
    """The state of one text graph being written."""

    def __init__(self, graph: GraphWriter, checkpoint: Tensors, precision: TextPrecision) -> None:
        self.g = graph
        self.checkpoint = checkpoint
        self.config = checkpoint.config
        self.precision = precision

    def write(self, logits: bool = True) -> Path:
        g, c = self.g, self.config
        hidden = g.input("inputs_embeds", np.float32, [1, "sequence_length", c.hidden_size])
        mask = g.input("attention_mask", np.int64, [1, "total_sequence_length"])
        for i in range(c.layers):
            for kind in ("key", "value"):
                g.input(f"past_key_values.{i}.{kind}", np.float32, self._cache_shape("past"))
        mode = g.input("adapter_mode", np.int64, [1], default=[0])
        # 1 asks for the long factors before they are due: the first chunks of a prompt that will need them
        self.long_context = g.input("long_context", np.int64, [1], default=[0])
        self._switches(mode)
        self._positions(hidden, mask)

        residual = hidden
        normed = g.rms_norm(residual, "model.layers.0.input_layernorm", c.rms_norm_eps)
        for i in range(c.layers):
            layer = f"model.layers.{i}"
            attended = self._attention(normed, i)
            if i == c.layers - 1 and not logits:
                break  # the last keys and values are there
            if i == c.layers - 1:
                # from here on no position sees another, and only the last one's logits are wanted
                attended = g.slice(attended, -1, 2**31 - 1, 1)
                residual = g.slice(residual, -1, 2**31 - 1, 1)
            projected = self._linear(attended, f"{layer}.self_attn.o_proj", self.precision.projections)
            normed, residual = g.add_rms_norm(
                projected, residual, f"{layer}.post_attention_layernorm", c.rms_norm_eps
            )
            inner = self._mlp(normed, layer)
            after = f"model.layers.{i + 1}.input_layernorm" if i < c.layers - 1 else "model.norm"
            normed, residual = g.add_rms_norm(inner, residual, after, c.rms_norm_eps)
        if logits:
            table = "model.embed_tokens.weight" if c.tied_embeddings else "lm_head.weight"
            matrix = Stored(self.checkpoint, table, (c.vocab_size, c.hidden_size))
            product = g.matmul(normed, "lm_head.weight", matrix, self.precision.head)
            g.output(product, np.float32, [1, 1, c.vocab_size], "logits")
        for i, (key, value) in enumerate(self.presents):
            g.output(key, np.float32, self._cache_shape("present"), f"present.{i}.key")
            g.output(value, np.float32, self._cache_shape("present"), f"present.{i}.value")
        return g.save()

    def _cache_shape(self, which: str) -> list[Dim]:
        return [1, self.config.kv_heads, f"{which}_sequence_length", self.config.head_dim]

    def _switches(self, mode: str) -> None:
        """Conditions on ``adapter_mode``: ``plain`` for no adapter, ``switches`` for each adapter by name."""
        g = self.g
        self.plain = g.node("Equal", [mode, g.const([0])])
        self.switches: dict[str, str] = {}
        for number, name in adapter_modes(self.checkpoint.adapters).items():
            chosen = g.node("Equal", [mode, g.const([number])])
            known = self.switches.get(name)
            self.switches[name] = g.node("Or", [known, chosen]) if known else chosen

    def _positions(self, hidden: str, mask: str) -> None:
        """Sequence lengths and rotary rows, shared by all layers."""
        g, c = self.g, self.config
        total = g.dim(mask, 1)
        length = g.dim(hidden, 1)
        self.last = g.node(
            "Cast", [g.node("Sub", [total, g.const([1])])], to=6
        )  # int32, as the operator wants
        self.total = g.node("Cast", [g.reshape(total)], to=6)
        past = g.node("Sub", [total, length])
        zero, one = g.const(0), g.const(1)
        positions = g.node("Add", [g.node("Range", [zero, g.reshape(length), one]), past])
        due = g.node("Greater", [total, g.const([c.original_max_position_embeddings])])
        long = g.node("Or", [due, g.node("Greater", [self.long_context, g.const([0])])])
        offset = g.node("Where", [long, g.const([c.original_max_position_embeddings]), g.const([0])])
        self.positions = g.reshape(g.node("Add", [positions, offset]), 1, -1)
        cos, sin = rotary_cache(c)
        self.cos, self.sin = g.weight("cos_cache", cos), g.weight("sin_cache", sin)
        self.presents: list[tuple[str, str]] = []

    def _attention(self, x: str, i: int) -> str:
        c = self.config
        qkv = self._linear(x, f"model.layers.{i}.self_attn.qkv_proj", self.precision.projections)
        past = [f"past_key_values.{i}.key", f"past_key_values.{i}.value"]
        inside = c.rope.rotary_dim % 16 == 0  # the operator turns only so many dimensions of a head itself
        if inside:
            inputs = [qkv, "", "", *past, self.last, self.total, self.cos, self.sin, self.positions]
        else:
            inputs = [*self._rotated(qkv), *past, self.last, self.total]
        attended, key, value = self.g.nodes(
            "GroupQueryAttention",
            inputs,
            3,
            domain=MICROSOFT,
            num_heads=c.heads,
            kv_num_heads=c.kv_heads,
            do_rotary=int(inside),
        )
        self.presents.append((key, value))
        return attended

    def _rotated(self, qkv: str) -> list[str]:
        """Query, key and value, the first two with their positions, by nodes of their own."""
        g, c = self.g, self.config
        sizes = [c.heads * c.head_dim, c.kv_heads * c.head_dim, c.kv_heads * c.head_dim]
        query, key, value = g.nodes("Split", [qkv, g.const(sizes)], 3, axis=-1)
        turned = [
            g.node(
                "RotaryEmbedding",
                [x, self.positions, self.cos, self.sin],
                domain=MICROSOFT,
                num_heads=heads,
                rotary_embedding_dim=c.rope.rotary_dim,
            )
            for x, heads in ((query, c.heads), (key, c.kv_heads))
        ]
        return [*turned, value]

    def _mlp(self, x: str, layer: str) -> str:
        g = self.g
        both = self._linear(x, f"{layer}.mlp.gate_up_proj", self.precision.projections)
        gate, up = g.nodes("Split", [both], 2, axis=-1, num_outputs=2)
        return self._linear(g.node("Mul", [up, g.swish(gate)]), f"{layer}.mlp.down_proj", self.precision.down)

    def _linear(self, x: str, module: str, precision: Precision) -> str:
        """The projection with its adapters: only the one that is on is computed."""
        base = self.g.linear(x, module, precision)
        present = [a for a in self.checkpoint.adapters.values() if module in a.modules]
        if not present:
            return base

        def choose(rest: list[Adapter]) -> list[str]:
            if not rest:
                return [base]
            return self.g.if_(
                self.switches[rest[0].name],
                lambda: [self._adapted(x, base, rest[0], module)],
                lambda: choose(rest[1:]),
            )

        return self.g.if_(self.plain, lambda: [base], lambda: choose(present))[0]

    def _adapted(self, x: str, base: str, adapter: Adapter, module: str) -> str:
        """``base + B @ (A @ x)``, with the adapter's scale folded into B."""
        down, up = (f"{adapter.name}_lora.{module}.lora_{side}" for side in "AB")
        read, precision = self.checkpoint.read, self.precision.adapters
        low = self.g.matmul(x, down, read(down), precision)
        return self.g.node(
            "Add", [base, self.g.matmul(low, up, read(up) * np.float32(adapter.scale), precision)]
        )
