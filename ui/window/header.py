"""The line above a conversation: its title, and how the model is."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QToolButton, QWidget

from ui.look import icons, theme
from ui.look.theme import LIGHT, Theme
from ui.look.translation import VERBATIM
from ui.window.lamps import Lamps


class _Title(QLabel):
    """A line that ends in … where there is no room for it."""

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Called by Qt."""
        painter = QPainter(self)
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        painter.setPen(self.palette().windowText().color())
        painter.drawText(self.rect(), int(self.alignment()), text)


class Header(QFrame):
    """``row`` takes more buttons and lamps; what it shows comes from the window."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("header")
        self._theme = LIGHT
        self._ready = self._busy = False
        self.title = _Title(self.tr("New conversation"))
        self.title.setProperty("kind", "title")
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.title.setProperty(VERBATIM, True)
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.side_button = QToolButton()
        self.side_button.setIconSize(QSize(theme.ICON, theme.ICON))
        self.side_button.setFixedSize(theme.BUTTON, theme.BUTTON)
        self.side_button.setToolTip(self.tr("Show or hide the list of conversations (Ctrl+B)"))
        self.side_button.setAccessibleName(self.side_button.toolTip())
        self.menu_button = QToolButton()
        self.menu_button.setIconSize(QSize(theme.ICON, theme.ICON))
        self.menu_button.setFixedSize(theme.BUTTON, theme.BUTTON)
        self.menu_button.setToolTip(self.tr("More about this conversation"))
        self.menu_button.setAccessibleName(self.menu_button.toolTip())
        self.menu_button.hide()
        self.unkept = QLabel(self.tr("not kept"))
        self.unkept.setProperty("kind", "small")
        self.unkept.setTextFormat(Qt.TextFormat.PlainText)
        self.unkept.setToolTip(self.tr("What is said now is gone when Aside ends. See Settings, Privacy."))
        self.unkept.hide()
        self.model = QLabel()
        self.model.setTextFormat(Qt.TextFormat.PlainText)
        self.model.setProperty("kind", "small")
        self.model.setAccessibleName(self.tr("State of the model"))
        self._dot = QFrame()
        self._dot.setFixedSize(theme.GAP, theme.GAP)
        self._progress = QProgressBar()
        self._progress.setRange(0, 0)
        self._progress.setTextVisible(False)
        self._progress.setFixedWidth(96)
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(theme.ROOM, theme.GAP, theme.WIDE, theme.GAP)
        self.row.setSpacing(theme.GAP)
        self.lamps = Lamps()
        state = (self._progress, self._dot, self.model)
        for widget in (self.side_button, self.title, self.unkept, self.lamps, *state):
            self.row.addWidget(widget, 1 if widget is self.title else 0)
        self.row.addWidget(self.menu_button)
        self._show()

    def set_theme(self, colours: Theme) -> None:
        """Icons in the theme's colours."""
        self._theme = colours
        self.lamps.set_theme(colours)
        self.side_button.setIcon(icons.icon("side", colours.text))
        self.menu_button.setIcon(icons.icon("more", colours.text))
        self._show()

    def show_model(self, text: str, *, ready: bool = False, busy: bool = False) -> None:
        """A few words about the model. ``busy``: it is being loaded."""
        self.model.setText(text)
        self._ready, self._busy = ready, busy
        self._show()

    def _show(self) -> None:
        self._progress.setVisible(self._busy)
        colour = self._theme.good if self._ready else self._theme.bad
        self._dot.setVisible(not self._busy and bool(self.model.text()))
        self._dot.setStyleSheet(f"background: {colour}; border-radius: {theme.SMALL}px;")
