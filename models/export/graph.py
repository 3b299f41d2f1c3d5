"""Writes one ONNX graph node by node, and its weights to disk as they come.

No torch and no tracing: a graph is a list of calls. Large arrays go at once to ``<name>.onnx.data`` beside
the graph and are released, so that the memory needed is that of the largest single tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike, NDArray
from onnx import TensorProto, helper

from models.export.quantize import FP32, Matrix, Precision, in_blocks, in_columns

OPSET = 21
MICROSOFT = "com.microsoft"
EXTERNAL_FROM = 1024  # bytes; smaller arrays stay inside the graph
PAGE = 4096  # large arrays start on a page, so that they can be mapped into memory
Dim = int | str | None


class WeightSource(Protocol):
    """Where weights come from: a checkpoint, or a generator of random ones."""

    def read(self, name: str) -> NDArray[np.float32]:
        """Return the tensor of this name as float32; raise CheckpointError when there is none."""

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Return rows ``start`` to ``stop`` of a matrix, without reading the others."""


@dataclass(frozen=True)
class Stored:
    """A matrix of the checkpoint that is read slice by slice."""

    source: WeightSource
    name: str
    shape: tuple[int, ...]

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        start, stop, _ = rows.indices(self.shape[0])
        return self.source.rows(self.name, start, stop)


