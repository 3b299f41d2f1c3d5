"""The vision graph: pictures in crops of 448 x 448 pixels to rows of the language model's embedding space.

A SigLIP tower encodes the crops that a picture really has, one after the other, so that memory does not grow
with their number. Features are those after ``feature_layer``; what follows it in the tower (the last layer,
a LayerNorm, a pooling head) reaches no output and is not exported. Each picture is then put together from
its crops with learnt separators, and projected.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from models.checkpoint import Tensors
from models.config import VisionConfig
from models.errors import CheckpointError
from models.export.graph import MICROSOFT, GraphWriter
from models.export.projections import projected
from models.export.quantize import FP32, Precision
from models.tensor_names import IMAGE, TOWER

NAME = "phi-4-mm-vision"


def write_vision(checkpoint: Tensors, directory: Path, precision: Precision = FP32) -> Path:
    """Write the vision graph into ``directory`` and return its path.

    Inputs: ``pixel_values`` f32 [pictures, crops, 3, 448, 448], the whole picture first, then its crops row
    by row; ``image_attention_mask`` f32 [pictures, crops, 32, 32], 0 where a patch is padding;
    ``image_sizes`` i64 [pictures, 2], height and width in pixels of the padded picture. Crops beyond a
    picture's own are ignored. Output: ``image_features`` f32 [rows, hidden], picture after picture: the
    useful cells of its crops at half resolution with a separator after each line, one separator, and the
    whole picture (16 x 16 cells) likewise.

    Raises CheckpointError when the tower's sizes can't be expressed or a tensor is missing.
    """
    tower = checkpoint.config.vision
    side, size = tower.patches_per_side, tower.image_size
    if side % 2 or size % tower.patch_size or tower.crop_size != size:
        raise CheckpointError(
            f"Crops of {tower.crop_size} pixels in patches of {tower.patch_size} can't be exported.",
            "A crop must be the tower's image_size and hold an even number of patches a side.",
        )
    with GraphWriter(NAME, directory, checkpoint) as g:
        pixels = g.input("pixel_values", np.float32, ["pictures", "crops", tower.channels, size, size])
        mask = g.input("image_attention_mask", np.float32, ["pictures", "crops", side, side])
        sizes = g.input("image_sizes", np.int64, ["pictures", 2])
        mask = g.node("Cast", [mask], to=TensorProto.BOOL)
        grid = g.node("Div", [sizes, g.const(size)])  # rows and columns of crops
        encoded = _Tower(g, tower, precision).encode_crops(pixels, mask, grid)
        features = _assemble(g, tower, encoded, mask, grid)
        features = g.linear(features, f"{IMAGE}.img_projection_up", precision, bias=True)
        features = g.linear(g.gelu(features), f"{IMAGE}.img_projection_down", precision, bias=True)
        g.output(features, np.float32, ["rows", checkpoint.config.hidden_size], "image_features")
        return g.save()


def position_buckets(side: int) -> NDArray[np.int64]:
    """``table[n, i]``: trained position (0 to ``side`` - 1) of patch ``i`` along an edge of ``n`` patches.

    The tower spreads what a crop really shows over the positions it was trained with: patch ``i`` of ``n`` is
    at ``i / n``, and its position is the number of boundaries ``k / side`` (0 < k < side) up to there.
    Computed in float32 like the reference, so that ties fall the same way. Row 0 (an empty crop) is zero.
    """
    boundaries = (1 / side + np.arange(math.ceil((1.0 - 1 / side) * side)) / side).astype(np.float32)
    table = np.zeros((side + 1, side), np.int64)
    for n in range(1, side + 1):
        places = np.arange(side, dtype=np.float32) * (np.float32(1) / np.float32(n))
        table[n] = np.searchsorted(boundaries, np.minimum(places, np.float32(1 - 1e-6)), side="right")
    return table


@dataclass(frozen=True)
class _Tower:
    """The SigLIP tower, as nodes of the graph ``g``."""

    g: GraphWriter
    tower: VisionConfig
    precision: Precision

    def encode_crops(self, pixels: str, mask: str, grid: str) -> str:
        """Features of the crops in use, picture after picture: [used, side / 2, side / 2, width]."""
        g = self.g
        side, size = self.tower.patches_per_side, self.tower.image_size
        crops = g.dim(pixels, 1)
        ordinal = g.node("Range", [g.const(0), g.node("Squeeze", [crops]), g.const(1)])
        own = g.node("Add", [g.node("ReduceProd", [grid, g.const([1])], keepdims=1), g.const(1)])
        used = g.node("NonZero", [g.node("Less", [ordinal, own])])
        picture, crop = g.nodes("Split", [used], 2, axis=0, num_outputs=2)
        index = g.reshape(g.node("Add", [g.node("Mul", [picture, crops]), crop]), -1)
        pixels = g.reshape(pixels, -1, self.tower.channels, size, size)
        masks = g.reshape(mask, -1, side, side)
        embeddings = f"{TOWER}.embeddings"
        buckets = g.weight(f"{embeddings}.position_buckets", position_buckets(side))
        positions = g.parameter(f"{embeddings}.position_embedding.weight")

        def encode(iteration: str, _: list[str]) -> tuple[list[str], list[str]]:
            which = g.node("Gather", [index, iteration])
            shown = g.node("Gather", [masks, which])
            edges = (g.node("Gather", [shown, g.const(0)], axis=axis) for axis in (1, 0))
            lengths = (g.node("Cast", [edge], to=TensorProto.INT64) for edge in edges)
            row, column = (
                g.node("Gather", [buckets, g.node("ReduceSum", [length], keepdims=0)]) for length in lengths
            )
            place = g.node("Add", [g.node("Mul", [g.reshape(row, side, 1), g.const(side)]), column])
            place = g.node("Where", [shown, place, g.const(0)])
            x = self._patches(g.node("Gather", [pixels, which]))
            x = g.node("Add", [x, g.node("Gather", [positions, g.reshape(place, 1, -1)])])
            keys = g.node("Cast", [g.reshape(shown, 1, -1)], to=TensorProto.INT32)
            for layer in range(self.tower.layers_used):
                x = self._layer(x, keys, f"{TOWER}.encoder.layers.{layer}")
            cells = g.reshape(x, side // 2, 2, side // 2, 2, self.tower.hidden_size)
            return [], [g.node("ReduceMean", [cells, g.const([1, 3])], keepdims=0)]

        return g.loop(g.node("Squeeze", [g.dim(index, 0)]), [], encode)[0]

    def _patches(self, pixels: str) -> str:
        """Embed the patches of a crop [3, size, size] without positions: [1, patches, width].

        The convolution's stride is its kernel, so it is one product of the patches with its weights.
        """
        g = self.g
        side, patch, channels = self.tower.patches_per_side, self.tower.patch_size, self.tower.channels
        x = g.reshape(pixels, channels, side, patch, side, patch)
        x = g.node("Transpose", [x], perm=[1, 3, 0, 2, 4])
        x = g.reshape(x, 1, side * side, channels * patch * patch)
        name = f"{TOWER}.embeddings.patch_embedding"
        return g.linear(x, name, bias=True, weight=lambda w: w.reshape(w.shape[0], -1))

    def _layer(self, x: str, keys: str, name: str) -> str:
        """One encoder layer; patches whose ``keys`` (int32 [1, patches]) are 0 are not attended to."""
        g = self.g
        normed = g.layer_norm(x, f"{name}.layer_norm1", self.tower.layer_norm_eps)
        inputs = [*projected(g, normed, f"{name}.self_attn", self.precision), "", keys]
        attended = g.node("MultiHeadAttention", inputs, domain=MICROSOFT, num_heads=self.tower.heads)
        x = g.node("Add", [x, g.linear(attended, f"{name}.self_attn.out_proj", self.precision, bias=True)])
        inner = g.layer_norm(x, f"{name}.layer_norm2", self.tower.layer_norm_eps)
        inner = g.gelu(g.linear(inner, f"{name}.mlp.fc1", self.precision, bias=True), tanh=True)
        return g.node("Add", [x, g.linear(inner, f"{name}.mlp.fc2", self.precision, bias=True)])


def _assemble(g: GraphWriter, tower: VisionConfig, features: str, mask: str, grid: str) -> str:
    """Put the pictures together from ``features`` [crops in use, cells, cells, width]: [rows, width]."""
    cells, width = tower.patches_per_side // 2, tower.hidden_size
    line_end = g.parameter(f"{IMAGE}.sub_img_feature_extensor", shape=lambda a: a.reshape(1, 1, -1))
    middle = g.parameter(f"{IMAGE}.global_img_feature_extensor", shape=lambda a: a.reshape(1, -1))

    def lines(area: str) -> str:
        """Rows of an area [height, width, features] with a separator after each line."""
        ends = g.node("Expand", [line_end, g.node("Concat", [g.dim(area, 0), g.const([1, 1])], axis=0)])
        return g.reshape(g.node("Concat", [area, ends], axis=1), -1, width)

    def tiled(crops: str, rows: str, columns: str, *depth: int) -> str:
        """Crops [rows * columns, cells, cells, *depth] as one [rows * cells, columns * cells, *depth]."""
        x = g.reshape(crops, rows, columns, cells, cells, *depth)
        x = g.node("Transpose", [x], perm=[0, 2, 1, 3, 4][: 4 + len(depth)])
        high, wide = (g.node("Mul", [count, g.const([cells])]) for count in (rows, columns))
        return g.reshape(x, high, wide, *depth)

    def add(iteration: str, state: list[str]) -> tuple[list[str], list[str]]:
        first, done = state
        here = g.node("Gather", [grid, iteration])
        rows, columns = g.nodes("Split", [here], 2, axis=0, num_outputs=2)
        second = g.node("Add", [first, g.const([1])])
        count = g.node("Mul", [rows, columns])
        last = g.node("Add", [second, count])
        shown = g.slice(g.node("Gather", [mask, iteration]), 1, g.node("Add", [count, g.const([1])]), 0)
        ends = [np.iinfo(np.int64).max] * 2
        shown = g.node("Slice", [shown, g.const([0, 0]), g.const(ends), g.const([1, 2]), g.const([2, 2])])
        useful = g.node("Cast", [tiled(shown, rows, columns)], to=TensorProto.INT64)
        area = tiled(g.slice(features, second, last, 0), rows, columns, width)
        for axis in (0, 1):
            edge = g.node("Gather", [useful, g.const(0)], axis=1 - axis)
            area = g.slice(area, 0, g.node("ReduceSum", [edge], keepdims=1), axis)
        whole = g.node("Squeeze", [g.slice(features, first, second, 0), g.const([0])])
        return [last, g.node("Concat", [done, lines(area), middle, lines(whole)], axis=0)], []

    nothing = g.const(np.zeros((0, width)), np.float32)
    start = [(g.const([0]), np.int64), (nothing, np.float32)]
    return g.loop(g.node("Squeeze", [g.dim(grid, 0)]), start, add)[1]
