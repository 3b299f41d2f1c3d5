"""onnxruntime as the engine uses it: one place for session options, runs that can be stopped, and errors."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from assistant.engine import devices
from assistant.engine.protocol import EngineSettings
from models.errors import Cancelled, EngineError, PackageError

Feeds = Mapping[str, NDArray[Any]]

_POLL: Final = 0.01  # seconds between looks at `cancel` while a graph runs
_GIVE_BACK: Final = ("memory.enable_memory_arena_shrinkage", "cpu:0")


Port = tuple[str, list[int | None]]
"""Element type, and length of each axis; None is any length."""


def open_graph(
    path: Path,
    settings: EngineSettings,
    inputs: Mapping[str, Port],
    outputs: Mapping[str, Port],
    arena: bool = True,
) -> ort.InferenceSession:
    """Load one graph of a checked package on the device; `Runner.encode` needs the arena.

    Raises PackageError if onnxruntime refuses it, or if the inputs that it must get or its outputs are others
    than these, which follow from genai_config.json, and DeviceError if the device can't be used. Its threads
    sleep as soon as a run is over: an idle engine costs nothing.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; warnings about weights shared between graphs help nobody
    options.enable_cpu_mem_arena = arena
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(settings.spinning)))
    options.add_session_config_entry("session.force_spinning_stop", "1")
    chosen = devices.providers(settings.device)
    try:
        session = ort.InferenceSession(str(path), options, providers=chosen)
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise PackageError(
            f"The graph {path.name} can't be loaded: {error}", "Build the package again, or fetch it again."
        ) from error
    if chosen[0] not in session.get_providers():  # as when a driver is missing
        raise devices.cannot(settings.device)
    for wanted, found in ((inputs, session.get_inputs()), (outputs, session.get_outputs())):
        _check_fit(path.name, wanted, {value.name: (value.type, value.shape) for value in found})
    return session


def _check_fit(graph: str, wanted: Mapping[str, Port], found: Mapping[str, tuple[str, list[Any]]]) -> None:
    """Raise PackageError if a graph's inputs or outputs are not those wanted; its axes may be symbolic."""
    for name in sorted(wanted.keys() | found.keys()):
        kind, axes = wanted.get(name, ("nothing", []))
        its_kind, its_axes = found.get(name, ("nothing", []))
        same = len(axes) == len(its_axes) and all(
            mine is None or not isinstance(its, int) or its == mine
            for mine, its in zip(axes, its_axes, strict=True)
        )
        if kind != its_kind or not same:
            raise PackageError(
                f"{graph} does not fit genai_config.json: {name} should be {_described(kind, axes)}, and is "
                f"{_described(its_kind, its_axes)}.",
                "Aside runs packages for the CPU, in float32: build or fetch one of these.",
            )


def _described(kind: str, axes: Sequence[int | str | None]) -> str:
    """A port in words: ``float [?, 3072]``."""
    lengths = ", ".join(str(axis) if isinstance(axis, int) else "?" for axis in axes)
    return f"{kind.removeprefix('tensor(').rstrip(')')} [{lengths}]" if axes else kind


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
