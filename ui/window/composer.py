"""Where a question is put together: text, thumbnails that can be taken away, and the buttons."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from PySide6.QtCore import QBuffer, QByteArray, QEvent, QIODevice, QMimeData, QObject, QSize, Qt, Signal
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QImage,
    QImageWriter,
    QKeyEvent,
    QTextCursor,
)
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QInputDialog,
    QLineEdit,
    QPlainTextEdit,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from assistant.media import document, picture, sound
from assistant.media.document import Document
from assistant.media.sound import Sound
from assistant.modes import CHAT
from models.errors import AsideError, MediaError
from ui.gate import Gate
from ui.look import icons, theme
from ui.look.theme import LIGHT, Theme
from ui.window.looks import Looks
from ui.window.mode_button import ModeButton, words
from ui.window.thumbnail import SIDE, Medium, Pending, Thumbnail
from ui.work.question import Question

Load = Callable[[threading.Event, Callable[[int, int], None]], Document]

_MOST_LINES: Final = 7
_MOST_MEDIA: Final = 8
_PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
_DOCUMENTS: Final = (".pdf", *document.TEXTS)
_SOUNDS: Final = (".wav", ".flac", ".mp3", ".ogg", ".aiff", ".au")


class _Text(QPlainTextEdit):
    """Grows with its lines; Enter sends, Shift+Enter begins a line; pictures can be pasted."""

    send = Signal()
    media = Signal(QMimeData)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.send.emit()
            return
        super().keyPressEvent(event)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        return source.hasImage() or source.hasUrls() or source.hasText()

    def insertFromMimeData(self, source: QMimeData) -> None:
        if source.hasImage() or any(url.isLocalFile() for url in source.urls()):
            self.media.emit(source)
        else:
            self.insertPlainText(source.text())


class Composer(QFrame):
    """Signals what a person wants; knows nothing of models or devices."""

    asked = Signal(Question)
    stopped = Signal()
    listen = Signal()
    capture = Signal()
    look = Signal()
    prepared = Signal(list)
    """The pictures and documents that wait here are now these parts; not sent when they are asked about."""
    problem = Signal(AsideError)

    def __init__(self, gate: Gate, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("composer")
        self._gate = gate
        self._theme = LIGHT
        self._media: list[tuple[Medium, str]] = []
        self._opening = 0  # files that are being read
        self.talk_key = ""
        """The hotkey to hold while speaking, where there is one."""
        self._reading: dict[int, tuple[str, threading.Event, str]] = {}  # documents, and how far they are
        self._last = 0
        self._busy = False
        self._ready = False
        self.text = _Text()
        self.text.setPlaceholderText(self.tr("Ask, or drop a picture or a document here"))
        self.text.setAccessibleName(self.tr("Question"))
        self.text.setTabChangesFocus(True)
        self.text.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.text.document().setDocumentMargin(theme.SMALL)
        self.text.send.connect(self.send)
        self.text.media.connect(self.take)
        self.text.textChanged.connect(self._changed)
        self.text.installEventFilter(self)
        self._row = QHBoxLayout()
        self._row.setSpacing(theme.GAP)
        self._row.addStretch()
        self._shelf = QWidget()
        self._shelf.setLayout(self._row)
        self._row.setContentsMargins(0, 0, 0, theme.SMALL)
        self._shelf.hide()
        self.looks = Looks()
        self.looks.hide()
        self.attach_button = self._button("attach", self.tr("Attach pictures, sound, documents (Ctrl+O)"))
        self.attach_button.clicked.connect(self.choose)
        self.screen_button = self._button("screen", self.tr("Ask about the screen"))
        self.screen_button.clicked.connect(self.capture)
        self.camera_button = self._button("camera", self.tr("Ask about the camera (Ctrl+Shift+V)"))
        self.camera_button.clicked.connect(self.look)
        self.listen_button = self._button("microphone", self.tr("Speak (Ctrl+Space)"))
        self.listen_button.clicked.connect(self.listen)
        self.send_button = self._button("send", self.tr("Send (Enter)"))
        self.send_button.setProperty("kind", "main")
        self.send_button.clicked.connect(self._send_or_stop)
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.SMALL)
        buttons.addWidget(self.attach_button)
        buttons.addWidget(self.screen_button)
        buttons.addWidget(self.camera_button)
        self.mode_button = ModeButton()
        self.mode_button.chosen.connect(self._show_send)
        buttons.addStretch()
        buttons.addWidget(self.mode_button)
        buttons.addWidget(self.listen_button)
        buttons.addWidget(self.send_button)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._shelf.setFixedHeight(SIDE + 3 * theme.SMALL)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.ROOM, theme.GAP, theme.GAP, theme.GAP)
        column.setSpacing(theme.SMALL)
        column.addWidget(self._shelf)
        column.addWidget(self.looks)
        column.addWidget(self.text)
        column.addLayout(buttons)
        self.setAcceptDrops(True)
        self._changed()

    def set_theme(self, colours: Theme) -> None:
        """Icons in the theme's colours."""
        self._theme = colours
        for button, name in (
            (self.attach_button, "attach"),
            (self.screen_button, "screen"),
            (self.camera_button, "camera"),
            (self.listen_button, "microphone"),
        ):
            button.setIcon(icons.icon(name, colours.text, colours.faint))
        self._show_send()
        self._show_media()
        self._changed()

    def set_state(self, busy: bool, ready: bool) -> None:
        """``busy``: an answer is under way, so the button stops it. ``ready``: there is a model to ask."""
        if (busy, ready) != (self._busy, self._ready):  # it is told with each word
            self._busy, self._ready = busy, ready
            self._show_send()

    def send(self) -> None:
        """Ask what is there, if the model is ready for it."""
        question = self.question()
        if question.empty or not self._ready or self._opening:
            return
        self.text.clear()
        self._media.clear()
        self._show_media()
        self.asked.emit(question)

    def put(self, question: Question) -> None:
        """A question to change, in place of what is there."""
        if question.is_dictation:
            self.mode_button.choose(question.mode)
        self.text.setPlainText("" if question.is_dictation else question.text)
        self._media = [(one, self.tr("Picture")) for one in question.pictures]
        self._media += [(one, one.name) for one in question.documents]
        self._media += [(one, self.tr("Recording")) for one in question.sounds]
        self.prepared.emit([])  # it takes the place of an earlier one
        self._show_media()
        self.text.moveCursor(QTextCursor.MoveOperation.End)
        self.text.setFocus()

    def question(self) -> Question:
        """What would be sent."""
        mode = self.mode_button.mode
        sounds = any(isinstance(one, Sound) for one, _ in self._media)
        return Question(
            words(mode) if sounds and mode.name != "chat" else self.text.toPlainText().strip(),
            tuple(one for one, _ in self._media if isinstance(one, bytes)),
            tuple(one for one, _ in self._media if isinstance(one, Sound)),
            tuple(one for one, _ in self._media if isinstance(one, Document)),
            mode=mode if sounds else CHAT,
        )

    def take_media(self) -> Question:
        """The pictures and documents that wait, for a spoken question; they are gone from here then."""
        waiting = replace(self.question(), text="", sounds=())
        self._media = [(one, name) for one, name in self._media if isinstance(one, Sound)]
        self._show_media()
        return waiting

    def choose(self) -> None:
        """Let the person choose files."""
        endings = " ".join(f"*{e}" for e in (*_PICTURES, *_SOUNDS, *_DOCUMENTS))
        names, _ = QFileDialog.getOpenFileNames(
            self, self.tr("Attach"), "", self.tr("Pictures, recordings and documents") + f" ({endings})"
        )
        for name in names:
            self.add_file(Path(name))

    def take(self, data: QMimeData) -> None:
        """Add what was pasted or dropped."""
        files = [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
        for path in files:
            self.add_file(path)
        if not files and data.hasImage():
            image = data.imageData()
            if isinstance(image, QImage):
                self.add_picture(png(image), self.tr("Pasted picture"))

    def add_file(self, path: Path) -> None:
        """Add a picture, a recording or a document; it is read elsewhere."""
        if path.suffix.lower() in _DOCUMENTS:
            self._read(path.name, lambda *how: document.load(path, "", *how))
            return
        self._opening += 1
        self._gate.run(partial(_open, path), partial(self._opened, path.name), self._not_opened)

    def add_picture(self, data: bytes, name: str) -> None:
        """Add an encoded picture from memory."""
        self._opening += 1
        self._gate.run(lambda: picture.normalised(data, name), partial(self._opened, name), self._not_opened)

    def takes(self, data: QMimeData) -> bool:
        """Whether `take` would add something of what is being dragged."""
        return any(url.isLocalFile() for url in data.urls()) or (not data.urls() and data.hasImage())

    def show_target(self, on: bool) -> None:
        """Whether what is being dragged would land here."""
        self.setProperty("target", on)
        self.style().polish(self)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Called by Qt; text goes to where text is written."""
        if self.takes(event.mimeData()):
            event.acceptProposedAction()
            self.show_target(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Called by Qt."""
        super().dragLeaveEvent(event)
        self.show_target(False)

    def dropEvent(self, event: QDropEvent) -> None:
        """Called by Qt."""
        self.show_target(False)
        self.take(event.mimeData())
        event.acceptProposedAction()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Called by Qt: the frame shows that the text has the focus."""
        if event.type() in (QEvent.Type.FocusIn, QEvent.Type.FocusOut):
            self.setProperty("focused", event.type() == QEvent.Type.FocusIn)
            self.style().polish(self)
        return super().eventFilter(watched, event)

    def _opened(self, name: str, medium: Medium) -> None:
        self._opening -= 1
        if len(self._media) >= _MOST_MEDIA:
            self.problem.emit(
                MediaError(f"{name} is one too many.", f"A question takes {_MOST_MEDIA} files at most.")
            )
        else:
            self._media.append((medium, name))
            self._tell_prepared()
        self._show_media()

    def _not_opened(self, error: AsideError) -> None:
        self._opening -= 1
        self._show_send()
        self.problem.emit(error)

    def _read(self, name: str, load: Load, place: int | None = None) -> None:
        """Read a document, in place of one that is there."""
        self._last += 1
        number, cancel = self._last, threading.Event()
        self._opening += 1
        self._reading[number] = (name, cancel, self.tr("Reading …"))
        self._show_media()

        def tell(done: int, of: int) -> None:
            self._gate.post(lambda: self._show_progress(number, f"{done} / {of}"))

        def done(read: Document) -> None:
            if self._reading.pop(number, None) is None:
                return
            if place is not None and place < len(self._media) and self._media[place][1] == name:
                self._opening -= 1
                self._media[place] = (read, name)
                self._tell_prepared()
                self._show_media()
            else:
                self._opened(name, read)

        def failed(error: AsideError) -> None:
            if self._reading.pop(number, None) is not None:
                self._not_opened(error)
                self._show_media()

        self._gate.run(lambda: load(cancel, tell), done, failed)

    def _show_progress(self, number: int, said: str) -> None:
        if number in self._reading:
            name, cancel, _ = self._reading[number]
            self._reading[number] = (name, cancel, said)
            self._show_media()

    def _give_up(self, number: int) -> None:
        reading = self._reading.pop(number, None)
        if reading is not None:
            reading[1].set()
            self._opening -= 1
            self._show_media()

    def _choose_pages(self, place: int) -> None:
        one, name = self._media[place]
        if not isinstance(one, Document):
            return
        question = self.tr("Pages, such as 1-3,7 (of {n}):").replace("{n}", f"{one.total:,}")
        wanted, yes = QInputDialog.getText(self, name, question, QLineEdit.EchoMode.Normal, one.used)
        if yes and wanted.strip() and wanted.strip() != one.used:
            self._read(name, lambda *how: document.rendered(one.data, name, wanted, *how), place)

    def close_reading(self) -> None:
        """Give up what is being read; Aside ends."""
        for number in list(self._reading):
            self._give_up(number)

    def _show_media(self) -> None:
        while self._row.count() > 1:
            item = self._row.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for place, (medium, name) in enumerate(self._media):
            thumbnail = Thumbnail(medium, name, partial(self._remove, place), self._theme)
            if isinstance(medium, Document):
                thumbnail.add_pages(medium, partial(self._choose_pages, place))
            self._row.insertWidget(place, thumbnail)
        for number, (name, _, said) in self._reading.items():
            pending = Pending(name, said, partial(self._give_up, number), self._theme)
            self._row.insertWidget(self._row.count() - 1, pending)
        self._shelf.setVisible(bool(self._media or self._reading))
        seen = bool(self.question().seen)
        self.looks.setVisible(seen)
        if not seen:
            self.looks.forget()
        self.text.setPlaceholderText(self._placeholder())
        self._show_send()

    def _placeholder(self) -> str:
        if not self._media:
            return self.tr("Ask, or drop a picture or a document here")
        if not self.talk_key:
            return self.tr("Ask about it")
        return self.tr("Ask about it: type, or hold {key} and speak").replace("{key}", self.talk_key)

    def _remove(self, place: int) -> None:
        del self._media[place]
        self._tell_prepared()
        self._show_media()
        self.text.setFocus()

    def _tell_prepared(self) -> None:
        self.prepared.emit(replace(self.question(), text="", sounds=()).parts)

    def _changed(self) -> None:
        lines = min(_MOST_LINES, max(1, int(self.text.document().size().height())))
        height = self.text.fontMetrics().lineSpacing() * lines + 2 * theme.GAP
        if height != self.text.height():
            self.text.setFixedHeight(height)
        self._show_send()

    def _show_send(self) -> None:
        stop = self._busy and self.question().empty
        colours = self._theme
        self.send_button.setIcon(icons.icon("stop" if stop else "send", colours.on_accent, colours.faint))
        text = self.tr("Stop (Esc)") if stop else self.tr("Send (Enter)")
        self.send_button.setAccessibleName(text)
        self.send_button.setToolTip(text)
        self.send_button.setEnabled(stop or (self._ready and not self._opening and not self.question().empty))

    def _send_or_stop(self) -> None:
        if self._busy and self.question().empty:
            self.stopped.emit()
        else:
            self.send()

    def _button(self, name: str, text: str) -> QToolButton:
        button = QToolButton()
        button.setIcon(icons.icon(name, self._theme.text))
        button.setIconSize(QSize(theme.ICON, theme.ICON))
        button.setFixedSize(theme.BUTTON, theme.BUTTON)
        button.setAccessibleName(text)
        button.setToolTip(text)
        return button


def png(image: QImage) -> bytes:
    """An image as PNG data."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    QImageWriter(buffer, QByteArray(b"png")).write(image)
    return bytes(buffer.data().data())


def _open(path: Path) -> Medium:
    """A picture or a sound, by the file's ending. Raises MediaError."""
    if path.suffix.lower() in _SOUNDS:
        loaded = sound.load(path)
        if loaded.is_silent:
            raise MediaError(f"There is nothing to hear in {path.name}: it is silent.", "Record it again.")
        return loaded
    return picture.load(path)
