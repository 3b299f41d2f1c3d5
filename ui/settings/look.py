"""How Aside looks and speaks, and whether it starts at login."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSlider, QWidget

from ui.look import theme
from ui.look.form import Page, label
from ui.settings.choices import Choices

_SMALLEST, _LARGEST = 8, 24  # points that the slider reaches
_REST: Final = 120  # ms that the slider rests before the letters change: each change lays everything out


class LookPage(Page):
    """Language, theme, size of the letters, autostart."""

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices, self.tr("Appearance"))
        card = self.card()
        self.language = self.segments(
            card,
            "interface.language",
            self.tr("Language"),
            (("system", self.tr("System")), ("en", "English"), ("zh", "中文")),
        )
        self.theme = self.segments(
            card,
            "interface.theme",
            self.tr("Theme"),
            (("system", self.tr("System")), ("light", self.tr("Light")), ("dark", self.tr("Dark"))),
        )
        self.letters = QSlider(Qt.Orientation.Horizontal)
        self.letters.setRange(_SMALLEST, _LARGEST)
        self.letters.setPageStep(2)
        self.letters.setFixedSize(160, theme.LARGE)
        self._points = QLabel()
        self._points.setProperty("kind", "faint")
        self._points.setMinimumWidth(48)
        self._points.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        both = QWidget()
        line = QHBoxLayout(both)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(theme.GAP)
        line.addWidget(self.letters)
        line.addWidget(self._points)
        row = card.row(self.tr("Text size"), both)
        self.letters.setAccessibleName(self.tr("Text size"))
        self.letters.valueChanged.connect(self._show_points)
        self._show_points(_SMALLEST)
        keep = self.bind("interface.font_size", row, self._show_size)
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(_REST)
        timer.timeout.connect(lambda: keep(self.letters.value()))
        self.letters.valueChanged.connect(lambda _: timer.start())
        card = self.card(self.tr("Start"))
        self.autostart = self.switch(
            card,
            "interface.autostart",
            self.tr("Start at login"),
            self.tr("Aside waits in the tray, with its hotkeys at hand."),
        )
        self.add(label(self.tr("All changes count at once."), "small"))

    def _show_size(self, points: int) -> None:
        if points > self.letters.maximum():
            self.letters.setMaximum(points)
        self.letters.setValue(points)

    def _show_points(self, points: int) -> None:
        self._points.setText(self.tr("{n} pt").replace("{n}", str(points)))
