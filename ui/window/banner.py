"""A line above the composer that says what went wrong, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QToolButton, QWidget

from models.errors import AsideError
from ui.look import error_words, icons, theme
from ui.look.theme import Theme

_STAYS: Final = 12_000  # ms


class Banner(QFrame):
    """Hidden until there is a problem, and again after a while."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("banner")
        self._warning = QLabel()
        self._problem = QLabel()
        self._problem.setTextFormat(Qt.TextFormat.PlainText)
        self._problem.setWordWrap(True)
        self._problem.setAccessibleName(self.tr("Problem"))
        self.action = QPushButton()
        self.action.hide()
        self._act: Callable[[], object] = lambda: None
        self.action.clicked.connect(self._clicked)
        self._dismiss = QToolButton()
        self._dismiss.setToolTip(self.tr("Dismiss"))
        self._dismiss.setAccessibleName(self.tr("Dismiss"))
        self._dismiss.clicked.connect(self.hide)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.hide)
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.ROOM, theme.GAP, theme.GAP, theme.GAP)
        row.setSpacing(theme.GAP)
        row.addWidget(self._warning)
        row.addWidget(self._problem, 1)
        row.addWidget(self.action)
        row.addWidget(self._dismiss)
        self.hide()

    @property
    def text(self) -> str:
        """The last problem."""
        return self._problem.text()

    @property
    def passing(self) -> bool:
        """Whether it goes away by itself."""
        return self._timer.isActive()

    def set_theme(self, colours: Theme) -> None:
        """Icons in the theme's colours."""
        self._dismiss.setIcon(icons.icon("close", colours.text))
        self._warning.setPixmap(icons.icon("warning", colours.bad).pixmap(theme.ICON, theme.ICON))

    def say(self, text: str) -> None:
        """Something that is no problem, for a while."""
        self._warning.hide()
        self._show(text, stays=False)

    def _clicked(self) -> None:
        self._act()

    def offer(self, error: AsideError, text: str, act: Callable[[], object]) -> None:
        """Say it until it is dismissed, with a button for what can be done."""
        self.show_problem(error, stays=True)
        self.action.setText(text)
        self._act = act
        self.action.show()

    def show_problem(self, error: AsideError, stays: bool = False) -> None:
        """Say it for a while, or until it is dismissed."""
        self._warning.show()
        self._show(error_words.told(error), stays)

    def _show(self, text: str, stays: bool) -> None:
        self._problem.setText(text)
        self.action.hide()
        self.show()
        if stays:
            self._timer.stop()
        else:
            self._timer.start(_STAYS)


class Editing(QFrame):
    """Says that the question in the composer replaces an earlier one."""

    given_up = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("banner")
        self._mark = QLabel()
        text = QLabel(self.tr("You are changing a question. What follows it will be replaced."))
        text.setTextFormat(Qt.TextFormat.PlainText)
        text.setWordWrap(True)
        self._cancel = QToolButton()
        self._cancel.setToolTip(self.tr("Leave it as it was (Esc)"))
        self._cancel.setAccessibleName(self._cancel.toolTip())
        self._cancel.clicked.connect(self.given_up)
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.ROOM, theme.SMALL, theme.GAP, theme.SMALL)
        row.setSpacing(theme.GAP)
        row.addWidget(self._mark)
        row.addWidget(text, 1)
        row.addWidget(self._cancel)
        self.hide()

    def set_theme(self, colours: Theme) -> None:
        """Icons in the theme's colours."""
        self._cancel.setIcon(icons.icon("close", colours.text))
        self._mark.setPixmap(icons.icon("edit", colours.accent).pixmap(theme.ICON, theme.ICON))
