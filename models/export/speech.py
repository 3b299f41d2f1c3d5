"""The speech graph: log-mel frames to rows of the language model's embedding space.

Strided convolutions make one token of eight frames, a conformer encodes the tokens, and one of two
projectors maps them. A clip is cut into windows of 500 tokens (40 s) that do not see each other's tokens.
Each window is encoded by itself and without padding: no mask is needed, a clip's rows do not depend on what
it is batched with, and memory does not grow with its length.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto

from models.checkpoint import Tensors
from models.config import AudioConfig
from models.errors import CheckpointError
from models.export.graph import MICROSOFT, GraphWriter
from models.export.projections import projected
from models.export.quantize import FP32, Precision
from models.tensor_names import AUDIO, ENCODER

NAME = "phi-4-mm-speech"
WINDOW = 500  # tokens; the model was trained with it, no config.json names it


def write_speech(checkpoint: Tensors, directory: Path, precision: Precision = FP32) -> Path:
    """Write the speech graph into ``directory`` and return its path.

    Inputs: ``audio_embeds`` f32 [clips, frames, 80] log-mel; ``audio_attention_mask`` bool [clips, frames],
    True for a clip's own frames, which come first; ``audio_sizes`` i64 [clips], tokens wanted of each clip;
    ``audio_projection_mode`` i64 [1], 0 or 2 for the projector of speech alone, 1 or 3 for that of speech
    with pictures; ``audio_context`` i64 [1] (0 by default), how many frames at the beginning of each clip
    are not of it but come before: with 8 of them, a clip cut between two windows gives the rows that it gives
    whole. Output: ``audio_features`` f32 [rows, hidden]: of each clip the first ``audio_sizes`` rows,
    of the ``ceil(frames / 8)`` that it has.

    Raises CheckpointError when the encoder's sizes can't be expressed or a tensor is missing.
    """
    audio, hidden = checkpoint.config.audio, checkpoint.config.hidden_size
    _check(audio)
    with GraphWriter(NAME, directory, checkpoint) as g:
        frames = g.input("audio_embeds", np.float32, ["clips", "frames", audio.input_size])
        mask = g.input("audio_attention_mask", np.bool_, ["clips", "frames"])
        sizes = g.input("audio_sizes", np.int64, ["clips"])
        mode = g.input("audio_projection_mode", np.int64, [1])
        context = g.input("audio_context", np.int64, [1], default=[0])
        encoded = _Encoder(g, audio, precision).rows(frames, mask, sizes, context)

        def project(name: str) -> list[str]:
            x = g.linear(encoded, f"{AUDIO}.up_proj_for_{name}", precision, bias=True)
            return [g.linear(g.gelu(x), f"{AUDIO}.down_proj_for_{name}", precision, bias=True)]

        with_pictures = g.node("Cast", [g.node("Mod", [mode, g.const([2])])], to=TensorProto.BOOL)
        projections = g.if_(with_pictures, lambda: project("vision_speech"), lambda: project("speech"))
        g.output(projections[0], np.float32, ["rows", hidden], "audio_features")
        return g.save()


def _check(audio: AudioConfig) -> None:
    widths = {audio.hidden_size, audio.ext_pw_out_channel, audio.depthwise_separable_out_channel}
    for name, ok in (
        ("chunk_size", audio.chunk_size <= 0),
        ("depthwise_multiplier", audio.depthwise_multiplier == 1),
        ("ext_pw_out_channel or depthwise_separable_out_channel", len(widths) == 1),
    ):
        if not ok:
            raise CheckpointError(
                f"The audio encoder's {name} has a value that can't be exported.",
                "Use a checkpoint with the released model's settings.",
            )


@dataclass(frozen=True)
class _Encoder:
    """The conformer, as nodes of the graph ``g``."""

    g: GraphWriter
    audio: AudioConfig
    precision: Precision

    def rows(self, frames: str, mask: str, sizes: str, context: str) -> str:
        """Rows of all clips before the projection: [rows, width]."""
        g = self.g
        factor = self.audio.time_reduction
        mean = g.parameter(f"{ENCODER}.encoder_embedding.global_mean")
        scale = g.parameter(f"{ENCODER}.encoder_embedding.global_invstd")
        frames = g.node("Mul", [g.node("Sub", [frames, mean]), scale])
        lengths = g.node(
            "ReduceSum", [g.node("Cast", [mask], to=TensorProto.INT64), g.const([1])], keepdims=0
        )
        nothing = g.const(np.zeros((0, self.audio.hidden_size)), np.float32)
        table = g.parameter(
            f"{ENCODER}.relative_attention_bias_layer.bias_values.weight", shape=lambda w: w.T
        )

        def window(clip: str, length: str, number: str) -> str:
            """Tokens of window ``number`` (i64 scalar) of a clip [frames, mels] of ``length`` frames."""
            start = g.node("Mul", [g.reshape(number, 1), g.const([WINDOW * factor])])
            start = g.node("Add", [start, context])
            end = g.node("Min", [g.node("Add", [start, g.const([WINDOW * factor])]), length])
            # one token more in front gives the convolutions what they see of the window before; it is dropped
            before = g.node("Min", [start, g.const([factor])])
            part = g.slice(clip, g.node("Sub", [start, before]), end, 0)
            x = self._subsample(part)
            x = g.slice(x, g.node("Div", [before, g.const([factor])]), np.iinfo(np.int64).max, 1)
            bias = self._relative_bias(table, x)
            for block in range(self.audio.blocks):
                x = self._block(x, bias, f"{ENCODER}.encoders.{block}")
            return g.reshape(x, -1, self.audio.hidden_size)

        def encode(iteration: str, state: list[str]) -> tuple[list[str], list[str]]:
            clip = g.node("Gather", [frames, iteration])
            length = g.reshape(g.node("Gather", [lengths, iteration]), 1)
            span = WINDOW * factor
            own = g.node("Sub", [length, context])
            windows = g.node("Div", [g.node("Add", [own, g.const([span - 1])]), g.const([span])])

            def append(number: str, rows: list[str]) -> tuple[list[str], list[str]]:
                return [g.node("Concat", [rows[0], window(clip, length, number)], axis=0)], []

            rows = g.loop(g.node("Squeeze", [windows]), [(nothing, np.float32)], append)[0]
            rows = g.slice(rows, 0, g.reshape(g.node("Gather", [sizes, iteration]), 1), 0)
            return [g.node("Concat", [state[0], rows], axis=0)], []

        return g.loop(g.node("Squeeze", [g.dim(sizes, 0)]), [(nothing, np.float32)], encode)[0]

    def _subsample(self, frames: str) -> str:
        """Strided convolutions over [frames, mels] and a projection: [1, ceil(frames / factor), width]."""
        g = self.g
        name = f"{ENCODER}.embed"
        x = g.node("Unsqueeze", [frames, g.const([0, 1])])
        x = g.node("Relu", [self._convolution(x, f"{name}.conv.0", 1)])
        for step in range(1, self.audio.convolutions):
            x = self._convolution(x, f"{name}.conv.{3 * step - 1}", self.audio.conv_channels)
            x = g.node("Relu", [self._pointwise(x, f"{name}.conv.{3 * step}")])
        x = g.node("Transpose", [x], perm=[0, 2, 1, 3])
        x = g.reshape(x, 1, g.dim(x, 1), self.audio.conv_channels * self.audio.subsampled_input_size)
        return g.linear(x, f"{name}.out", self.precision, bias=True)

    def _convolution(self, x: str, name: str, groups: int) -> str:
        """A 3 x 3 convolution of stride 2, padded by one, on [1, channels, time, mels]."""
        g = self.g
        weights = [g.parameter(f"{name}.{part}") for part in ("weight", "bias")]
        return g.node(
            "Conv", [x, *weights], group=groups, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
        )

    def _pointwise(self, x: str, name: str) -> str:
        """A 1 x 1 convolution on [1, channels, time, mels], as a matrix product."""
        g = self.g
        x = g.node("Transpose", [x], perm=[0, 2, 3, 1])
        x = g.linear(x, name, self.precision, bias=True, weight=lambda w: w[:, :, 0, 0])
        return g.node("Transpose", [x], perm=[0, 3, 1, 2])

    def _relative_bias(self, table: str, x: str) -> str:
        """Bias of the attention scores by distance, for tokens [1, time, width]: [1, heads, time, time].

        ``table`` is [heads, buckets]. Distances are cut to those that were trained.
        """
        g = self.g
        most = self.audio.bias_max_distance
        time = g.node("Range", [g.const(0), g.node("Squeeze", [g.dim(x, 1)]), g.const(1)])
        distance = g.node("Sub", [time, g.reshape(time, -1, 1)])  # [query, key]: key minus query
        distance = g.node("Clip", [distance, g.const(-most), g.const(most - 1)])
        if self.audio.bias_symmetric:
            bucket = g.node("Min", [g.node("Abs", [distance]), g.const(most - 1)])
        else:
            bucket = g.node("Add", [distance, g.const(most)])
        return g.node("Unsqueeze", [g.node("Gather", [table, bucket], axis=1), g.const([0])])

    def _block(self, x: str, bias: str, name: str) -> str:
        """One conformer block on [1, time, width]."""
        g = self.g
        x = g.node("Add", [x, self._half_feed_forward(x, f"{name}.feed_forward_in")])
        normed = g.layer_norm(x, f"{name}.layer_norm_att")
        query, key, value = projected(g, normed, f"{name}.self_attn", self.precision)
        inputs = [query, key, value, "", "", bias]
        attended = g.node("MultiHeadAttention", inputs, domain=MICROSOFT, num_heads=self.audio.heads)
        x = g.node("Add", [x, g.linear(attended, f"{name}.self_attn.o_proj", self.precision, bias=True)])
        x = g.node("Add", [x, self._convolution_module(x, f"{name}.conv")])
        x = g.node("Add", [x, self._half_feed_forward(x, f"{name}.feed_forward_out")])
        return g.layer_norm(x, f"{name}.layer_norm")

    def _half_feed_forward(self, x: str, name: str) -> str:
        """Half of the gated feed-forward network's output; the half is in the stored weights."""
        g = self.g
        x = g.linear(g.layer_norm(x, f"{name}.layer_norm"), f"{name}.gate_up_proj", self.precision, bias=True)
        up, gate = g.nodes("Split", [x], 2, axis=-1, num_outputs=2)
        x = g.node("Mul", [up, g.swish(gate)])
        half = np.float32(0.5)
        bias = g.weight(f"{name}.half_bias", g.read(f"{name}.down_proj.bias") * half)
        matrix = g.read(f"{name}.down_proj.weight") * half
        return g.matmul(x, f"{name}.half_down", matrix, self.precision, bias)

    def _convolution_module(self, x: str, name: str) -> str:
        """Gated point-wise, causal depth-wise and two more point-wise convolutions, on [1, time, width].

        A point-wise convolution is a matrix product. The depth-wise one is a sum of shifted inputs, which
        needs no change of layout.
        """
        g = self.g
        x = g.layer_norm(x, f"{name}.layer_norm")
        gated = f"{name}.glu.ext_pw_conv_1d"
        offsets = [g.read(f"{name}.glu.{part}").ravel() for part in ("b1", "b2")]
        bias = g.weight(f"{gated}.all_bias", g.read(f"{gated}.bias") + np.concatenate(offsets))
        x = g.matmul(x, f"{gated}.weight", g.read(f"{gated}.weight")[:, :, 0], self.precision, bias)
        x, gate = g.nodes("Split", [x], 2, axis=-1, num_outputs=2)
        x = g.node("Mul", [x, g.swish(gate)])
        x = self._causal_depthwise(x, f"{name}.dw_sep_conv_1d.dw_conv")
        for last, part in ((False, "dw_sep_conv_1d.pw_conv"), (True, "ext_pw_conv_1d")):
            x = g.linear(x, f"{name}.{part}", self.precision, bias=True, weight=lambda w: w[:, :, 0])
            x = x if last else g.swish(x)
        return x

    def _causal_depthwise(self, x: str, name: str) -> str:
        """Each channel's sum over the last ``kernel_size`` tokens, with zeros before the window."""
        g = self.g
        taps = g.read(f"{name}.weight")[:, 0, :]  # [width, kernel]; the last tap is the token itself
        kernel = self.audio.kernel_size
        padded = g.node("Pad", [x, g.const([0, kernel - 1, 0, 0, 0, 0])])
        time = g.dim(x, 1)
        total = g.parameter(f"{name}.bias")
        for tap in range(kernel):
            shifted = g.slice(padded, tap, g.node("Add", [time, g.const([tap])]), 1)
            weight = g.weight(f"{name}.tap_{tap}", taps[:, tap])
            total = g.node("Add", [g.node("Mul", [shifted, weight]), total])
        return total
