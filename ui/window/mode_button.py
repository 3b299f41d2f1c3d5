"""What is done with speech, and a small menu to choose it."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QMenu, QToolButton

from assistant.modes import CHAT, Mode, Name
from models.prompts import LANGUAGES

_KEYS: Final = {"chat": "Ctrl+1", "transcribe": "Ctrl+2", "translate": "Ctrl+3"}


def words(mode: Mode) -> str:
    """What a mode does, for buttons and as the name of a turn."""
    say = QCoreApplication.translate
    if mode.name == "chat":
        return say("Modes", "Chat")
    if mode.name == "transcribe":
        return say("Modes", "Transcribe")
    return say("Modes", "Translate to {language}").replace("{language}", language(mode.language))


def language(name: str) -> str:
    """The name of a language in that of the window."""
    say = QCoreApplication.translate
    return {
        "English": say("Modes", "English"),
        "Chinese": say("Modes", "Chinese"),
        "German": say("Modes", "German"),
        "French": say("Modes", "French"),
        "Italian": say("Modes", "Italian"),
        "Japanese": say("Modes", "Japanese"),
        "Spanish": say("Modes", "Spanish"),
        "Portuguese": say("Modes", "Portuguese"),
    }[name]


class ModeButton(QToolButton):
    """Shows the mode; its menu has all of them, and the languages to translate to."""

    chosen = Signal(object)
    """A `Mode`."""

    def __init__(self) -> None:
        super().__init__()
        self.mode = CHAT
        self._language = "English"
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._fill)
        self.setMenu(self._menu)
        self._show()

    def choose(self, mode: Mode) -> None:
        """Another mode."""
        self.mode = mode
        self._language = mode.language
        self._show()
        self.chosen.emit(mode)

    def choose_name(self, name: Name) -> None:
        """Another mode by its name; the language is that of the last time."""
        self.choose(Mode(name, self._language))

    def _show(self) -> None:
        self.setText(f"{words(self.mode)} ▾")
        self.setAccessibleName(
            self.tr("What is done with speech: {mode}").replace("{mode}", words(self.mode))
        )
        self.setToolTip(self.tr("What is done with speech (Ctrl+1, Ctrl+2, Ctrl+3)"))

    def _fill(self) -> None:
        self._menu.clear()
        group = QActionGroup(self._menu)
        for mode in (CHAT, Mode("transcribe", self._language), Mode("translate", self._language)):
            action = self._menu.addAction(f"{words(mode)}\t{_KEYS[mode.name]}")
            action.setCheckable(True)
            action.setChecked(mode.name == self.mode.name)
            action.triggered.connect(lambda _=False, mode=mode: self.choose(mode))
            group.addAction(action)
        other = self._menu.addMenu(self.tr("Translate to"))
        for name in LANGUAGES:
            action = other.addAction(language(name))
            action.triggered.connect(lambda _=False, name=name: self.choose(Mode("translate", name)))
