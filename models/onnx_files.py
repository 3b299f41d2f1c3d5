"""Looks at an ONNX file without loading its weights: where its external data lie, and whether they are there.

onnxruntime before 1.24.1 followed ``../`` and absolute paths; newer ones refuse them. This check doesn't
rely on either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import onnx
from onnx import TensorProto

from models.errors import PackageError

_FETCH: Final = "Fetch or build it again."
_EXTERNAL_KEYS: Final = frozenset(("location", "offset", "length", "checksum"))
_DOMAINS: Final = frozenset(("", "ai.onnx", "ai.onnx.ml", "com.microsoft"))


def check_graph(folder: Path, name: str, files: Mapping[str, int]) -> None:
    """Check one graph of a package; ``files`` are the package's files with their sizes in bytes.

    Raises PackageError when it can't be parsed, uses operators from elsewhere, or refers to data that lie
    outside the folder, are missing or are cut.
    """
    if not name.endswith(".onnx"):  # onnxruntime reads other formats by other names
        raise PackageError(f"{name} is not called .onnx.", _FETCH)
    try:
        model = onnx.load(folder / name, format="protobuf", load_external_data=False)
    except Exception as error:  # protobuf raises several kinds, by implementation
        raise PackageError(f"{name} is damaged: {error}.", _FETCH) from error
    if not model.graph.output:
        raise PackageError(f"{name} is damaged: it has no outputs.", _FETCH)
    foreign = sorted({opset.domain for opset in model.opset_import} - _DOMAINS)
    if foreign:
        raise PackageError(
            f"{name} needs operators that onnxruntime does not have: {', '.join(foreign)}.",
            "Get the model from a source you trust.",
        )
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL:
            _check_external(name, tensor, files)


def block_sizes(path: Path) -> dict[str, int]:
    """The block size of each weight that a graph stores in blocks, by the weight's name, at any depth."""
    graph = onnx.load(path, format="protobuf", load_external_data=False).graph
    weights = {"MatMulNBits": 1, "GatherBlockQuantized": 0}  # which input
    return {
        node.input[weights[node.op_type]]: attribute.i
        for node in _nodes(graph)
        if node.op_type in weights
        for attribute in node.attribute
        if attribute.name == "block_size"
    }


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


def _check_external(name: str, tensor: TensorProto, files: Mapping[str, int]) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if entries.keys() - _EXTERNAL_KEYS:
        raise PackageError(
            f"{name} refers to data in an unknown way: {', '.join(sorted(entries))}.",
            "Get the model from a source you trust.",
        )
    location = entries.get("location", "")
    if location not in files or set(location) & set("/\\:\0"):
        outside = set(location) & set("/\\:\0") or location in ("", ".", "..")
        problem = (
            f"{name} refers to data outside the package: {location!r}."
            if outside
            else f"{location} is missing: {name} has its weights there."
        )
        raise PackageError(
            problem, "Don't use it: get the model from a source you trust." if outside else _FETCH
        )
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", 0))
    except ValueError as error:
        raise PackageError(f"{name} is damaged: a weight lies at {entries!r}.", _FETCH) from error
    if offset < 0 or length < 0 or offset + length > files[location]:
        raise PackageError(
            f"{location} is cut: it has {files[location]:,} bytes, {name} needs {offset + length:,}.", _FETCH
        )


def _tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """Every tensor of a model, at any depth."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)
        yield from _attribute_tensors(function.attribute_proto)
    for training in model.training_info:
        yield from _graph_tensors(training.initialization)
        yield from _graph_tensors(training.algorithm)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        yield from _attribute_tensors(node.attribute)


def _attribute_tensors(attributes: Iterable[onnx.AttributeProto]) -> Iterator[TensorProto]:
    for attribute in attributes:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        if attribute.HasField("sparse_tensor"):
            yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
        for sparse in attribute.sparse_tensors:
            yield from (sparse.values, sparse.indices)
        if attribute.HasField("g"):
            yield from _graph_tensors(attribute.g)
        for graph in attribute.graphs:
            yield from _graph_tensors(graph)
