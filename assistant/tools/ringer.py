"""Rings what is due. However many processes look at one schedule, one of them rings."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Final, Self

from assistant import atomic
from assistant.tools.schedule import Entry, Now, Schedule
from models.errors import ToolError

_LOOK: Final = 1.0  # s between looks at the clocks, which may have been set, and at the file
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ring:
    """A timer or an alarm rings, ``late`` seconds after its time: many, if nothing ran at that time."""

    entry: Entry
    late: float


class Ringer:
    """Calls ``on_ring`` from a thread of its own; it must not raise. Close it, or use it as a context.

    What rang is removed after ``on_ring`` has returned: what a crash cuts off rings again at the next start.
    """

    def __init__(self, schedule: Schedule, on_ring: Callable[[Ring], None]) -> None:
        self._schedule = schedule
        self._on_ring = on_ring
        self._rung: set[str] = set()
        self._lock: IO[bytes] | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ringer")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ring no more; what is pending stays in the file."""
        self._closed.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        wait, told = 0.0, ""
        try:
            while not self._closed.wait(wait):
                wait = _LOOK
                try:
                    if self._mine():
                        wait = min(_LOOK, self._ring())
                    told = ""
                except (ToolError, OSError) as error:  # the disk may be back soon
                    if str(error) != told:
                        _log.warning("%s", error)
                    told = str(error)
        finally:
            if self._lock is not None:
                self._lock.close()

    def _mine(self) -> bool:
        """Whether this is the one that rings."""
        if self._lock is None:
            self._lock = _take(self._schedule)
            if self._lock is not None:
                self._schedule.anchor()
        return self._lock is not None

    def _ring(self) -> float:
        """Ring what is due; seconds until the next one is."""
        now = Now.read()
        entries = [entry for entry in self._schedule.pending() if entry.id not in self._rung]
        if any(entry.anchored(now) != entry for entry in entries):
            self._schedule.anchor()
            entries = [entry.anchored(now) for entry in entries]
        due = sorted((entry for entry in entries if entry.late(now) >= 0), key=lambda e: -e.late(now))
        for entry in due:
            self._rung.add(entry.id)
            try:
                self._on_ring(Ring(entry, entry.late(now)))
            except Exception:  # the others must still ring
                _log.exception("What should ring %s failed", entry.id)
        if due:
            self._schedule.cancel(*self._rung)
        return min((max(0.001, -e.late(now)) for e in entries if e not in due), default=_LOOK)


def is_watched(schedule: Schedule) -> bool:
    """Whether some process will ring."""
    lock = _take(schedule)
    if lock is not None:
        lock.close()
    return lock is None


def _take(schedule: Schedule) -> IO[bytes] | None:
    """The lock of the one that rings; None if another has it. Raises OSError."""
    atomic.make_folder(schedule.path.parent)
    lock = schedule.path.with_name(schedule.path.name + ".ringer").open("ab")
    if atomic.try_lock(lock):
        return lock
    lock.close()
    return None
