"""What of the machine is in use now, and the log of what was used when.

    usage = Usage(folder / "usage.jsonl", changed)
    with Microphone(usage=usage) as microphone:    # the lamp is on from here
        ...                                        # and off when the handle is closed

Each handle of a device holds a `Lamp` from its opening to its close, so an indicator can't say anything else
than what is open. The log has one line for each use, written when it ends; it never leaves the machine.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args

Kind = Literal["microphone", "camera", "screen", "network"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

FILE: Final = "usage.jsonl"
"""The name of the log in the data folder."""
_LARGEST: Final = 1 << 20  # bytes; then the older half of the log is dropped


@dataclass(frozen=True)
class Use:
    """One use that has ended. ``began`` and ``ended`` are in seconds since 1970."""

    kind: Kind
    name: str
    began: float
    ended: float


class Lamp:
    """One open handle. `close` it with the handle; a second time does nothing. A context manager."""

    def __init__(self, usage: Usage, kind: Kind, name: str) -> None:
        self.kind = kind
        self.name = name
        self._usage = usage
        self._began = time.time()
        self._lit = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The handle is closed."""
        if self._lit.acquire(blocking=False):  # never released: only the first close counts
            self._usage._close(self, Use(self.kind, self.name, self._began, time.time()))


class Usage:
    """Which kinds are in use. Safe between threads; the one that opens or closes calls ``changed``."""

    def __init__(
        self, log: Path | None = None, changed: Callable[[frozenset[Kind]], None] = lambda _: None
    ) -> None:
        """Without ``log``, nothing is kept."""
        self._log = log
        self._changed = changed
        self._lock = threading.Lock()
        self._open: set[Lamp] = set()

    @property
    def now(self) -> frozenset[Kind]:
        """What is open at this moment."""
        with self._lock:
            return frozenset(lamp.kind for lamp in self._open)

    def open(self, kind: Kind, name: str = "") -> Lamp:
        """A handle was opened; the caller closes the lamp with it."""
        lamp = Lamp(self, kind, name)
        with self._lock:
            self._open.add(lamp)
        self._changed(self.now)
        return lamp

    def _close(self, lamp: Lamp, use: Use) -> None:
        with self._lock:
            self._open.discard(lamp)
            if self._log is not None:
                with suppress(OSError):  # a full disk must not keep a microphone open
                    _write(self._log, use)
        self._changed(self.now)


def read(log: Path) -> Iterator[Use]:
    """The uses in a log, the oldest first; lines that can't be read are left out."""
    with suppress(OSError):
        for line in log.read_text("utf-8", "replace").splitlines():
            with suppress(ValueError, TypeError, KeyError):
                use: dict[str, Any] = json.loads(line)
                yield Use(use["kind"], str(use["name"]), float(use["began"]), float(use["ended"]))


def _write(log: Path, use: Use) -> None:
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LARGEST:
        lines = log.read_bytes().splitlines(keepends=True)
        log.write_bytes(b"".join(lines[len(lines) // 2 :]))
    number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(number, "a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(use), ensure_ascii=False) + "\n")
