"""What the window shows before anything was said: what it is for, and questions to begin with."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from ui.look import icons, theme
from ui.look.theme import Theme

_HEIGHT: Final = 350  # logical pixels that mark, words and examples need


class EmptyPage(QWidget):
    """Signals the example that a person chose."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setSpacing(theme.ROOM)
        column.addStretch(2)
        self._mark = QLabel()
        hero = QLabel(self.tr("Speak, show, ask."))
        hero.setProperty("kind", "hero")
        faint = QLabel(self.tr("Everything stays on this machine."))
        faint.setProperty("kind", "faint")
        for label in (self._mark, hero, faint):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            column.addWidget(label)
        column.addSpacing(theme.ROOM)
        self.examples: list[QPushButton] = []
        for example in (
            self.tr("Set a timer for five minutes"),
            self.tr("What is seven times eight?"),
            self.tr("What can you do?"),
        ):
            button = QPushButton(example)
            button.setProperty("kind", "card")
            button.setMinimumWidth(320)
            button.clicked.connect(lambda _=False, text=example: self.chosen.emit(text))
            self.examples.append(button)
            column.addWidget(button, 0, Qt.AlignmentFlag.AlignCenter)
        column.addSpacing(theme.SMALL)
        self._keys = QLabel()
        self._keys.setProperty("kind", "small")
        self._keys.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column.addWidget(self._keys)
        column.addStretch(3)

    def show_keys(self, talk: str, screen: str) -> None:
        """The hotkeys that there are; "" is none."""
        said = [
            text.replace("{keys}", keys.replace("+", " + "))
            for text, keys in (
                (self.tr("Hold {keys} to speak"), talk),
                (self.tr("{keys} to show the screen"), screen),
            )
            if keys
        ]
        self._keys.setText("   ·   ".join(said))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Called by Qt: where there is little room, the examples go first."""
        super().resizeEvent(event)
        fits = event.size().height() >= _HEIGHT
        for button in self.examples:
            button.setVisible(fits)
        self._keys.setVisible(fits)

    def set_theme(self, colours: Theme) -> None:
        """The mark in the theme's colours."""
        self._mark.setPixmap(icons.icon("aside", colours.accent).pixmap(48, 48))
