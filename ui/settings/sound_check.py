"""Two buttons to try the microphone and the speaker out, with what came of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from assistant.voice import sound_check
from assistant.voice.microphone import BlockSource
from models.errors import AsideError
from ui.gate import Gate
from ui.look import theme
from ui.look.form import button
from ui.look.theme import Theme
from ui.outside.pill import Level

_HEARD: Final = -45.0  # dBFS: louder than a quiet room
_PATIENCE: Final = 6000  # ms without a sound before it says so


class LevelTest(QWidget):
    """The level of the microphone, while it is on; `stop` ends it."""

    said = Signal(str)
    """What a person should know; "" is nothing."""
    failed = Signal(AsideError)

    def __init__(self, gate: Gate, listen: Callable[[], BlockSource]) -> None:
        """``listen`` gives what comes in from now on."""
        super().__init__()
        self._gate, self._listen = gate, listen
        self._cancel: threading.Event | None = None
        self.level = Level()
        self.level.hide()
        self.button: QPushButton = button(self.tr("Test"))
        self.button.clicked.connect(lambda: self.stop() if self.on else self.start())
        self._silence = QTimer(self)
        self._silence.setSingleShot(True)
        self._silence.setInterval(_PATIENCE)
        self._silence.timeout.connect(lambda: self.said.emit(self.tr("Nothing comes in. Is it muted?")))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.ROOM)
        row.addWidget(self.level)
        row.addWidget(self.button)

    @property
    def on(self) -> bool:
        """Whether the microphone is open, or about to be."""
        return self._cancel is not None

    def set_theme(self, colours: Theme) -> None:
        """The colour of the bars."""
        self.level.colour = colours.accent
        self.level.update()

    def start(self) -> None:
        """Open it."""
        self.stop()
        cancel = self._cancel = threading.Event()
        gate, source = self._gate, self._listen()
        self.level.reset()
        self.level.show()
        self.button.setText(self.tr("Stop"))
        self.said.emit(self.tr("Say something: the bars should move."))
        self._silence.start()

        def tell(dbfs: float) -> None:
            gate.post(lambda: self._show(cancel, dbfs))

        gate.run(lambda: sound_check.watch_level(source, tell, cancel), failed=partial(self._fail, cancel))

    def stop(self) -> None:
        """Close it."""
        if self._cancel is not None:
            self._cancel.set()
            self._cancel = None
        self._silence.stop()
        self.level.hide()
        self.button.setText(self.tr("Test"))
        self.said.emit("")

    def _show(self, of: threading.Event, dbfs: float) -> None:
        if of is self._cancel:
            self.level.push(dbfs)
            if dbfs > _HEARD:
                self._silence.stop()
                self.said.emit(self.tr("It hears you."))

    def _fail(self, of: threading.Event, error: AsideError) -> None:
        if of is self._cancel:
            self.stop()
            self.failed.emit(error)


class SampleButton(QPushButton):
    """Speaks a sentence, or stops it."""

    failed = Signal(AsideError)
    played = Signal()

    def __init__(self, gate: Gate, text: str, chosen: Callable[[], tuple[str, str]]) -> None:
        """``chosen`` gives the names of speaker and voice."""
        super().__init__(text)
        self.setProperty("kind", "quiet")
        self._gate, self._text, self._chosen = gate, text, chosen
        self._cancel: threading.Event | None = None
        self.clicked.connect(lambda: self.stop() if self._cancel is not None else self.start())

    def start(self) -> None:
        """Speak."""
        self.stop()
        cancel = self._cancel = threading.Event()
        device, voice = self._chosen()
        sentence = self.tr("Hello! This is how I sound.")
        self.setText(self.tr("Stop"))
        self._gate.run(
            lambda: sound_check.speak(sentence, device, voice, cancel),
            lambda _: self._end(cancel, None),
            lambda error: self._end(cancel, error),
        )

    def stop(self) -> None:
        """Be silent."""
        if self._cancel is not None:
            self._cancel.set()
            self._cancel = None
        self.setText(self._text)

    def _end(self, of: threading.Event, error: AsideError | None) -> None:
        if of is not self._cancel:
            return
        self.stop()
        if error is None:
            self.played.emit()
        else:
            self.failed.emit(error)
