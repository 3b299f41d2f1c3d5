"""Asking about the screen: it freezes, a region is dragged, and the question is typed or spoken.

The picture is taken before anything of ours is shown, so it is what the person saw when they pressed the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, QRect, QRectF, QSize, QSizeF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QGuiApplication,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QScreen,
)
from PySide6.QtWidgets import QWidget

from assistant.usage import Lamp, Usage
from models.errors import DeviceError
from ui.look import theme
from ui.look.theme import DARK
from ui.outside.windows import windows
from ui.window.composer import png

_SMALLEST: Final = 8  # logical pixels: less was a click
_STEP: Final = 10  # logical pixels that an arrow key moves a corner


class Screens(QObject):
    """Freezes all screens until a region is chosen or it is given up."""

    chosen = Signal(bytes)
    """The region as PNG data, in the pixels of its screen."""
    given_up = Signal()

    def __init__(self, usage: Usage) -> None:
        super().__init__()
        self._usage = usage
        self._lamp: Lamp | None = None
        self._covers: list[Cover] = []

    @property
    def frozen(self) -> bool:
        """Whether the screens are frozen now."""
        return bool(self._covers)

    @property
    def covers(self) -> Sequence[Cover]:
        """The frozen screens."""
        return self._covers

    def freeze(self, whole: bytes | None = None) -> None:
        """Take pictures of all screens and show them; or ``whole`` is a picture of all of them.

        Raises DeviceError if the system doesn't allow it.
        """
        if self._covers:
            return
        self._lamp = self._usage.open("screen")
        screens = QGuiApplication.screens()
        pictures = (
            [(screen, screen.grabWindow(0)) for screen in screens]
            if whole is None
            else _parts(screens, whole)
        )
        if any(picture.isNull() for _, picture in pictures):
            self._lamp.close()
            raise DeviceError(
                "The screen can't be captured: this desktop doesn't let programs look at it.",
                "Take a screenshot with the desktop's own key and paste it into the question.",
            )
        places = windows() if whole is None else []
        for screen, picture in pictures:
            cover = Cover(screen, picture, places)
            cover.chosen.connect(self._choose)
            cover.given_up.connect(self._give_up)
            self._covers.append(cover)
            cover.show()
        self._covers[0].activateWindow()
        self._covers[0].setFocus()

    def thaw(self) -> None:
        """Remove the covers."""
        for cover in self._covers:
            cover.hide()
            cover.deleteLater()
        self._covers.clear()
        if self._lamp is not None:
            self._lamp.close()

    def _choose(self, picture: QPixmap) -> None:
        self.thaw()
        self.chosen.emit(png(picture.toImage()))

    def _give_up(self) -> None:
        self.thaw()
        self.given_up.emit()


def _parts(screens: list[QScreen], data: bytes) -> list[tuple[QScreen, QPixmap]]:
    """Each screen's part of a picture of the whole desktop."""
    whole, picture = QRect(), QPixmap()
    for screen in screens:
        whole = whole.united(screen.geometry())
    picture.loadFromData(data)
    scale = picture.width() / max(1, whole.width())
    parts: list[tuple[QScreen, QPixmap]] = []
    for screen in screens:
        box = QRectF(screen.geometry().translated(-whole.topLeft()))
        pixels = QRectF(box.topLeft() * scale, box.size() * scale).toAlignedRect()
        parts.append((screen, picture.copy(pixels)))
    return parts


