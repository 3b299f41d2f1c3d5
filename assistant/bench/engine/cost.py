"""What a token costs at least: the weights that are read, and the products that are made with them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, helper

_HEAD = "lm_head."
_TABLES = ("GroupQueryAttention", "RotaryEmbedding", "Gather", "GatherBlockQuantized")


@dataclass(frozen=True)
class Cost:
    """Of one token without an adapter: ``bytes`` read when decoding, ``operations`` when prefilling.

    The head counts for decoding only: in a prompt, the last position alone needs it.
    """

    bytes: int
    operations: int


def graph_cost(path: Path) -> Cost:
    """The cost of a text graph, from its nodes; what lies in branches is an adapter's."""
    graph = onnx.load(path, format="protobuf", load_external_data=False).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    read: dict[str, int] = {}
    operations = 0
    for node in graph.node:
        if node.op_type in _TABLES:
            continue
        weights = [tensors[name] for name in node.input if name in tensors]
        read |= {tensor.name: _bytes(tensor) for tensor in weights}
        if not any(tensor.name.startswith(_HEAD) for tensor in weights):
            operations += 2 * _products(node, weights)
    return Cost(sum(read.values()), operations)


def _products(node: onnx.NodeProto, weights: list[TensorProto]) -> int:
    """Products that a node makes for one row with a constant matrix."""
    if node.op_type == "MatMulNBits":
        sizes = {attribute.name: attribute.i for attribute in node.attribute}
        return int(sizes["N"] * sizes["K"])
    if "MatMul" in node.op_type or node.op_type == "Gemm":
        return sum(math.prod(tensor.dims) for tensor in weights if len(tensor.dims) == 2)
    return 0


def _bytes(tensor: TensorProto) -> int:
    for entry in tensor.external_data:
        if entry.key == "length":
            return int(entry.value)
    size = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return int(math.prod(tensor.dims) * size)
