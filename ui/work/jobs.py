"""What a thread is to do, one after another; what is done ahead of time gives way to what is urgent."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Final

Job = Callable[[], None]


class Jobs:
    """Safe between threads."""

    def __init__(self) -> None:
        self._queue: Final[queue.Queue[tuple[Job | None, bool]]] = queue.Queue()
        self._lock = threading.Lock()
        self._urgent = 0
        self._ended = threading.Event()
        self.none = Waiting(self._ended, lambda: False)
        """Set when there is nothing more to do at all."""
        self.any = Waiting(self._ended, lambda: not self._queue.empty())
        """Set while something waits."""
        self.urgent = Waiting(self._ended, lambda: self._urgent > 0)
        """Set while something waits that is not patient."""

    def put(self, job: Job, patient: bool = False) -> None:
        """Add a job; a ``patient`` one lets what is done ahead of it come to its end."""
        with self._lock:
            self._urgent += not patient
        self._queue.put((job, patient))

    def end(self) -> None:
        """Let nothing be done any more."""
        self._ended.set()
        self._queue.put((None, True))

    def get(self) -> Job | None:
        """Wait for the next one; None at the end."""
        while True:
            job, patient = self._queue.get()
            if not patient:
                with self._lock:
                    self._urgent -= 1
            if job is None or not self._ended.is_set():
                return job


class Waiting(threading.Event):
    """Set when an event is, or while a condition holds."""

    def __init__(self, event: threading.Event, condition: Callable[[], bool]) -> None:
        super().__init__()
        self._event, self._condition = event, condition

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._event.is_set() or self._condition()