class Cover(QWidget):
    """One frozen screen. Click a window, or drag a region or move it with the arrows and Enter; Esc ends.

    ``places`` are those of the windows in pixels of the X server, the uppermost first.
    """

    chosen = Signal(QPixmap)
    given_up = Signal()

    def __init__(self, screen: QScreen, picture: QPixmap, places: Sequence[QRect]) -> None:
        super().__init__(
            None,
            Qt.WindowType.FramelessWindowHint
            | Qt.WindowType.WindowStaysOnTopHint
            | Qt.WindowType.BypassWindowManagerHint
            | Qt.WindowType.Tool,
        )
        self.setWindowTitle(self.tr("Ask about the screen"))
        self.setAccessibleName(self.windowTitle())
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setGeometry(screen.geometry())
        self.setCursor(Qt.CursorShape.CrossCursor)
        self._picture = picture
        self._from: QPoint | None = None
        self._region = QRect()
        self._windows = self._local(screen, places)
        self._under = QRect()
        """The window under the pointer."""
        self.setMouseTracking(True)

    def _local(self, screen: QScreen, places: Sequence[QRect]) -> list[QRect]:
        """Windows in this screen's logical pixels; its upper left corner is the same in both."""
        corner, ratio = screen.geometry().topLeft(), self._picture.width() / max(1, self.width())
        found = []
        for place in places:
            moved = place.translated(-corner)
            size = QSizeF(moved.width() / ratio, moved.height() / ratio)
            here = QRectF(QPointF(moved.x() / ratio, moved.y() / ratio), size).toAlignedRect() & self.rect()
            if min(here.width(), here.height()) >= _SMALLEST:
                found.append(here)
        return found

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Called by Qt: the picture darkened, the region as it is."""
        painter = QPainter(self)
        painter.drawPixmap(self.rect(), self._picture)
        painter.fillRect(self.rect(), QColor(10, 12, 18, 110))
        lit = self._region if not self._region.isEmpty() else self._under
        if not lit.isEmpty():
            painter.drawPixmap(QRectF(lit), self._picture, QRectF(self._pixels(lit)))
            painter.setPen(QPen(QColor(DARK.accent), 2))
            painter.drawRect(lit.adjusted(1, 1, -1, -1) if lit is self._under else lit)
        self._paint_hint(painter)

    def _paint_hint(self, painter: QPainter) -> None:
        text = self._hint()
        room = painter.fontMetrics().size(0, text) + QSize(2 * theme.WIDE, 2 * theme.GAP)
        box = QRect(QPoint((self.width() - room.width()) // 2, theme.LARGE), room)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(DARK.raised))
        painter.drawRoundedRect(box, room.height() / 2, room.height() / 2)
        painter.setPen(QColor(DARK.text))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    def _hint(self) -> str:
        if self._windows:
            return self.tr("Click a window or drag a region to ask about it · Enter: all · Esc: give up")
        return self.tr("Drag a region to ask about it · Enter: the whole screen · Esc: give up")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Called by Qt."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._from = event.position().toPoint()
            self._region = QRect()
        else:
            self.given_up.emit()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Called by Qt."""
        if self._from is not None:
            self._region = QRect(self._from, event.position().toPoint()).normalized() & self.rect()
            if not self._dragged:
                self._region = QRect()
            self.update()
        else:
            self._point(event.position().toPoint())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Called by Qt."""
        if self._from is None or event.button() != Qt.MouseButton.LeftButton:
            return
        self._from = None
        if self._dragged:
            self._take()
        elif not self._under.isEmpty():
            self._region = self._under
            self._take()
        else:
            self._region = QRect()
            self.update()

    @property
    def _dragged(self) -> bool:
        """Whether the region is more than a hand that trembled."""
        return min(self._region.width(), self._region.height()) >= _SMALLEST

    def _point(self, at: QPoint) -> None:
        under = next((place for place in self._windows if place.contains(at)), QRect())
        if under != self._under:
            self._under = under
            self.update()

    def leaveEvent(self, _event: QEvent) -> None:
        """Called by Qt."""
        self._point(QPoint(-1, -1))

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Called by Qt for Tab: the next window."""
        if self._windows:
            at = self._windows.index(self._region) if self._region in self._windows else -1 if forward else 0
            self._region = self._windows[(at + (1 if forward else -1)) % len(self._windows)]
            self.update()
        return True

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Called by Qt."""
        keys = Qt.Key
        moves = {
            keys.Key_Left: QPoint(-_STEP, 0),
            keys.Key_Right: QPoint(_STEP, 0),
            keys.Key_Up: QPoint(0, -_STEP),
            keys.Key_Down: QPoint(0, _STEP),
        }
        key = keys(event.key())
        if key is keys.Key_Escape:
            self.given_up.emit()
        elif key in (keys.Key_Return, keys.Key_Enter):
            self._take()
        elif key in moves:
            self._move(moves[key], bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))

    def _move(self, by: QPoint, size: bool) -> None:
        """Move the region, or with Shift its lower right corner."""
        if self._region.isEmpty():
            self._region = QRect(0, 0, self.width() // 3, self.height() // 3)
            self._region.moveCenter(self.rect().center())
        elif size:
            self._region.setBottomRight(self._region.bottomRight() + by)
        else:
            self._region.translate(by)
        self._region = self._region.normalized() & self.rect()
        self.update()

    def _take(self) -> None:
        region = self.rect() if self._region.isEmpty() else self._region
        self.chosen.emit(self._picture.copy(self._pixels(region)))

    def _pixels(self, region: QRect) -> QRect:
        """A region of the screen in the pixels of its picture."""
        across = self._picture.width() / max(1, self.width())
        down = self._picture.height() / max(1, self.height())
        return QRectF(
            QPointF(region.x() * across, region.y() * down),
            QPointF((region.x() + region.width()) * across, (region.y() + region.height()) * down),
        ).toAlignedRect()
