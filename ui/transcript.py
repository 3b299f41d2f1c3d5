"""The conversation as it is read: questions in tinted boxes, answers that grow at their end.

One text document that is only ever appended to. Nothing in it is markup: text is inserted as text, and only
pictures that were given to `add_question` are ever shown. A long run without a break is cut into blocks,
because appending lays the last block out anew; copying joins them again.
"""

from __future__ import annotations

from typing import Any, Final

from PySide6.QtCore import QMimeData, QRectF, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QImage,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextImageFormat,
)
from PySide6.QtWidgets import QFrame, QTextEdit, QWidget

from ui import theme
from ui.theme import LIGHT, Theme, Type

_LONGEST_BLOCK: Final = 1000  # characters
_AT_ONCE: Final = 2000  # characters inserted between two looks at the event queue
_FLUSH: Final = 16  # ms between two insertions
_WIDEST: Final = 760  # logical pixels of a line, for the eye
_THUMBNAIL: Final = 160  # logical pixels, the longer side of a picture

_KIND: Final = int(QTextFormat.Property.UserProperty)
_FIRST: Final = _KIND + 1  # of a question or an answer
_CONTINUED: Final = _KIND + 2  # goes on where the last block was cut
_QUESTION, _ANSWER, _NOTE = 1, 2, 3


