"""What the machine can do at most: bytes read from memory, products in float32 and in 8 bits."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

_TRIES: Final = 4
_LEAST: Final = 2**29  # bytes read at once
_CACHE: Final = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
_SHAPE: Final = (512, 3072, 8192)  # rows, inner, columns: a prefill's gate or up projection


class Machine:
    """The three ceilings, each the best of some tries, with so many threads."""

    def __init__(self, _path: str, threads: int) -> None:
        self._threads = threads
        self._graphs: dict[str, tuple[ort.InferenceSession, np.ndarray[Any, Any]]] = {}
        self._memory = np.ones(max(_LEAST, 2 * cache_bytes()) // 4, np.float32)

    def warm(self) -> float:
        """Nothing is slow the first time: the best of some tries counts."""
        return 0.0

    def read(self) -> float:
        """GB/s, of an array of twice the last level's cache."""
        parts = np.array_split(self._memory, 8 * self._threads)
        with ThreadPoolExecutor(self._threads) as pool:
            return self._memory.nbytes / 1e9 / _best(lambda: list(pool.map(lambda p: np.dot(p, p), parts)))

    def fp32(self) -> float:
        """GFLOP/s of onnxruntime's MatMul."""
        return self._products("MatMul", np.float32, np.float32)

    def int8(self) -> float:
        """GOP/s of onnxruntime's MatMulInteger, unsigned rows and signed weights."""
        return self._products("MatMulInteger", np.uint8, np.int8)

    def _products(self, kind: str, left: type[np.generic], right: type[np.generic]) -> float:
        if kind not in self._graphs:
            self._graphs[kind] = _product(kind, left, right, self._threads)
        session, rows = self._graphs[kind]
        rate = 2 * float(np.prod(_SHAPE)) / 1e9
        return rate / _best(lambda: session.run(None, {"x": rows}))


def cache_bytes() -> int:
    """Size of the last level's cache; 0 where it is not told."""
    try:
        text = _CACHE.read_text().strip()
    except OSError:
        return 0
    return int(text.removesuffix("K")) * 1024 if text.endswith("K") else 0


def _best(run: Callable[[], object]) -> float:
    """The fewest seconds of some tries."""
    found = []
    for _ in range(_TRIES):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


def _product(
    kind: str, left: type[np.generic], right: type[np.generic], threads: int
) -> tuple[ort.InferenceSession, np.ndarray[Any, Any]]:
    """A graph that multiplies its input by a constant matrix, and rows for it."""
    rows, inner, columns = _SHAPE
    random = np.random.default_rng(7)
    matrix = random.integers(-100, 100, (inner, columns)).astype(right)
    result = np.int32 if left is np.uint8 else left

    def kind_of(dtype: type[np.generic]) -> int:
        return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    weights = TensorProto(name="w", data_type=kind_of(right), dims=matrix.shape, raw_data=matrix.tobytes())
    graph = helper.make_graph(
        [helper.make_node(kind, ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", kind_of(left), [rows, inner])],
        [helper.make_tensor_value_info("y", kind_of(result), [rows, columns])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session, random.integers(0, 200, (rows, inner)).astype(left)
