"""Weights in fewer bits, one array at a time, with onnxruntime's own quantisers.

Layouts, from the schemas of onnxruntime's contrib operators:

- MatMulNBits: B uint8 ``[N, blocks, block_size * bits / 8]``, scales float32 ``[N, blocks]``, where
  ``blocks = ceil(K / block_size)``; without zero points the zero point is ``2 ** (bits - 1)``.
- GatherBlockQuantized: data uint8 ``[rows, K * bits / 8]``, scales and zero point as above.
- DynamicQuantizeMatMul: B int8 ``[K, N]``, one scale for each column, no zero point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from onnxruntime.capi import _pybind_state as native

Format = Literal["fp32", "fp16", "int8", "int4", "dynamic8", "rows8"]
FORMATS: tuple[Format, ...] = ("fp32", "fp16", "int8", "int4", "dynamic8", "rows8")
BLOCK_SIZES = (16, 32, 64, 128)
ROWS_AT_ONCE = 8192  # a vocabulary matrix is quantised in slices, so that its transposed copy stays small


@dataclass(frozen=True)
class Precision:
    """How the weight matrices of one graph, or of one role in it, are stored.

    fp32     float32, MatMul.
    fp16     float16 in the file, cast to float32 when the session is made. Activations stay float32.
    int8     8 bits in blocks along the inputs, MatMulNBits.
    int4     4 bits in blocks along the inputs, MatMulNBits.
    dynamic8 8 bits (7 used) a column, activations quantised per call, DynamicQuantizeMatMul: fastest for
             many rows.
    rows8    the same with a scale of activations for each row: a token's result hardly depends on those
             beside it, and the error of rows of unlike size is half as large.
    """

    format: Format = "fp32"
    block_size: int = 32

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"unknown precision {self.format!r}, expected one of {', '.join(FORMATS)}")
        if self.block_size not in BLOCK_SIZES:
            raise ValueError(f"unknown block size {self.block_size}, expected one of {BLOCK_SIZES}")

    @property
    def bits(self) -> int:
        """Bits a weight of a matrix takes in the file, without scales."""
        return {"fp32": 32, "fp16": 16, "int8": 8, "int4": 4, "dynamic8": 8, "rows8": 8}[self.format]

    def block_for(self, columns: int) -> int:
        """The block size for this many inputs: halved until it divides them, so that nothing is padded.

        Widths that no block size divides keep the size asked for, and their last block is padded.
        """
        fitting = [b for b in BLOCK_SIZES if b <= self.block_size and columns % b == 0]
        return max(fitting, default=self.block_size)


FP32 = Precision("fp32")


class Matrix(Protocol):
    """A matrix [out, in] read in slices of rows: an array, or one that stays in its file till then."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""

    def __getitem__(self, rows: slice, /) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Blocks:
    """A matrix in blocks: ``packed`` uint8 [N, blocks, bytes a block], ``scales`` float32 [N, blocks].

    ``zeros`` uint8 [N, ceil(blocks * bits / 8)] are their zero points; None means the middle of the range.
    """

    packed: NDArray[np.uint8]
    scales: NDArray[np.float32]
    zeros: NDArray[np.uint8] | None


def in_blocks(weight: Matrix, bits: int, block_size: int) -> Blocks:
    """Quantise ``weight`` [N, K] in blocks along K: 8 bits symmetrically, 4 bits with zero points.

    Zero points cost 4 bits a block and no time. With them 4 bits lose 2 to 6 % less (blocks of 128 and 32) on
    weights that are spread normally, 12 to 14 % less on heavier tails.
    """
    rows, columns = weight.shape
    blocks = math.ceil(columns / block_size)
    packed = np.zeros((rows, blocks, block_size * bits // 8), np.uint8)
    scales = np.zeros((rows, blocks), np.float32)
    zeros = np.zeros((rows, math.ceil(blocks * bits / 8)), np.uint8)
    quantise = native.quantize_matmul_4bits if bits == 4 else native.quantize_matmul_8bits
    for start in range(0, rows, ROWS_AT_ONCE):
        part = slice(start, min(start + ROWS_AT_ONCE, rows))
        count = part.stop - part.start
        turned = np.zeros((blocks * block_size, count), np.float32)
        turned[:columns] = weight[part].T
        quantise(packed[part], turned, scales[part], zeros[part], block_size, count, columns, bits == 8)
    return Blocks(packed, scales, zeros if bits == 4 else None)


LARGEST_IN_COLUMN = 64  # pairs of products with unsigned bytes then fit into 16 bits


@dataclass(frozen=True)
class Columns:
    """A matrix by columns: ``values`` int8 [K, N] within -64 to 64, ``scales`` float32 [N]."""

    values: NDArray[np.int8]
    scales: NDArray[np.float32]


def in_columns(matrix: Matrix) -> Columns:
    """Quantise ``matrix`` [N, K] symmetrically with one scale for each of the N outputs.

    Signed, because unsigned weights take a kernel that was 2.6 times slower on a processor with VNNI. Half
    the range, because full signed bytes can overflow the 16-bit sums of one without; the activations' 8 bits
    for a whole tensor lose more than the weights' eighth bit.
    """
    weight = matrix[:]
    scales = np.abs(weight).max(axis=1) / LARGEST_IN_COLUMN
    scales[scales == 0] = 1.0
    values = np.rint(weight / scales[:, None]).astype(np.int8)
    return Columns(np.ascontiguousarray(values.T), scales.astype(np.float32))