class Transcript(QTextEdit):
    """Shows turns by number. All methods are for the GUI thread."""

    settled = Signal()
    """All text that was given is on the screen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("transcript")
        self.setAccessibleName(self.tr("Conversation"))
        self.setReadOnly(True)
        self.setUndoRedoEnabled(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAcceptDrops(False)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._theme, self._letters = LIGHT, Type()
        self._questions: dict[int, tuple[QTextCursor, QTextCursor]] = {}
        self._pending: list[str] = []
        self._block = 0  # characters in the block that is being written
        self._images = 0
        self._timer = QTimer(self)
        self._timer.setInterval(_FLUSH)
        self._timer.timeout.connect(self._flush)
        self.document().setDocumentMargin(0)
        self._follow = True  # the person reads at the end, so it stays in sight
        bar = self.verticalScrollBar()
        bar.valueChanged.connect(self._scrolled)
        bar.rangeChanged.connect(self._grown)

    @property
    def empty(self) -> bool:
        """Whether nothing was said yet."""
        return self.document().isEmpty() and not self._pending

    def set_theme(self, colours: Theme, letters: Type) -> None:
        """Colours and sizes of what is written from now on, and of what is there."""
        self._theme, self._letters = colours, letters
        self.document().setDefaultFont(self._font())
        block = self.document().begin()
        while block.isValid():
            cursor = QTextCursor(block)
            cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor)
            form = QTextCharFormat()
            form.setForeground(self._colour(_kind(block)))
            cursor.mergeCharFormat(form)
            block = block.next()
        self.viewport().update()

    def reset(self) -> None:
        """Forget everything."""
        self._timer.stop()
        self._pending.clear()
        self._questions.clear()
        self.document().clear()
        self.document().setDefaultFont(self._font())
        self._block = 0

    def add_question(self, turn: int, text: str, pictures: tuple[QImage, ...] = ()) -> None:
        """A new turn: what the person asks."""
        self._flush_all()
        cursor = self._new_block(_QUESTION, first=True)
        for picture in pictures:
            self._insert_picture(cursor, picture)
        if pictures:
            form = cursor.blockFormat()
            form.setLineHeight(0, QTextBlockFormat.LineHeightTypes.SingleHeight.value)
            cursor.setBlockFormat(form)
            cursor = self._new_block(_QUESTION)
        start = QTextCursor(cursor)
        start.setKeepPositionOnInsert(True)
        self._write(cursor, text, _QUESTION)
        self._questions[turn] = (start, QTextCursor(cursor))
        self._to_end()

    def set_question(self, turn: int, text: str) -> None:
        """Put other words in a question's place: what was heard, when it is known."""
        if turn not in self._questions:
            return
        start, end = self._questions[turn]
        here = QTextCursor(start)
        here.setPosition(end.position(), QTextCursor.MoveMode.KeepAnchor)
        here.insertText(_plain(text).replace("\n", " "), self._form(_QUESTION))
        self._questions[turn] = (start, QTextCursor(here))

    def append_answer(self, text: str) -> None:
        """Some more of the answer to the last question."""
        self._pending.append(text)
        if not self._timer.isActive():
            self._flush()
            self._timer.start()

    def add_note(self, text: str) -> None:
        """A line of figures or a problem, under what was said last."""
        self._flush_all()
        last = self.document().lastBlock()
        cursor = self._new_block(_NOTE, first=_kind(last) != _NOTE)
        self._write(cursor, text, _NOTE)
        self._to_end()

    def loadResource(self, _kind_of: int, _name: QUrl | str) -> Any:
        """Called by Qt for whatever a document names: nothing is ever loaded."""
        return None

    def createMimeDataFromSelection(self) -> QMimeData:
        """Called by Qt for copy and drag: plain text, with blocks that were cut joined again."""
        data = QMimeData()
        data.setText(self.selected_text())
        return data

    def selected_text(self) -> str:
        """The selection as it was said."""
        cursor = self.textCursor()
        start, end = cursor.selectionStart(), cursor.selectionEnd()
        block = self.document().findBlock(start)
        parts: list[str] = []
        while block.isValid() and block.position() <= end:
            if parts and not block.blockFormat().boolProperty(_CONTINUED):
                parts.append("\n")
            text = block.text()
            parts.append(text[max(0, start - block.position()) : max(0, end - block.position())])
            block = block.next()
        return "".join(parts).replace("\ufffc", "").replace("\u2028", "\n")

    def paintEvent(self, event: QPaintEvent) -> None:
        """Called by Qt: boxes behind the questions, then the text."""
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self._theme.tint))
        for box in self._boxes():
            painter.drawRoundedRect(box, theme.RADIUS, theme.RADIUS)
        painter.end()
        super().paintEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Called by Qt: lines stay short enough to read, in the middle of a wide window."""
        side = max(theme.LARGE, (self.width() - _WIDEST) // 2)
        self.setViewportMargins(side, theme.GAP, side - theme.ROOM, 0)
        super().resizeEvent(event)

    def _boxes(self) -> list[QRectF]:
        """Around each question that can be seen, in the viewport's coordinates."""
        layout = self.document().documentLayout()
        top = self.verticalScrollBar().value()
        bottom = top + self.viewport().height()
        block = self.cursorForPosition(self.viewport().rect().topLeft()).block()
        while _kind(block) == _QUESTION and _kind(block.previous()) == _QUESTION:
            block = block.previous()
        boxes: list[QRectF] = []
        last = False
        while block.isValid():
            place = layout.blockBoundingRect(block)
            if place.top() > bottom:
                break
            question = _kind(block) == _QUESTION
            if question:
                lines = block.layout()
                wide = max(
                    (lines.lineAt(i).naturalTextWidth() for i in range(lines.lineCount())), default=0.0
                )
                box = QRectF(0, place.top() - top, wide + 2 * theme.ROOM, place.height()).adjusted(
                    0, -theme.GAP, 0, theme.GAP
                )
                first = block.blockFormat().intProperty(_FIRST) == 1
                if last and boxes and not first:
                    box = boxes.pop().united(box)
                boxes.append(box)
            last = question
            block = block.next()
        return boxes

    def _flush(self) -> None:
        """Insert what is waiting, but never so much that a frame is lost."""
        if not self._pending:
            self._timer.stop()
            self.settled.emit()
            return
        text = "".join(self._pending)
        self._pending = [text[_AT_ONCE:]] if len(text) > _AT_ONCE else []
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        if _kind(cursor.block()) != _ANSWER:
            cursor = self._new_block(_ANSWER, first=_kind(cursor.block()) == _QUESTION)
        cursor.beginEditBlock()
        self._write(cursor, text[:_AT_ONCE], _ANSWER)
        cursor.endEditBlock()

    def _scrolled(self, value: int) -> None:
        self._follow = value >= self.verticalScrollBar().maximum() - theme.LARGE

    def _grown(self, _least: int, most: int) -> None:
        if self._follow:
            self.verticalScrollBar().setValue(most)

    def _flush_all(self) -> None:
        while self._pending:
            self._flush()

    def _write(self, cursor: QTextCursor, text: str, kind: int) -> None:
        """Insert text as it is, in blocks of bounded length."""
        form = self._form(kind)
        for number, line in enumerate(_plain(text).split("\n")):
            if number:
                self._new_block(kind, cursor=cursor)
            at = 0
            while at < len(line):
                room = _LONGEST_BLOCK - self._block
                if room <= 0:
                    self._new_block(kind, continued=True, cursor=cursor)
                    room = _LONGEST_BLOCK
                piece = line[at : at + room]
                cursor.insertText(piece, form)
                self._block += len(piece)
                at += len(piece)

    def _new_block(
        self, kind: int, first: bool = False, continued: bool = False, cursor: QTextCursor | None = None
    ) -> QTextCursor:
        """Begin a block at the end of the document; ``first`` of a question or an answer."""
        if cursor is None:
            cursor = QTextCursor(self.document())
            cursor.movePosition(QTextCursor.MoveOperation.End)
        form = QTextBlockFormat()
        form.setProperty(_KIND, kind)
        form.setProperty(_FIRST, int(first))
        form.setProperty(_CONTINUED, continued)
        form.setLineHeight(140, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        start = self.document().isEmpty()
        if start:  # the first block's own margin doesn't count
            frame = self.document().rootFrame().frameFormat()
            frame.setTopMargin(theme.WIDE)
            frame.setBottomMargin(theme.WIDE)
            self.document().rootFrame().setFrameFormat(frame)
        if kind == _QUESTION:
            form.setLeftMargin(theme.ROOM)
            form.setRightMargin(theme.ROOM)
            form.setTopMargin((0 if start else theme.HUGE) if first else 0)
        elif kind == _ANSWER:
            form.setTopMargin(theme.LARGE if first else 0 if continued else theme.SMALL)
        else:
            form.setTopMargin(theme.ROOM if first else theme.SMALL)
        if start:
            cursor.setBlockFormat(form)
        else:
            cursor.insertBlock(form, self._form(kind))
        self._block = 0
        return cursor

    def _insert_picture(self, cursor: QTextCursor, picture: QImage) -> None:
        self._images += 1
        name = f"aside:{self._images}"
        scale = min(1.0, _THUMBNAIL / max(1, picture.width(), picture.height()))
        ratio = self.devicePixelRatioF()
        small = picture.scaled(
            picture.size() * min(1.0, scale * ratio),
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        self.document().addResource(QTextDocument.ResourceType.ImageResource.value, QUrl(name), small)
        form = QTextImageFormat()
        form.setName(name)
        form.setWidth(picture.width() * scale)
        form.setHeight(picture.height() * scale)
        cursor.insertImage(form)
        cursor.insertText(" ", self._form(_QUESTION))

    def _to_end(self) -> None:
        self._follow = True
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(self._letters.px(0))
        return font

    def _form(self, kind: int) -> QTextCharFormat:
        form = QTextCharFormat()
        form.setForeground(self._colour(kind))
        font = self._font()
        font.setPixelSize(self._letters.px(-1 if kind == _NOTE else 0))
        form.setFont(font)
        return form

    def _colour(self, kind: int) -> QColor:
        return QColor(self._theme.faint if kind == _NOTE else self._theme.text)


def _kind(block: QTextBlock) -> int:
    return block.blockFormat().intProperty(_KIND) if block.isValid() else 0


def _plain(text: str) -> str:
    """Text without what a document takes for more than text: other line ends, object marks, controls."""
    text = text.replace("\r\n", "\n").replace("\u2029", "\n").replace("\u2028", "\n")
    return "".join(
        c for c in text if c in "\n\t" or (c.isprintable() and c != "\ufffc") or c in "\u200d\u200c"
    )
