"""One gate off the GUI thread and one back.

Widgets never create threads: they give work to `Gate.run` and get its result in the GUI thread. Threads that
live longer (the engine's, the history's) come back through `Gate.post`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from PySide6.QtCore import QObject, Qt, Signal

from models.errors import AsideError, Cancelled, EngineError

_THREADS: Final = 6  # a recording, a voice, a file, and what a person starts beside them

T = TypeVar("T")


def worded(error: Exception) -> AsideError:
    """Any exception as one that a person can read."""
    if isinstance(error, AsideError):
        return error
    return EngineError(f"Something went wrong ({type(error).__name__}: {error}).", "Try it again.")


class Gate(QObject):
    """Belongs to the GUI thread. `close` waits for all work; nothing comes back after it."""

    _arrived = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="aside")
        self._closed = False
        self._arrived.connect(self._call, Qt.ConnectionType.QueuedConnection)

    def run(
        self,
        work: Callable[[], T],
        done: Callable[[T], Any] = lambda _: None,
        failed: Callable[[AsideError], Any] = lambda _: None,
    ) -> None:
        """Do ``work`` elsewhere, then call ``done`` or ``failed`` here; neither when it was cancelled."""
        if self._closed:
            return

        def carry_out() -> None:
            try:
                result = work()
            except Cancelled:
                return
            except Exception as error:  # the last resort: a thread must not die silently
                problem = worded(error)
                self.post(lambda: failed(problem))
            else:
                self.post(lambda: done(result))

        self._pool.submit(carry_out)

    def post(self, call: Callable[[], Any]) -> None:
        """Have ``call`` called in the GUI thread, in the order of posting. From any thread."""
        if not self._closed:
            self._arrived.emit(call)

    def close(self) -> None:
        """Let nothing in or out any more, and wait for what is under way."""
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _call(self, call: Callable[[], Any]) -> None:
        if not self._closed:
            call()
