"""A picture of the conversation, as large as the window allows."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QRectF, QSize, QSizeF, Qt
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QToolButton, QWidget

from ui.gate import Gate
from ui.look import icons, theme
from ui.look.theme import DARK


class Viewer(QWidget):
    """Lies over ``parent``; a click, Esc or Enter closes it."""

    def __init__(self, gate: Gate, parent: QWidget) -> None:
        super().__init__(parent)
        self._under = parent
        self.setAccessibleName(self.tr("Picture"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._gate = gate
        self._image = QImage()
        self._before: QWidget | None = None
        self.close_button = QToolButton(self)
        self.close_button.setIcon(icons.icon("close", DARK.text))
        self.close_button.setIconSize(QSize(theme.ICON, theme.ICON))
        self.close_button.setFixedSize(theme.BUTTON, theme.BUTTON)
        self.close_button.setToolTip(self.tr("Close (Esc)"))
        self.close_button.setAccessibleName(self.tr("Close (Esc)"))
        self.close_button.clicked.connect(self.leave)
        parent.installEventFilter(self)
        self.hide()

    def show_picture(self, data: bytes) -> None:
        """Open it; decoding is done elsewhere."""
        self._gate.run(lambda: QImage.fromData(data), self._show)

    def leave(self) -> None:
        """Close it, and give the keyboard back."""
        self.hide()
        self._image = QImage()
        if self._before is not None:
            self._before.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Called by Qt: as large as what it covers."""
        if event.type() == QEvent.Type.Resize and watched is self._under:
            self.setGeometry(self._under.rect())
        return super().eventFilter(watched, event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Called by Qt."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.leave()
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        """Called by Qt: Esc is for the picture, not for what is under it."""
        if isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape:
            event.accept()
            if event.type() == QEvent.Type.KeyPress:
                self.leave()
            return True
        return super().event(event)

    def mousePressEvent(self, _event: QMouseEvent) -> None:
        """Called by Qt."""
        self.leave()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Called by Qt."""
        super().resizeEvent(event)
        self.close_button.move(self.width() - theme.BUTTON - theme.ROOM, theme.ROOM)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Called by Qt: the picture in the middle of a darkened window, never larger than it is."""
        painter = QPainter(self)
        ground = QColor(DARK.ground)
        ground.setAlphaF(0.92)
        painter.fillRect(self.rect(), ground)
        room = QSizeF(self.width() - 2 * theme.HUGE, self.height() - 2 * theme.HUGE)
        size = QSizeF(self._image.size()) / self.devicePixelRatioF()
        if size.width() > room.width() or size.height() > room.height():
            size.scale(room, Qt.AspectRatioMode.KeepAspectRatio)
        place = QRectF((self.width() - size.width()) / 2, (self.height() - size.height()) / 2, 0, 0)
        place.setSize(size)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(place, self._image)

    def _show(self, image: QImage) -> None:
        self._image = image
        self._before = self.window().focusWidget()
        self.setGeometry(self._under.rect())
        self.show()
        self.raise_()
        self.setFocus()
        self.update()
