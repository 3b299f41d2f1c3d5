"""The camera above the composer: what it sees, and pictures of it for the question.

The camera is open exactly while the panel is shown. Reading, opening and closing happen off the GUI thread;
here the newest frame is looked at thirty times a second.
"""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Final

from PySide6.QtCore import QRectF, QSize, QSizeF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QHideEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
)
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from assistant.media.camera import Camera, Frame, cameras, jpeg
from assistant.usage import Usage
from models.errors import AsideError, Cancelled
from ui.gate import Gate
from ui.look import error_words, icons, theme
from ui.look.controls import Picker, Switch
from ui.look.theme import DARK, LIGHT, Theme

_TICK: Final = 33  # ms
_SEVERAL: Final = 4  # pictures
_OVER: Final = 2.0  # s, from the first to the last of them
_FLASH: Final = 120  # ms
_HEIGHT: Final = 220  # logical pixels of the preview
_WIDTH: Final = 210  # of what stands beside it
_FILE: Final = "\0file"
_ADDRESS: Final = "\0address"


class View(QWidget):
    """A frame as large as fits, as it is: not mirrored. Space or Enter take a picture."""

    wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(self.tr("What the camera sees"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setFixedHeight(_HEIGHT)
        self.setMinimumWidth(120)
        self._image = QImage()
        self._frame: Frame | None = None
        self._said = ""
        self._flashing = QTimer(self)
        self._flashing.setSingleShot(True)
        self._flashing.timeout.connect(self.update)

    @property
    def frame(self) -> Frame | None:
        """What is shown."""
        return self._frame

    @property
    def said(self) -> str:
        """What stands in place of a picture."""
        return self._said

    def show_frame(self, frame: Frame) -> None:
        """Show a frame."""
        if self._frame is None or frame.number != self._frame.number:
            height, width, _ = frame.pixels.shape
            self._frame, self._said = frame, ""  # the image has no pixels of its own
            self._image = QImage(frame.pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
            self.update()

    def tell(self, text: str) -> None:
        """Words in place of a picture; nothing old stays in sight."""
        self._image, self._frame, self._said = QImage(), None, text
        self.update()

    def flash(self) -> None:
        """A picture was taken."""
        self._flashing.start(_FLASH)
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Called by Qt."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ground = QPainterPath()
        ground.addRoundedRect(QRectF(self.rect()), theme.GAP, theme.GAP)
        painter.setClipPath(ground)
        painter.fillRect(self.rect(), QColor(DARK.ground))
        if not self._image.isNull():
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            size = QSizeF(self._image.size()).scaled(QSizeF(self.size()), Qt.AspectRatioMode.KeepAspectRatio)
            place = QRectF(0, 0, size.width(), size.height())
            place.moveCenter(QRectF(self.rect()).center())
            painter.drawImage(place, self._image)
        elif self._said:
            painter.setPen(QColor(DARK.text))
            room = self.rect().adjusted(theme.WIDE, theme.WIDE, -theme.WIDE, -theme.WIDE)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(room, int(flags), self._said)
        if self._flashing.isActive():
            painter.fillRect(self.rect(), QColor(255, 255, 255, 150))
        if self.hasFocus():
            painter.setClipping(False)
            painter.setPen(QColor(DARK.accent))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), theme.GAP, theme.GAP)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Called by Qt."""
        if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if not event.isAutoRepeat():
                self.wanted.emit()
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Called by Qt."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.setFocus(Qt.FocusReason.MouseFocusReason)


class Slot:
    """Holds the camera that is open; whoever comes too late is closed at once. Safe between threads."""

    def __init__(self) -> None:
        self.cancel = threading.Event()
        self._lock = threading.Lock()
        self._camera: Camera | None = None

    def put(self, camera: Camera) -> None:
        """It is open; raises Cancelled if nobody wants it any more."""
        with self._lock:
            if not self.cancel.is_set():
                self._camera = camera
                return
        camera.close()
        raise Cancelled("Looking was stopped.")

    def close(self) -> None:
        """Close what is there, and what may still come."""
        with self._lock:
            self.cancel.set()
            camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()


class CameraPanel(QFrame):
    """`begin` opens a camera and shows it; `end`, or hiding it, closes it."""

    taken = Signal(object)
    """A tuple of encoded pictures for the question."""
    chosen = Signal(str)
    """The source that a person chose."""
    problem = Signal(AsideError)
    ended = Signal()

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.setObjectName("camera")
        self.setAccessibleName(self.tr("Camera"))
        self._gate = gate
        self._usage: Usage | None = None
        self._source = ""
        self._slot: Slot | None = None
        self._camera: Camera | None = None
        self._busy = False
        self.view = View()
        self.view.wanted.connect(self.take)
        self.picker = Picker()
        self.picker.setAccessibleName(self.tr("Choose a camera"))
        self.picker.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.picker.picked.connect(self._pick)
        self.close_button = QToolButton()
        self.close_button.setAccessibleName(self.tr("Close the camera (Esc)"))
        self.close_button.setToolTip(self.close_button.accessibleName())
        self.close_button.clicked.connect(self.end)
        self.take_button = QPushButton(self.tr("Take a picture"))
        self.take_button.setToolTip(self.tr("Take a picture (Space)"))
        self.take_button.setProperty("kind", "main")
        self.take_button.clicked.connect(self.take)
        self.several_button = QPushButton(self.tr("Several pictures"))
        self.several_button.setToolTip(self.tr("Four pictures over two seconds: ask what happened"))
        self.several_button.setProperty("kind", "quiet")
        self.several_button.clicked.connect(self.take_several)
        self.again_button = QPushButton(self.tr("Try again"))
        self.again_button.setProperty("kind", "main")
        self.again_button.clicked.connect(self._again)
        self.live = Switch()
        self.live.setChecked(True)
        text = self.tr("Each question that I ask aloud gets a fresh picture")
        self.live.setAccessibleName(text)
        said = QLabel(text)
        said.setProperty("kind", "small")
        said.setWordWrap(True)
        said.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        said.setTextFormat(Qt.TextFormat.PlainText)
        live = QHBoxLayout()
        live.setSpacing(theme.GAP)
        live.addWidget(self.live)
        live.addWidget(said, 1)
        top = QHBoxLayout()
        top.setSpacing(theme.SMALL)
        top.addWidget(self.picker, 1)
        top.addWidget(self.close_button)
        side = QVBoxLayout()
        side.setSpacing(theme.GAP)
        side.addLayout(top)
        side.addLayout(live)
        side.addStretch()
        for button in (self.take_button, self.several_button, self.again_button):
            side.addWidget(button)
        beside = QWidget()
        beside.setLayout(side)
        side.setContentsMargins(0, 0, 0, 0)
        beside.setMinimumWidth(_WIDTH)
        beside.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.ROOM, theme.ROOM, theme.ROOM, theme.ROOM)
        row.setSpacing(theme.ROOM)
        row.addWidget(self.view, 1)
        row.addWidget(beside)
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK)
        self._timer.timeout.connect(self._look)
        self.set_theme(LIGHT)
        self.hide()

    @property
    def open(self) -> bool:
        """Whether a camera is open or being opened."""
        return self._slot is not None

    def set_theme(self, colours: Theme) -> None:
        """Its colours."""
        self.close_button.setIcon(icons.icon("close", colours.text))
        self.close_button.setIconSize(QSize(theme.ICON, theme.ICON))
        self.picker.set_theme(colours)
        self.live.set_theme(colours)

    def begin(self, source: str, usage: Usage | None) -> None:
        """Open this camera in place of the present one."""
        self._let_go()
        self._source, self._usage = source, usage
        slot = self._slot = Slot()
        self.view.tell(self.tr("Opening the camera …"))
        self._offer()
        self._show_state()
        self.show()
        self.view.setFocus()

        def work() -> Camera:
            camera = Camera(source, usage, slot.cancel)
            slot.put(camera)
            return camera

        self._gate.run(work, partial(self._opened, slot), partial(self._not_opened, slot))

    def end(self) -> None:
        """Close the camera and the panel."""
        self._let_go()
        self.hide()
        self.ended.emit()

    def shut(self) -> None:
        """Close the camera at once; Aside ends."""
        slot, self._slot, self._camera = self._slot, None, None
        self._timer.stop()
        if slot is not None:
            slot.close()

    def take(self) -> None:
        """A picture for the question, seen from now on."""
        self._take(1, 0.0)

    def take_several(self) -> None:
        """Several, for what happens."""
        self._take(_SEVERAL, _OVER)

    def companions(self) -> tuple[bytes, ...]:
        """A fresh picture for a question that was asked aloud, if one is wanted."""
        if self._camera is None or not self.live.isChecked() or self._busy:
            return ()
        try:
            picture = jpeg(self._camera.newest())
        except AsideError as error:
            self._lost(error)
            self.problem.emit(error)
            return ()
        self.view.flash()
        return (picture,)

    def hideEvent(self, event: QHideEvent) -> None:
        """Called by Qt: who doesn't see it must not be seen."""
        super().hideEvent(event)
        if self.open and not event.spontaneous():
            QTimer.singleShot(0, self, self._ended_by_hiding)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Called by Qt."""
        if event.key() == Qt.Key.Key_Escape:
            self.end()
        else:
            super().keyPressEvent(event)

    def _ended_by_hiding(self) -> None:
        if self.open and not self.isVisible():
            self.end()

    def _take(self, count: int, seconds: float) -> None:
        camera, slot = self._camera, self._slot
        if camera is None or slot is None or self._busy:
            return
        self._busy = True
        self._show_state()
        if count > 1:
            self.several_button.setText(self.tr("Looking …"))

        def work() -> tuple[bytes, ...]:
            return tuple(jpeg(frame) for frame in camera.several(count, seconds, slot.cancel))

        def done(pictures: tuple[bytes, ...]) -> None:
            if slot is self._slot:
                self._busy = False
                self._show_state()
                self.view.flash()
                self.taken.emit(pictures)

        self._gate.run(work, done, partial(self._not_opened, slot))

    def _look(self) -> None:
        """Thirty times a second."""
        if self._camera is not None:
            try:
                self.view.show_frame(self._camera.newest())
            except AsideError as error:
                self._lost(error)

    def _opened(self, slot: Slot, camera: Camera) -> None:
        if slot is self._slot:
            self._camera = camera
            self._timer.start()
            self._show_state()

    def _not_opened(self, slot: Slot, error: AsideError) -> None:
        if slot is self._slot:
            self._lost(error)

    def _lost(self, error: AsideError) -> None:
        self._let_go()
        self.view.tell(error_words.told(error))
        self._show_state()

    def _again(self) -> None:
        self.begin(self._source, self._usage)

    def _let_go(self) -> None:
        slot, self._slot, self._camera, self._busy = self._slot, None, None, False
        self._timer.stop()
        self.view.tell("")
        if slot is not None:
            slot.cancel.set()
            self._gate.run(slot.close)

    def _show_state(self) -> None:
        ready = self._camera is not None and not self._busy
        self.take_button.setEnabled(ready)
        self.several_button.setEnabled(ready)
        self.several_button.setText(self.tr("Several pictures"))
        self.again_button.setVisible(not self.open)
        self.take_button.setVisible(self.open)
        self.several_button.setVisible(self.open)

    def _offer(self) -> None:
        found = [(one.source, one.name) for one in cameras()]
        offered: list[tuple[str, str]] = [("", self.tr("The first camera")), *found]
        if self._source and self._source not in dict(offered):
            offered.append((self._source, _short(self._source)))
        offered += [
            (_FILE, self.tr("A video file …")),
            (_ADDRESS, self.tr("The address of a stream …")),
        ]
        self.picker.offer(offered, self._source)

    def _pick(self, value: str) -> None:
        source = value
        if value == _FILE:
            source = QFileDialog.getOpenFileName(self, self.tr("A video file …"))[0]
        elif value == _ADDRESS:
            source = QInputDialog.getText(
                self, self.tr("Camera"), self.tr("Address, such as rtsp://camera.local/live")
            )[0].strip()
        if source or not value:
            self.chosen.emit(source)
        else:
            self.picker.show_value(self._source)


def _short(source: str) -> str:
    return source if "://" in source else Path(source).name
