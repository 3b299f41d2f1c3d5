"""What the running application does and when, as lines of JSON: what `aside bench desktop` reads.

A timer of 1 ms in the GUI thread tells how long that thread was busy with something else. Of a long gap, the
processor's time of that thread and of the whole process tell own work from waiting for another thread or
process, and the events that took longest in it tell whose work. Times are those of `time.monotonic`, which is
the same in all processes of a machine.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer
from PySide6.QtWidgets import QApplication, QWidget

from assistant.timing import Times
from assistant.turn import State
from ui.window.main import Window
from ui.work import brain
from ui.work.brain import BrainEvent
from ui.work.conductor import Conductor

_BEAT: Final = 1  # ms
_TELL: Final = 0.25  # s between two lines about beats
_SLOW: Final = 0.004  # s: shorter gaps are only counted
_LONG: Final = 0.010  # s: what happened in longer gaps is told as well


@contextlib.contextmanager
def tracing(window: Window, conductor: Conductor, path: Path | None) -> Iterator[None]:
    """Write to a file; without one, nothing happens."""
    if path is None:
        yield
        return
    with contextlib.closing(Trace(window, conductor, path)):
        yield


class Trace(QObject):
    """Writes from here to `close`."""

    def __init__(self, window: Window, conductor: Conductor, path: Path) -> None:
        super().__init__()
        self._file = path.open("w", encoding="utf-8")
        self._window = window
        self._painted = 0
        self._beats, self._slow = 0, list[tuple[float, float]]()
        self._last = self._told = time.monotonic()
        self._used = self._processor()
        self._events = list[tuple[float, str]]()  # since the last beat: when each began, and what it is
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._look = QTimer(self)
        self._look.setSingleShot(True)
        self._look.timeout.connect(self._find_places)
        application = QApplication.instance()
        assert application is not None
        application.installEventFilter(self)
        self._viewport = window.transcript.viewport()
        self._moving = (window, window.side.list)
        window.side.list.model().rowsInserted.connect(lambda *_: self._look.start(0))
        conductor.changed.connect(self._changed)
        conductor.told.connect(self._heard)
        conductor.timed.connect(self._timed)
        self._mark("made")

    def close(self) -> None:
        """The last line is written."""
        self._timer.stop()
        self._file.close()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Called by Qt."""
        self._events.append((time.monotonic(), f"{type(watched).__name__} {event.type().name}"))
        if event.type() == QEvent.Type.Paint and not self._file.closed:
            if watched is self._window and not self._timer.isActive():
                self._timer.start(_BEAT)
                self._last = time.monotonic()
                QTimer.singleShot(0, lambda: self._mark("shown"))  # the paint is done by then
            elif watched is self._viewport:
                self._painted += 1
        elif event.type() == QEvent.Type.WindowActivate and watched is self._window:
            self._mark("active")
        elif event.type() in (QEvent.Type.Move, QEvent.Type.Resize) and watched in self._moving:
            self._look.start(0)
        return False

    def _beat(self) -> None:
        now = time.monotonic()
        gap, self._last = now - self._last, now
        self._beats += 1
        used = self._processor()
        if gap > _SLOW:
            self._slow.append((round(now, 4), round(gap, 4)))
        if gap > _LONG:
            own, every = (round(after - before, 4) for after, before in zip(used, self._used, strict=True))
            self._mark("gap", gap=round(gap, 4), own=own, process=every, events=self._longest(now))
        self._used = used
        self._events.clear()
        if now - self._told > _TELL:
            self._mark("beats", n=self._beats, slow=self._slow, painted=self._painted)
            self._told = now
            self._beats, self._slow, self._painted = 0, [], 0

    @staticmethod
    def _processor() -> tuple[float, float]:
        """Seconds that this thread and the process have had."""
        return time.thread_time(), time.process_time()

    def _longest(self, now: float) -> list[tuple[float, str]]:
        """The events of this gap that took longest, without those that came within them, in seconds."""
        ends = [began for began, _ in self._events[1:]] + [now]
        spans = zip(self._events, ends, strict=True)
        return sorted(((round(end - began, 4), what) for (began, what), end in spans), reverse=True)[:3]

    def _changed(self, state: State) -> None:
        self._mark("phase", phase=state.phase.value, turn=state.turn)

    def _heard(self, event: BrainEvent) -> None:
        match event:
            case brain.Loaded():
                self._mark("ready")
            case brain.LoadFailed(error):
                self._mark("failed", problem=str(error))
            case brain.Answered():
                self._mark("answered", turn=event.turn, generated=event.statistics.generated)

    def _timed(self, turn: int, times: Times) -> None:
        self._mark("times", turn=turn, **times.known())

    def _find_places(self) -> None:
        """Where on the screen the first conversation of the list and the middle of the window are."""
        side = self._window.side.list
        if side.count():
            first, middle = side.visualItemRect(side.item(0)).center(), self._window.rect().center()
            places = {"list": _on_screen(side.viewport(), first), "middle": _on_screen(self._window, middle)}
            self._mark("places", places=places)

    def _mark(self, what: str, **more: Any) -> None:
        if not self._file.closed:
            self._file.write(json.dumps({"t": time.monotonic(), "what": what, **more}) + "\n")
            self._file.flush()


def _on_screen(widget: QWidget, point: QPoint) -> tuple[int, int]:
    found = widget.mapToGlobal(point) * widget.devicePixelRatioF()
    return found.x(), found.y()
