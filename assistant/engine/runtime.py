"""onnxruntime as the engine uses it: one place for session options, runs that can be stopped, and errors."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import onnxruntime as ort
import psutil
from numpy.typing import NDArray

from models.errors import Cancelled, ContextError, EngineError, PackageError
from models.package import PackageInfo

Feeds = Mapping[str, NDArray[Any]]

_POLL: Final = 0.01  # seconds between looks at `cancel` while a graph runs
_SPARE: Final = 128 * 2**20  # bytes for everything but the weights
_GIVE_BACK: Final = ("memory.enable_memory_arena_shrinkage", "cpu:0")


def check_memory(package: PackageInfo) -> None:
    """Raise EngineError if the language model doesn't fit into the memory that is free now."""
    names = [package.graphs[graph] for graph in ("text", "embedding")]
    needed = sum(size for name, size in package.files.items() if name.startswith(tuple(names)))
    free = psutil.virtual_memory().available
    if needed + _SPARE > free:
        raise EngineError(
            f"The model {package.name} needs {(needed + _SPARE) / 2**30:.1f} GB of memory, "
            f"{free / 2**30:.1f} GB are free.",
            "Close other programs, or use a smaller model.",
        )


def check_room(needed: int) -> None:
    """Raise ContextError if so many bytes more, for keys and values, are not free now."""
    free = psutil.virtual_memory().available
    if needed + _SPARE > free:
        raise ContextError(
            f"The conversation needs {(needed + _SPARE) / 2**30:.1f} GB of memory, "
            f"{free / 2**30:.1f} GB are free.",
            "Close other programs, leave out a picture or a recording, or start a new conversation.",
        )


def open_graph(path: Path, threads: int) -> ort.InferenceSession:
    """Load one graph of a checked package on the CPU. Raises PackageError if onnxruntime refuses it.

    Its threads wait by spinning while a graph runs and sleep as soon as the run is over: an idle engine costs
    nothing.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; warnings about weights shared between graphs help nobody
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise PackageError(
            f"The graph {path.name} can't be loaded: {error}", "Build the package again, or fetch it again."
        ) from error


class Runner:
    """Runs graphs until ``cancel`` is set, which stops even a run in progress, at its next operator.

    Use it as a context manager: it watches ``cancel`` in a thread of its own.
    """

    def __init__(self, cancel: threading.Event | None = None) -> None:
        self._cancel = cancel
        self._over = threading.Event()
        self._plain = ort.RunOptions()
        self._frugal = ort.RunOptions()
        self._frugal.add_run_config_entry(*_GIVE_BACK)
        self._watch = threading.Thread(target=self._watcher, name="engine-cancel", daemon=True)

    def __enter__(self) -> Self:
        if self._cancel is not None:
            self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._watch.is_alive():
            self._watch.join()

    def check(self) -> None:
        """Raise Cancelled if somebody asked to stop."""
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled("Stopped.")

    def encode(self, session: ort.InferenceSession, feeds: Feeds) -> NDArray[np.float32]:
        """Run an encoder's graph and return its only output; its working memory is given back afterwards."""
        self.check()
        try:
            result: NDArray[np.float32] = session.run(None, dict(feeds), self._frugal)[0]
        except Exception as error:
            raise self._explained(error) from error
        return result

    def run(self, session: ort.InferenceSession, binding: ort.IOBinding) -> None:
        """Run a graph with its inputs and outputs bound."""
        self.check()
        try:
            session.run_with_iobinding(binding, self._plain)
        except Exception as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> Exception:
        if self._cancel is not None and self._cancel.is_set():
            return Cancelled("Stopped.")
        return EngineError(f"The model failed: {error}", "Try again with less input, or restart Aside.")

    def _watcher(self) -> None:
        assert self._cancel is not None
        while not self._over.is_set():
            if self._cancel.wait(_POLL):
                self._plain.terminate = True
                self._frugal.terminate = True
                return
