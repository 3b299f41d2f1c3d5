"""The page of the first start: what Aside does, what the built-in model can't, and whether sound works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from assistant.settings import Settings
from assistant.voice.microphone import BlockSource
from models import package
from models.package import PackageInfo
from ui.gate import Gate
from ui.look import icons, theme
from ui.look.form import Page, alive, button, label
from ui.look.nano_words import spoken
from ui.look.theme import Theme
from ui.outside import hotkeys
from ui.settings.choices import Choices
from ui.settings.sound_check import LevelTest, SampleButton

_WIDEST: Final = 800  # logical pixels of the cards
_PICTURE: Final = 32  # logical pixels


class _Way(QFrame):
    """One way to ask: a picture, its name, and how."""

    def __init__(self, icon: str, name: str) -> None:
        super().__init__()
        self.setObjectName("card")
        self._icon = icon
        self._picture = QLabel()
        self.how = label("", "small")
        self.how.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.MinimumExpanding)
        self.how.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeading)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.WIDE, theme.WIDE, theme.WIDE, theme.WIDE)
        column.setSpacing(theme.GAP)
        column.addWidget(self._picture)
        column.addWidget(label(name, "section"))
        column.addWidget(self.how, 1)

    def set_theme(self, colours: Theme) -> None:
        """The picture's colour."""
        self._picture.setPixmap(icons.icon(self._icon, colours.accent).pixmap(_PICTURE, _PICTURE))


class FirstStart(QWidget):
    """Shown once. `leave` closes what it opened. What doesn't fit is scrolled; the button stays in sight."""

    started = Signal()
    """The person has seen it."""
    more = Signal()
    """The person wants to know how to get the real model."""

    def __init__(self, choices: Choices, gate: Gate, listen: Callable[[], BlockSource]) -> None:
        super().__init__()
        self._choices = choices
        page = self._page = Page(
            choices,
            self.tr("Speak, show, ask."),
            self.tr("Aside answers on this machine. Nothing you say or show leaves it."),
            _WIDEST,
        )
        page.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._ways = [
            _Way("microphone", self.tr("Speak")),
            _Way("screen", self.tr("Show")),
            _Way("attach", self.tr("Type")),
        ]
        self._ways[2].how.setText(self.tr("Write a question. Paste or drop pictures, recordings and PDFs."))
        ways = QWidget()
        row = QHBoxLayout(ways)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.ROOM)
        for way in self._ways:
            row.addWidget(way, 1)
        page.add(ways)
        card = page.card()
        more = button(self.tr("How to get the real model"))
        more.clicked.connect(self.more)
        self._model = card.row(self.tr("A small model, nano, is built in"), more)
        card = page.card(self.tr("Can you hear each other?"))
        self.test = LevelTest(gate, listen)
        self.test.button.setAccessibleName(self.tr("Test the microphone"))
        heard = card.row(self.tr("Microphone"), self.test)
        self.test.said.connect(heard.say)
        self.test.said.connect(lambda _: heard.fail(""))
        self.test.failed.connect(heard.fail)
        self.sample = SampleButton(
            gate, self.tr("Play a sound"), lambda: (choices.now.sound.speaker, choices.now.sound.voice)
        )
        played = card.row(self.tr("Speaker"), self.sample)
        self.sample.setAccessibleName("")
        self.sample.clicked.connect(lambda: played.fail(""))
        self.sample.failed.connect(played.fail)
        self.preroll = page.switch(
            card,
            "privacy.preroll",
            self.tr("Keep the microphone open"),
            self.tr("No first word is lost. Otherwise it is only open while you speak."),
        )
        self.autostart = page.switch(card, "interface.autostart", self.tr("Start at login"))
        self.start_button = QPushButton(self.tr("Begin"))
        self.start_button.setProperty("kind", "main")
        self.start_button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.start_button.setMinimumWidth(200)
        self.start_button.setAutoDefault(True)
        self.start_button.clicked.connect(self._start)
        foot = QFrame()
        foot.setObjectName("foot")
        row = QHBoxLayout(foot)
        row.setContentsMargins(theme.LARGE, theme.ROOM, theme.LARGE, theme.ROOM)
        row.addStretch()
        row.addWidget(self.start_button)
        row.addStretch()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(page, 1)
        column.addWidget(foot)
        self._show_keys(choices.now)
        choices.changed.connect(self._show_keys)
        gate.run(lambda: package.check(package.embedded()), alive(self, self._describe))

    def leave(self) -> None:
        """No microphone stays open, no voice goes on."""
        self.test.stop()
        self.sample.stop()

    def set_theme(self, colours: Theme) -> None:
        """Colours of what draws itself."""
        self._page.set_theme(colours)
        self.test.set_theme(colours)
        for way in self._ways:
            way.set_theme(colours)

    def _show_keys(self, now: Settings, _before: Settings | None = None) -> None:
        talk, screen = (
            keys.replace("+", " + ") if hotkeys.available() else ""
            for keys in (now.hotkeys.talk, now.hotkeys.screen)
        )
        self._ways[0].how.setText(
            self.tr("Hold {keys} in any window, ask, and let go.").replace("{keys}", talk)
            if talk
            else self.tr("Bind `aside listen` to a key in your desktop's settings, press it and ask.")
        )
        self._ways[1].how.setText(
            self.tr("{keys} freezes the screen. Drag a region and ask about it.").replace("{keys}", screen)
            if screen
            else self.tr("Bind `aside screenshot` to a key, drag a region and ask about it.")
        )

    def _describe(self, nano: PackageInfo) -> None:
        self._model.say("\n".join(spoken(limit) for limit in nano.limits))

    def _start(self) -> None:
        self.leave()
        self._choices.change({"interface.welcomed": True})
        self.started.emit()
