"""Under the pictures that wait: how long looking takes, what is lost, and how closely it is done."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QSizePolicy, QToolButton, QWidget

from assistant import detail
from assistant.detail import Look
from assistant.settings import LEVELS
from ui.look import theme


def level_name(level: str) -> str:
    """One of `assistant.settings.LEVELS` for people."""
    say = QCoreApplication.translate
    names = {"auto": say("Looks", "Automatic"), "quick": say("Looks", "Quick"), "fine": say("Looks", "Fine")}
    return names[level]


def cost(seconds: float) -> str:
    """What is said before something long starts."""
    said = QCoreApplication.translate("Looks", "about {n} s")
    return said.replace("{n}", str(detail.rounded(seconds)))


class Looks(QWidget):
    """`show_looks`, then `show_ready`; `chosen` tells how closely the person wants it."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._level = LEVELS[0]
        self._looks: Sequence[Look] = ()
        self.said = QLabel()
        self.said.setProperty("kind", "small")
        self.said.setTextFormat(Qt.TextFormat.PlainText)
        self.said.setWordWrap(True)
        self.said.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.said.setAccessibleName(self.tr("About the pictures"))
        self.button = QToolButton()
        self.button.setProperty("kind", "small")
        self.button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._fill)
        self.button.setMenu(self._menu)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.GAP)
        row.addWidget(self.button)
        row.addWidget(self.said, 1)
        self.show_level(self._level)

    def show_level(self, level: str) -> None:
        """How closely it is done."""
        self._level = level
        said = self.tr("Detail: {level}").replace("{level}", level_name(level))
        self.button.setText(f"{said} ▾")
        text = self.tr("How closely pictures are looked at: {level}").replace("{level}", level_name(level))
        self.button.setAccessibleName(text)
        self.button.setToolTip(text)

    def show_looks(self, looks: Sequence[Look]) -> None:
        """How they will be seen, before it begins."""
        self._looks = looks
        seconds = sum(look.seconds for look in looks)
        said = self.tr("About {n} s to look.").replace("{n}", str(detail.rounded(seconds)))
        self._show(said if seconds > detail.LONG else "")

    def show_ready(self) -> None:
        """They are seen: what is asked now is answered as if there were none."""
        seconds = sum(look.seconds for look in self._looks)
        self._show(self.tr("Looked at.") if seconds > detail.LONG else "")

    def forget(self) -> None:
        """There are no pictures."""
        self._looks = ()
        self._show("")

    def _show(self, first: str) -> None:
        worst = min((look for look in self._looks if not look.readable), key=lambda o: o.scale, default=None)
        lost = "" if worst is None else self._lost(worst)
        self.said.setText(" ".join(filter(None, (first, lost))))

    def _lost(self, look: Look) -> str:
        said = self.tr("Shrunk to {n} %: small text may be lost.").replace("{n}", str(look.percent))
        if look.best > look.scale:
            return f"{said} {self.tr('Take a smaller region, or choose Fine.')}"
        return f"{said} {self.tr('Take a smaller region.')}"

    def _fill(self) -> None:
        self._menu.clear()
        group = QActionGroup(self._menu)
        for level in LEVELS:
            action = self._menu.addAction(level_name(level))
            action.setCheckable(True)
            action.setChecked(level == self._level)
            action.triggered.connect(lambda _=False, level=level: self.chosen.emit(level))
            group.addAction(action)
