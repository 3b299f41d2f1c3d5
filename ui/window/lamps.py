"""Lamps for microphone, camera, screen and network: on exactly while `assistant.usage` has a handle open."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

from assistant.usage import KINDS, Kind
from ui.look import icons, theme
from ui.look.theme import LIGHT, Theme


class Lamps(QWidget):
    """A row of icons; those that are off are not there."""

    def __init__(self) -> None:
        super().__init__()
        self._lamps: dict[Kind, QLabel] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SMALL)
        for kind in KINDS:
            lamp = self._lamps[kind] = QLabel()
            lamp.hide()
            row.addWidget(lamp)
        self.set_theme(LIGHT)

    def set_theme(self, colours: Theme) -> None:
        """Icons in the theme's colours."""
        for kind, lamp in self._lamps.items():
            lamp.setPixmap(icons.icon(kind, colours.bad).pixmap(theme.WIDE, theme.WIDE))

    def show_open(self, now: frozenset[Kind]) -> None:
        """Light those that are in use."""
        for kind, lamp in self._lamps.items():
            lamp.setAccessibleName(said(kind))
            lamp.setToolTip(said(kind))
            lamp.setVisible(kind in now)

    @property
    def on(self) -> frozenset[Kind]:
        """Those that are lit."""
        return frozenset(kind for kind, lamp in self._lamps.items() if not lamp.isHidden())


def said(kind: Kind) -> str:
    """What a lamp means, in a person's language."""
    say = QCoreApplication.translate
    return {
        "microphone": say("Lamps", "The microphone is open"),
        "camera": say("Lamps", "The camera is open"),
        "screen": say("Lamps", "The screen is being captured"),
        "network": say("Lamps", "The network is in use"),
    }[kind]
