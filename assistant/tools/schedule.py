"""Timers and alarms in a small file: they survive a restart, and a change of the clock.

A timer runs by a clock that nobody can set and that goes on while the machine sleeps. After the machine was
started anew, only the wall clock tells how much of it is over. An alarm belongs to a time of day, so it
follows the wall clock, wherever that is set. `assistant.tools.ringer` does the ringing.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from assistant import atomic
from models.errors import ToolError
from models.json_files import parse_object

_MOST: Final = 100
_DAY: Final = timedelta(hours=25)  # the longest one, when summer time ends
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Now:
    """This moment: seconds since ``boot`` that nobody can set, Unix time, and the local time."""

    steady: float
    wall: float
    local: datetime
    boot: str

    @classmethod
    def read(cls) -> Now:
        """Look at the clocks."""
        return cls(
            _steady(), time.time(), datetime.now(), _boot()
        )  # naive: an alarm has the time of the place


@dataclass(frozen=True)
class Timer:
    """``seconds`` long; over at ``steady`` of the clock of ``boot``, or else at Unix time ``wall``."""

    id: str
    seconds: float
    boot: str
    steady: float
    wall: float

    def late(self, now: Now) -> float:
        """Seconds since it was over; negative before."""
        if self.boot and self.boot == now.boot:
            return now.steady - self.steady
        return max(now.wall - self.wall, -self.seconds)  # a clock that was set back doesn't make it longer

    def time(self, now: Now) -> datetime:
        """The local time at which it is over."""
        return datetime.fromtimestamp(now.wall - self.late(now))

    def anchored(self, now: Now) -> Timer:
        """The same timer by the clock that runs now."""
        if self.boot == now.boot:
            return self
        late = self.late(now)
        return replace(self, boot=now.boot, steady=now.steady - late, wall=now.wall - late)


@dataclass(frozen=True)
class Alarm:
    """Rings at a local time; a reminder is ``about`` something."""

    id: str
    at: datetime
    about: str = ""

    def late(self, now: Now) -> float:
        """Seconds since its time; negative before."""
        return (now.local - self.at).total_seconds()

    def time(self, _now: Now) -> datetime:
        """The local time at which it rings."""
        return self.at

    def anchored(self, now: Now) -> Alarm:
        """The same alarm; no more than a day ahead, as after the clock was set back."""
        return self if self.at - now.local <= _DAY else replace(self, at=_next(now.local, self.at))


Entry = Timer | Alarm
_Entry = TypeVar("_Entry", Timer, Alarm)


class Schedule:
    """The file. Any process may set and cancel. Methods raise ToolError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def set_timer(self, minutes: int) -> Timer:
        """Start a timer."""
        now = Now.read()
        seconds = 60.0 * minutes
        return self._add(Timer(_id(), seconds, now.boot, now.steady + seconds, now.wall + seconds))

    def set_alarm(self, clock: str, about: str = "") -> Alarm:
        """Set an alarm for the next time that it is ``07:30``; ``about`` is what to be reminded of."""
        try:
            wanted = datetime.strptime(clock, "%H:%M")
        except ValueError:
            raise ToolError(f"There is no time {clock}.") from None
        return self._add(Alarm(_id(), _next(Now.read().local, wanted), about))

    def pending(self) -> list[Entry]:
        """What has not rung. A damaged file is set aside."""
        try:
            data = atomic.read(self.path)
            try:
                return _entries(data)
            except ToolError:
                with atomic.locked(self.path):
                    return self._mended()
        except OSError as error:
            raise self._failed(error) from error

    def cancel(self, *ids: str) -> None:
        """Remove entries; those that there are not don't matter."""
        self._change(lambda entries: [entry for entry in entries if entry.id not in ids])

    def anchor(self) -> None:
        """Write all entries by the clocks that run now."""
        now = Now.read()
        self._change(lambda entries: [entry.anchored(now) for entry in entries])

    def _add(self, entry: _Entry) -> _Entry:
        def added(entries: list[Entry]) -> list[Entry]:
            if len(entries) >= _MOST:
                raise ToolError(f"There are {_MOST} timers and alarms already.")
            return [*entries, entry]

        self._change(added)
        return entry

    def _change(self, change: Callable[[list[Entry]], list[Entry]]) -> None:
        try:
            with atomic.locked(self.path):
                before = self._mended()
                after = change(before)
                if after != before:
                    atomic.replace(self.path, _document(after))
        except OSError as error:
            raise self._failed(error) from error

    def _mended(self) -> list[Entry]:
        try:
            return _entries(atomic.read(self.path))
        except ToolError as error:
            aside = atomic.set_aside(self.path)
            _log.warning("%s It is now called %s.", error.what, aside.name)
            return []

    def _failed(self, error: OSError) -> ToolError:
        return ToolError(f"Timers and alarms can't be kept: {atomic.reason(error)}.")


def _next(now: datetime, clock: datetime) -> datetime:
    """The next time after ``now`` that the clock shows what ``clock`` shows."""
    at = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
    return at if at > now else at + timedelta(days=1)


def _id() -> str:
    return secrets.token_hex(4)


def _document(entries: Iterable[Entry]) -> bytes:
    listed = [
        {"kind": "timer", **asdict(e)}
        if isinstance(e, Timer)
        else {"kind": "alarm", **asdict(e), "at": str(e.at)}
        for e in entries
    ]
    return json.dumps({"entries": listed}, indent=2).encode()


def _entries(data: bytes | None) -> list[Entry]:
    """Raises ToolError if the file is damaged."""
    if data is None:
        return []
    listed = parse_object(data, "The file of timers and alarms", ToolError).get("entries")
    if not isinstance(listed, list):
        raise ToolError("The file of timers and alarms has no list of them.")
    return [_entry(one) for one in listed]


def _entry(value: Any) -> Entry:
    try:
        if value["kind"] == "alarm":
            at = datetime.fromisoformat(value["at"])
            return Alarm(str(value["id"]), at.replace(tzinfo=None), str(value.get("about", "")))
        times = [float(value[name]) for name in ("seconds", "steady", "wall")]
        if not all(map(math.isfinite, times)):
            raise ValueError(times)
        return Timer(str(value["id"]), times[0], str(value["boot"]), times[1], times[2])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ToolError("The file of timers and alarms is damaged.") from None


def _steady() -> float:
    """Seconds that also count the machine's sleep, where the system has such a clock."""
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        if hasattr(time, name):
            return time.clock_gettime(getattr(time, name))
    return time.monotonic()


def _boot() -> str:
    """What differs after each start of the machine; "" where the system doesn't tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
