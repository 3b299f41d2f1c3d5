"""Controls that Qt lacks in this look: a switch, a picker, and a row of which one is pressed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QWidget,
)

from ui.look import icons, theme
from ui.look.theme import LIGHT, Theme

_WIDTH: Final = 40  # logical pixels of a switch
_NARROWEST: Final = 160  # of a picker
_WIDEST: Final = 300
_LETTERS: Final = 26  # that it has room for at least, however large they are


def tip(text: str) -> str:
    """Other people's words for a tooltip, which would take markup for what it says."""
    return text.replace("<", "\u2039")


class Switch(QAbstractButton):
    """On or off; Space and a click change it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFixedSize(self.sizeHint())
        self._theme = LIGHT

    def sizeHint(self) -> QSize:
        """Called by Qt."""
        return QSize(_WIDTH + theme.SMALL, theme.LARGE + theme.SMALL)

    def set_theme(self, colours: Theme) -> None:
        """Its colours."""
        self._theme = colours
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Called by Qt."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours, on = self._theme, self.isChecked()
        if not self.isEnabled():
            painter.setOpacity(0.5)
        height = theme.LARGE - 2
        track = QRectF((self.width() - _WIDTH) / 2, (self.height() - height) / 2, _WIDTH, height)
        if self.hasFocus():
            painter.setPen(QPen(QColor(colours.accent), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            ring = track.adjusted(-2.5, -2.5, 2.5, 2.5)
            painter.drawRoundedRect(ring, ring.height() / 2, ring.height() / 2)
        painter.setPen(QPen(QColor(colours.accent if on else colours.faint), 1.5))
        painter.setBrush(QColor(colours.accent if on else colours.raised))
        painter.drawRoundedRect(track, height / 2, height / 2)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours.on_accent if on else colours.faint))
        right = on != (self.layoutDirection() == Qt.LayoutDirection.RightToLeft)
        side = height - 8
        x = track.right() - side - 4 if right else track.left() + 4
        painter.drawEllipse(QRectF(x, track.top() + 4, side, side))


class Picker(QComboBox):
    """One of several, each a value with its text. The wheel scrolls the page instead of choosing."""

    picked = Signal(object)
    """The value that a person chose."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = LIGHT
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(_NARROWEST)
        self.setMaxVisibleItems(14)
        self.activated.connect(lambda place: self.picked.emit(self.itemData(place)))

    def offer(self, options: Sequence[tuple[Any, str]], value: Any) -> None:
        """Show these, and which one is chosen; a value that is not among them is added."""
        self.clear()
        for one, text in options:
            self.addItem(text, one)
        self.show_value(value)

    def show_value(self, value: Any) -> None:
        """Show that this one is chosen."""
        place = self.findData(value)
        if place < 0:
            self.addItem(str(value), value)
            place = self.count() - 1
        self.setCurrentIndex(place)

    def set_theme(self, colours: Theme) -> None:
        """Its colours."""
        self._theme = colours
        self.update()

    def sizeHint(self) -> QSize:
        """Called by Qt."""
        hint = super().sizeHint()
        widest = max(_WIDEST, _LETTERS * self.fontMetrics().averageCharWidth())
        return QSize(min(hint.width() + theme.LARGE, widest), max(theme.BUTTON, hint.height()))

    def minimumSizeHint(self) -> QSize:
        """Called by Qt."""
        return QSize(_NARROWEST, self.sizeHint().height())

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Called by Qt."""
        event.ignore()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Called by Qt."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours = self._theme
        over = bool(option.state & QStyle.StateFlag.State_MouseOver)
        painter.setPen(QPen(QColor(colours.accent if self.hasFocus() else colours.line), 1))
        painter.setBrush(QColor(colours.hover if over and self.isEnabled() else colours.raised))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), theme.GAP, theme.GAP)
        room = self.rect().adjusted(theme.ROOM, 0, -theme.ROOM, 0)
        mark = 16
        backward = self.layoutDirection() == Qt.LayoutDirection.RightToLeft
        x = room.left() if backward else room.right() - mark
        ratio = self.devicePixelRatioF()
        chevron = icons.render("down", colours.faint, round(mark * ratio))
        chevron.setDevicePixelRatio(ratio)
        painter.drawPixmap(x, (self.height() - mark) // 2, chevron)
        text = (
            room.adjusted(mark + theme.SMALL, 0, 0, 0)
            if backward
            else room.adjusted(0, 0, -mark - theme.SMALL, 0)
        )
        painter.setPen(QColor(colours.text if self.isEnabled() else colours.faint))
        said = self.fontMetrics().elidedText(self.currentText(), Qt.TextElideMode.ElideRight, text.width())
        painter.drawText(text, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeading), said)


class Segments(QFrame):
    """One of a few, all in sight; arrow keys go through them."""

    picked = Signal(object)
    """The value that a person chose."""

    def __init__(self, options: Sequence[tuple[Any, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("segments")
        row = QHBoxLayout(self)
        row.setContentsMargins(2, 2, 2, 2)
        row.setSpacing(2)
        self._group = QButtonGroup(self)
        self._values = [value for value, _ in options]
        for place, (_, text) in enumerate(options):
            button = QPushButton(text)
            button.setProperty("kind", "segment")
            button.setCheckable(True)
            self._group.addButton(button, place)
            row.addWidget(button)
        self._group.idClicked.connect(lambda place: self.picked.emit(self._values[place]))

    def show_value(self, value: Any) -> None:
        """Show that this one is chosen."""
        self.button(value).setChecked(True)

    def button(self, value: Any) -> QAbstractButton:
        """The button of a value."""
        return self._group.button(self._values.index(value))

    def setAccessibleName(self, name: str) -> None:
        """Called like Qt's; each button is named with what it is one of."""
        super().setAccessibleName(name)
        for button in self._group.buttons():
            button.setAccessibleName(f"{name}: {button.text()}")