class GraphWriter:
    """Builds ``<directory>/<name>.onnx``; use it as a context manager or call ``save`` or ``close``.

    Values are names (str). Every method that adds a node returns the name or names of its outputs.
    ``source`` serves ``parameter`` and ``linear``.
    """

    def __init__(self, name: str, directory: Path, source: WeightSource | None = None) -> None:
        self.name = name
        self.directory = directory
        self.source = source
        self._path = directory / f"{name}.onnx"
        self._data_path = directory / f"{name}.onnx.data"
        self._data: BinaryIO | None = None
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._scopes: list[dict[str, TensorProto]] = [{}]  # initializers, of the main graph first
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._counter = 0

    def __enter__(self) -> GraphWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the data file; the graph itself is only written by ``save``."""
        if self._data is not None:
            self._data.close()
            self._data = None

    # --- inputs, outputs, weights

    def input(
        self, name: str, dtype: DTypeLike, shape: Sequence[Dim], default: ArrayLike | None = None
    ) -> str:
        """Declare a graph input; with ``default`` it may be left out by the caller."""
        self._inputs.append(helper.make_tensor_value_info(name, _onnx_type(dtype), list(shape)))
        if default is not None:
            self._scopes[0][name] = _inline(name, np.asarray(default, dtype))
        return name

    def output(self, value: str, dtype: DTypeLike, shape: Sequence[Dim], name: str | None = None) -> str:
        """Declare ``value`` a graph output, under ``name`` if given (through an Identity node)."""
        if name is not None and name != value:
            value = self._add("Identity", [value], [name], "", {})[0]
        self._outputs.append(helper.make_tensor_value_info(value, _onnx_type(dtype), list(shape)))
        return value

    def weight(self, name: str, array: NDArray[Any]) -> str:
        """Store ``array`` as the initializer ``name``; from 1 KiB on it goes to the data file at once.

        In a branch or a loop's body it belongs to that subgraph: onnxruntime packs the weights of a node for
        its kernel only if they lie in the node's own graph or the one around it, and without that
        MatMulNBits is two hundred times slower.
        """
        if self._known(name):
            raise ValueError(f"the weight {name} was written twice to {self.name}")
        array = np.ascontiguousarray(array).reshape(array.shape)
        if array.nbytes < EXTERNAL_FROM:
            self._scopes[-1][name] = _inline(name, array)
        else:
            self._scopes[-1][name] = self._external(name, array)
        return name

    def parameter(
        self,
        name: str,
        precision: Precision = FP32,
        shape: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
    ) -> str:
        """Return the checkpoint's tensor ``name`` as an initializer; ``shape`` may rearrange it first.

        With an fp16 precision it is stored as float16 and cast; other precisions store float32 here.
        A second call with the same name returns the first one's value.
        """
        half = precision.format == "fp16"
        stored = f"{name}.fp16" if half else name
        if not self._known(stored):
            array = self.read(name)
            if shape is not None:
                array = shape(array)
            self.weight(stored, array.astype(np.float16) if half else array)
        return self.node("Cast", [stored], to=TensorProto.FLOAT) if half else stored

    def read(self, name: str) -> NDArray[np.float32]:
        """Return a tensor of the source as float32."""
        if self.source is None:
            raise ValueError(f"{self.name} was made without a source of weights")
        return self.source.read(name)

    def const(self, value: ArrayLike, dtype: DTypeLike = np.int64) -> str:
        """Return a small constant; equal constants share one initializer."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"const_{len(self._constants)}"
            self._scopes[0][name] = _inline(name, array)
            self._constants[key] = name
        return self._constants[key]

    # --- nodes

    def node(self, op: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        """Add a node with one output and return its name. An empty input name is an absent optional input."""
        return self._add(op, inputs, [self._fresh(op)], domain, attributes)[0]

    def nodes(
        self, op: str, inputs: Sequence[str], outputs: int, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node with several outputs and return their names."""
        return self._add(op, inputs, [self._fresh(op) for _ in range(outputs)], domain, attributes)

    def if_(
        self, condition: str, then: Callable[[], Sequence[str]], otherwise: Callable[[], Sequence[str]]
    ) -> list[str]:
        """Add an If node. The two functions add the branches' nodes and return their output values.

        Branches see every value of the graph around them. Only the branch taken is computed.
        """
        branches = [self._subgraph([], build) for build in (then, otherwise)]
        if len(branches[0].output) != len(branches[1].output):
            raise ValueError("both branches of an If must have the same number of outputs")
        return self.nodes(
            "If", [condition], len(branches[0].output), then_branch=branches[0], else_branch=branches[1]
        )

    def loop(
        self,
        trip_count: str,
        carried: Sequence[tuple[str, DTypeLike]],
        body: Callable[[str, list[str]], tuple[Sequence[str], Sequence[str]]],
    ) -> list[str]:
        """Add a Loop that runs ``trip_count`` (int64 scalar) times.

        ``carried`` are the initial loop-carried values with their types. ``body`` gets the iteration number
        and the carried values and returns the new carried values and the values to stack along a new first
        axis. Returns the final carried values, then the stacks.
        """
        iteration, going = self._fresh("iteration"), self._fresh("going")
        state = [self._fresh("carried") for _ in carried]
        inputs = [
            helper.make_tensor_value_info(iteration, TensorProto.INT64, []),
            helper.make_tensor_value_info(going, TensorProto.BOOL, []),
            *(
                helper.make_tensor_value_info(s, _onnx_type(t), None)
                for s, (_, t) in zip(state, carried, strict=True)
            ),
        ]
        outputs = 0

        def build() -> list[str]:
            nonlocal outputs
            new, stacks = body(iteration, state)
            outputs = len(new) + len(stacks)
            return [self.node("Identity", [going]), *new, *stacks]

        graph = self._subgraph(inputs, build)
        return self.nodes("Loop", [trip_count, "", *(value for value, _ in carried)], outputs, body=graph)

    # --- layers

    def linear(
        self,
        x: str,
        name: str,
        precision: Precision = FP32,
        *,
        bias: bool = False,
        scale: float = 1.0,
        weight: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
    ) -> str:
        """``x @ W.T (+ b)`` with the checkpoint's ``<name>.weight`` [out, in] and ``<name>.bias`` [out].

        ``scale`` multiplies the weight before it is stored; ``weight`` rearranges the tensor into [out, in]
        (for example a convolution of kernel size 1).
        """
        matrix = self.read(f"{name}.weight")
        if weight is not None:
            matrix = weight(matrix)
        if scale != 1.0:
            matrix = matrix * np.float32(scale)
        added = self.parameter(f"{name}.bias") if bias else ""
        return self.matmul(x, f"{name}.weight", matrix, precision, added)

    def matmul(self, x: str, name: str, matrix: Matrix, precision: Precision, bias: str = "") -> str:
        """``x @ matrix.T (+ bias)``; ``matrix`` [out, in] is stored under ``name`` in ``precision``."""
        rows, columns = matrix.shape
        if precision.format in ("int4", "int8"):
            block_size = precision.block_for(columns)
            blocks = in_blocks(matrix, precision.bits, block_size)
            packed = self.weight(f"{name}.packed", blocks.packed)
            scales = self.weight(f"{name}.scales", blocks.scales)
            zeros = "" if blocks.zeros is None else self.weight(f"{name}.zeros", blocks.zeros)
            inputs = [x, packed, scales, zeros, "", bias]
            while not inputs[-1]:
                inputs.pop()
            return self.node(
                "MatMulNBits",
                inputs,
                domain=MICROSOFT,
                K=columns,
                N=rows,
                bits=precision.bits,
                block_size=block_size,
                accuracy_level=4,
            )
        if precision.format == "rows8":
            largest = self.node("ReduceMax", [self.node("Abs", [x]), self.const([-1])], keepdims=1)
            largest = self.node("Max", [largest, self.const(1e-20, np.float32)])
            even = self.node("Div", [x, largest])  # what is quantised for all rows at once is so for each
            product = self.matmul(even, name, matrix, Precision("dynamic8"))
            product = self.node("Mul", [product, largest])
            return self.node("Add", [product, bias]) if bias else product
        if precision.format == "dynamic8":
            stored = in_columns(matrix)
            inputs = [
                x,
                self.weight(f"{name}.int8", stored.values),
                self.weight(f"{name}.scales", stored.scales),
            ]
            optional = ["", bias] if bias else []
            return self.node("DynamicQuantizeMatMul", [*inputs, *optional], domain=MICROSOFT)
        if precision.format == "fp16":
            half = self.weight(f"{name}.fp16", np.ascontiguousarray(matrix[:].astype(np.float16).T))
            right = self.node("Cast", [half], to=TensorProto.FLOAT)
        else:
            right = self.weight(name, np.ascontiguousarray(matrix[:].T))
        product = self.node("MatMul", [x, right])
        return self.node("Add", [product, bias]) if bias else product

    def layer_norm(self, x: str, name: str, epsilon: float = 1e-5) -> str:
        """LayerNormalization over the last axis with ``<name>.weight`` and ``<name>.bias``."""
        inputs = [x, self.parameter(f"{name}.weight"), self.parameter(f"{name}.bias")]
        return self.node("LayerNormalization", inputs, axis=-1, epsilon=epsilon)

    def rms_norm(self, x: str, name: str, epsilon: float) -> str:
        """RMSNorm over the last axis with ``<name>.weight``."""
        inputs = [x, self.parameter(f"{name}.weight")]
        return self.node("SimplifiedLayerNormalization", inputs, axis=-1, epsilon=epsilon, stash_type=1)

    def add_rms_norm(self, x: str, residual: str, name: str, epsilon: float) -> tuple[str, str]:
        """RMSNorm of ``x + residual`` with ``<name>.weight``, and that sum."""
        inputs = [x, residual, self.parameter(f"{name}.weight")]
        outputs = [self._fresh("normed"), "", "", self._fresh("residual")]
        self._add("SkipSimplifiedLayerNormalization", inputs, outputs, MICROSOFT, {"epsilon": epsilon})
        return outputs[0], outputs[3]

    def gelu(self, x: str, *, tanh: bool = False) -> str:
        """GELU, exact (erf) or with the tanh approximation."""
        return self.node("Gelu", [x], approximate="tanh" if tanh else "none")

    def swish(self, x: str) -> str:
        """``x * sigmoid(x)``, also called SiLU."""
        return self.node("Mul", [x, self.node("Sigmoid", [x])])

    def attention(self, query: str, key: str, value: str, scale: float, bias: str = "") -> str:
        """``softmax(query @ key.T * scale + bias) @ value`` on [batch, heads, time, head_dim] values.

        ``bias`` broadcasts to [batch, heads, query time, key time].
        """
        scaled = self.node("Mul", [query, self.const(scale, np.float32)])
        scores = self.node("MatMul", [scaled, self.node("Transpose", [key], perm=[0, 1, 3, 2])])
        if bias:
            scores = self.node("Add", [scores, bias])
        return self.node("MatMul", [self.node("Softmax", [scores], axis=-1), value])

    # --- shapes

    def dim(self, x: str, axis: int) -> str:
        """The size of one axis as int64 [1]."""
        return (
            self.node("Shape", [x], start=axis, end=axis + 1)
            if axis != -1
            else self.node("Shape", [x], start=-1)
        )

    def reshape(self, x: str, *dims: int | str) -> str:
        """Reshape to sizes that are numbers (0 keeps, -1 infers) or int64 [1] values of the graph."""
        if all(isinstance(d, int) for d in dims):
            return self.node("Reshape", [x, self.const(list(dims))])
        parts = [self.const([d]) if isinstance(d, int) else d for d in dims]
        return self.node("Reshape", [x, self.node("Concat", parts, axis=0)])

    def slice(self, x: str, start: int | str, end: int | str, axis: int) -> str:
        """``x[start:end]`` along ``axis``; bounds are numbers or int64 [1] values of the graph."""
        first = self.const([start]) if isinstance(start, int) else start
        last = self.const([end]) if isinstance(end, int) else end
        return self.node("Slice", [x, first, last, self.const([axis])])

    # --- writing

    def save(self) -> Path:
        """Write the .onnx file, close the data file and return the graph's path."""
        self.close()
        graph = helper.make_graph(
            self._nodes, self.name, self._inputs, self._outputs, list(self._scopes[0].values())
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="aside", ir_version=10)
        self._path.write_bytes(model.SerializeToString(deterministic=True))
        return self._path

    def _fresh(self, hint: str) -> str:
        self._counter += 1
        return f"{hint}_{self._counter}"

    def _add(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str], domain: str, attributes: dict[str, Any]
    ) -> list[str]:
        node = helper.make_node(op, list(inputs), list(outputs), domain=domain, **attributes)
        node.name = f"{op}_{outputs[0]}"
        self._nodes.append(node)
        return list(outputs)

    def _known(self, name: str) -> bool:
        return any(name in scope for scope in self._scopes)

    @contextmanager
    def _into(self, nodes: list[onnx.NodeProto]) -> Iterator[dict[str, TensorProto]]:
        """Collect nodes in ``nodes`` and weights in the scope that is given out."""
        outer, self._nodes = self._nodes, nodes
        self._scopes.append({})
        try:
            yield self._scopes[-1]
        finally:
            self._nodes = outer
            self._scopes.pop()

    def _subgraph(
        self, inputs: list[onnx.ValueInfoProto], build: Callable[[], Sequence[str]]
    ) -> onnx.GraphProto:
        nodes: list[onnx.NodeProto] = []
        with self._into(nodes) as weights:
            values = list(build())
            made = {name for node in nodes for name in node.output}
            # a subgraph may only return what it made itself
            values = [v if v in made else self.node("Identity", [v]) for v in values]
        outputs = [onnx.ValueInfoProto(name=v) for v in values]
        return helper.make_graph(nodes, self._fresh("subgraph"), inputs, outputs, list(weights.values()))

    def _external(self, name: str, array: NDArray[Any]) -> TensorProto:
        if self._data is None:
            self._data = self._data_path.open("wb")
        align = PAGE if array.nbytes >= PAGE else 64
        self._data.write(b"\0" * (-self._data.tell() % align))
        offset = self._data.tell()
        self._data.write(array.data)  # not tofile: its error does not say that the disk is full
        tensor = TensorProto(name=name, data_type=_onnx_type(array.dtype), dims=array.shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self._data_path.name), ("offset", offset), ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor


def _onnx_type(dtype: DTypeLike) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _inline(name: str, array: NDArray[Any]) -> TensorProto:
    return TensorProto(
        name=name, data_type=_onnx_type(array.dtype), dims=array.shape, raw_data=array.tobytes()
    )
