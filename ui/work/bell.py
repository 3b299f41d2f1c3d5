"""Timers and alarms that ring: a message of the tray, a card, and a sound until somebody dismisses it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from PySide6.QtCore import QObject, Signal

from assistant.tools.ringer import Ring, Ringer
from assistant.tools.schedule import Schedule, Timer
from assistant.voice.chime import chime
from assistant.voice.speaker import SoundSink, Speaker
from models.errors import AsideError, Cancelled
from ui.gate import Gate

_LONGEST: Final = 60.0  # s of sound
_MISSED: Final = 60.0  # s late: nothing ran when it should have rung


class Bell(QObject):
    """Belongs to the GUI thread. `close` ends the sound and the thread that looks at the clock."""

    rings = Signal(str, str)
    """Something rings: its key, and a sentence."""
    dismissed = Signal(str)
    """It has been heard."""
    problem = Signal(AsideError)

    def __init__(
        self, gate: Gate, schedule: Schedule, open_speaker: Callable[[], SoundSink] = Speaker
    ) -> None:
        super().__init__()
        self._gate = gate
        self._open_speaker = open_speaker
        self._ringing: dict[str, threading.Event] = {}
        self._ringer = Ringer(schedule, lambda ring: gate.post(partial(self._ring, ring)))

    def dismiss(self, key: str) -> None:
        """It has been heard: be silent."""
        heard = self._ringing.pop(key, None)
        if heard is not None:
            heard.set()
            self.dismissed.emit(key)

    def close(self) -> None:
        """Ring no more; what is pending rings at the next start."""
        self._ringer.close()
        for heard in self._ringing.values():
            heard.set()

    def _ring(self, ring: Ring) -> None:
        key = ring.entry.id
        heard = self._ringing[key] = threading.Event()
        self.rings.emit(key, self._sentence(ring))
        if ring.late < _MISSED:
            self._gate.run(partial(self._sound, heard), failed=self.problem.emit)

    def _sound(self, heard: threading.Event) -> None:
        """The chime again and again. Raises DeviceError."""
        speaker, sound = self._open_speaker(), chime()
        try:
            for _ in range(round(_LONGEST / sound.seconds)):
                speaker.play(sound)
                speaker.wait(heard)
        except Cancelled:
            pass
        finally:
            speaker.close()

    def _sentence(self, ring: Ring) -> str:
        entry = ring.entry
        if isinstance(entry, Timer):
            text = self.tr("The timer of {n} minutes is over.").replace("{n}", f"{entry.seconds / 60:g}")
        elif entry.about:
            text = self.tr("It is {time}. Reminder: {text}").replace("{time}", f"{entry.at:%H:%M}")
            text = text.replace("{text}", entry.about)
        else:
            text = self.tr("It is {time}: the alarm rings.").replace("{time}", f"{entry.at:%H:%M}")
        if ring.late >= _MISSED:
            text += " " + self.tr("That was {n} minutes ago, when Aside was not running.").replace(
                "{n}", f"{ring.late / 60:.0f}"
            )
        return text
