"""The conversation as it is read: questions in tinted boxes, answers that grow at their end.

What can be done with a message is asked for here, by a bar that follows the mouse, a menu, and the keyboard
(Alt+Up and Alt+Down go from message to message, Enter opens the menu); others carry it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from PySide6.QtCore import QEvent, QMimeData, QPoint, QRectF, Qt, QUrl, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTextCursor,
)
from PySide6.QtWidgets import QFrame, QTextEdit, QWidget

from ui.conversation.finder import Finder
from ui.conversation.flow import Flow
from ui.conversation.frames import Frames, draw_box, draw_focus
from ui.conversation.message_bar import Act, MessageBar
from ui.conversation.message_menu import MessageMenu
from ui.conversation.sheet import NOTE, RESULT, Chip, Message, Sheet
from ui.conversation.thumbs import Thumb, chip
from ui.look import theme
from ui.look.theme import LIGHT, Theme, Type

WIDEST: Final = 760  # logical pixels of a line, for the eye


@dataclass(frozen=True)
class Past:
    """A whole exchange to show. Characters of the answer from ``heard`` on were not heard."""

    turn: int
    words: str
    small: Sequence[Thumb]
    answer: str
    notes: Sequence[str]
    heard: int
    results: Sequence[str] = ()


class Transcript(QTextEdit):
    """Shows turns by number. All methods are for the GUI thread."""

    settled = Signal()
    """All text that was given is on the screen."""
    wanted = Signal(Act, Message)
    """What a person wants to do with a message."""
    opened = Signal(int, int)
    """A turn, and the number of its picture or recording that is to be opened or played."""
    left = Signal()
    """The keyboard went down past the last message."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("transcript")
        self.setAccessibleName(self.tr("Conversation"))
        self.setReadOnly(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAcceptDrops(False)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # lines keep their width
        self._theme = LIGHT
        self.sheet = Sheet(self.document())
        self.finder = Finder(self, self.sheet)
        self._frames = Frames(self, self.sheet)
        self.live = 0
        """The turn whose answer is being written or spoken; 0: none."""
        self.playing: tuple[int, int] | None = None
        """The turn and the number of the recording that is played."""
        self._focus: Message | None = None
        self._hover: Message | None = None
        self._pressed = QPoint()
        self._sounds: dict[tuple[int, int], float] = {}  # seconds, by turn and number
        self._flow = Flow(self.sheet, self)
        self._flow.settled.connect(self.settled)
        self._follow = True  # the person reads at the end, so it stays in sight
        self.bar = MessageBar(self)
        self.bar.wanted.connect(self.wanted)
        self.viewport().setMouseTracking(True)
        bar = self.verticalScrollBar()
        bar.setEnabled(False)
        bar.valueChanged.connect(self._scrolled)
        bar.rangeChanged.connect(self._grown)

    def set_theme(self, colours: Theme, letters: Type) -> None:
        """Colours and sizes of what is written from now on, and of what is there."""
        self._theme = colours
        self._frames.forget()
        self.sheet.set_theme(colours, letters, self.font())
        self.bar.set_theme(colours)
        self.finder.set_theme(colours)
        for place in self._sounds:
            self._draw_sound(place)
        self.viewport().update()

    def reset(self) -> None:
        """Forget everything."""
        self._flow.drop()
        self._frames.forget()
        self._sounds.clear()
        self.playing = None
        self.finder.end()
        self.focus_message(None)
        self._show_bar(None)
        self.sheet.reset()
        self._follow = True

    def add_question(self, turn: int, text: str) -> None:
        """A new turn: what the person asks."""
        self._flow.finish()
        self.sheet.add(turn, text)
        self._to_end()

    def add_earlier(self, exchanges: Sequence[Past]) -> None:
        """Exchanges ahead of all others; what is seen stays where it is."""
        before = self.document().size().height()
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()  # laid out once
        for one in reversed(exchanges):
            self.sheet.add(one.turn, one.words, self._chips(one.turn, one.small), first=True)
            self.sheet.finish(one.turn, one.answer, one.notes, one.results)
            if one.heard < len(one.answer):
                self.sheet.set_heard(one.turn, one.heard)
        cursor.endEditBlock()
        if not self._follow:
            bar = self.verticalScrollBar()
            bar.setValue(bar.value() + round(self.document().size().height() - before))

    def set_thumbs(self, turn: int, small: Sequence[Thumb]) -> None:
        """The pictures and recordings of a question, when they are drawn."""
        self._flow.finish()
        self.sheet.set_chips(turn, self._chips(turn, small))
        self._frames.forget(turn)

    def set_question(self, turn: int, text: str) -> None:
        """Put other words in a question's place: what was heard, when it is known."""
        self.sheet.set_words(turn, text)
        self._frames.forget(turn)

    def append_answer(self, text: str) -> None:
        """Some more of the answer to the last question."""
        self._flow.push(text)

    def add_result(self, text: str, turn: int) -> None:
        """What came of a tool call in a turn."""
        self.add_note(text, turn, RESULT)

    def add_note(self, text: str, turn: int | None = None, kind: int = NOTE) -> None:
        """A line of figures or a problem, under what was said last or in a turn."""
        self._flow.finish()
        last = self.sheet.last
        turn = last if turn is None else turn
        if turn is not None:
            self.sheet.note(turn, text, kind)
        if turn == last and self._follow:
            self._to_end()

    def set_note(self, turn: int, old: str, text: str, tip: str) -> None:
        """Put other words in the place of a note, or add it; ``tip`` is seen under the mouse."""
        self._flow.finish()
        if not old:
            self.add_note(text, turn)
        self.sheet.change_note(turn, old or text, text, tip)

    def set_heard(self, turn: int, length: int) -> None:
        """Make faint what follows the first ``length`` characters of an answer: it was not heard."""
        self._flow.finish()
        self.sheet.set_heard(turn, length)

    def cut_from(self, turn: int) -> None:
        """Remove a turn and all that follow."""
        self._flow.finish()
        self.focus_message(None)
        self._show_bar(None)
        self.sheet.cut(turn)
        self._frames.forget()

    def show_playing(self, recording: tuple[int, int] | None) -> None:
        """Mark the recording that is played, by its turn and number."""
        before, self.playing = self.playing, recording
        if before != recording:
            for place in (before, recording):
                if place is not None:
                    self._draw_sound(place)
            self.viewport().update()

    def reveal(self, message: Message) -> None:
        """Scroll so that the beginning of a message is in sight."""
        place = self.place(message)
        if place is not None:
            bar = self.verticalScrollBar()
            bar.setValue(bar.value() + round(place.top()) - theme.HUGE)

    def show_found(self, message: Message, words: str) -> None:
        """Show where words stand in a message; `Finder.go` goes on from there."""
        self._follow = False
        if not self.finder.begin(message, words):
            self.reveal(message)

    def place(self, message: Message) -> QRectF | None:
        """Where a message is, in the viewport's coordinates."""
        return self._frames.of(message, float(min(self.viewport().width(), self.width() - 2 * self._margin)))

    @property
    def focused(self) -> Message | None:
        """The message that the keyboard is at."""
        return self._focus

    def focus_message(self, message: Message | None) -> None:
        """Put the keyboard at a message."""
        self._focus = message
        self.setCursorWidth(1 if message is None else 0)
        if message is not None:
            self.setFocus(Qt.FocusReason.ShortcutFocusReason)
            place = self.place(message)
            if place is not None and (place.top() < 0 or place.bottom() > self.viewport().height()):
                self.reveal(message)
        self._show_bar(message)
        self.viewport().update()

    def go(self, step: int) -> None:
        """Go to the next (1) or the previous (-1) message."""
        self._flow.finish()
        if self._focus is None:
            last = self.sheet.message(self.document().lastBlock())
            if step < 0 and last is not None:
                self.focus_message(last)
            return
        message = self.sheet.neighbour(self._focus, step)
        if message is not None:
            self.focus_message(message)
        elif step > 0:
            self.focus_message(None)
            self._show_bar(None)
            self.left.emit()

    # --- what Qt calls

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
        return self.sheet.text(cursor.selectionStart(), cursor.selectionEnd())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Called by Qt."""
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if self._focus is not None and enter:
            self._menu_of(self._focus)
            return
        super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Called by Qt, for the right button and for the menu key."""
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            message = self._focus
            where = None
        else:
            message = self._at(event.pos())
            where = event.globalPos()
        self._menu_of(message, where)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Called by Qt."""
        super().mouseMoveEvent(event)
        if not event.buttons():
            place = event.position().toPoint()
            self._show_bar(self._at(place))
            shape = (
                Qt.CursorShape.PointingHandCursor
                if self._frames.chip_at(place)
                else Qt.CursorShape.IBeamCursor
            )
            self.viewport().setCursor(shape)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Called by Qt."""
        self._pressed = event.position().toPoint()
        self.focus_message(None)
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Called by Qt."""
        super().mouseReleaseEvent(event)
        place = event.position().toPoint()
        chip = self._frames.chip_at(place)
        still = (place - self._pressed).manhattanLength() < theme.SMALL
        if chip is not None and still and event.button() == Qt.MouseButton.LeftButton:
            self.opened.emit(*chip)

    def leaveEvent(self, event: QEvent) -> None:
        """Called by Qt: the bar stays while the mouse is on it."""
        super().leaveEvent(event)
        if not self.bar.underMouse():
            self._show_bar(self._focus)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Called by Qt: boxes behind the questions, then the text."""
        painter, seen = QPainter(self.viewport()), self.viewport().rect()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for message in self._frames.questions():
            place = self.place(message)
            if place is not None:
                draw_box(painter, place, seen, self._theme)
        if self._focus is not None and self.hasFocus():
            place = self.place(self._focus)
            if place is not None:
                draw_focus(painter, place, seen, self._theme)
        painter.end()
        super().paintEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Called by Qt: lines stay short enough to read, in the middle of a wide window."""
        self._keep_column()
        self._frames.forget()
        super().resizeEvent(event)
        self._show_bar(self._focus)

    def changeEvent(self, event: QEvent) -> None:
        """Called by Qt."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.LayoutDirectionChange:
            self._keep_column()

    # --- inside

    def _keep_column(self) -> None:
        side = self._margin
        sides = (side, side - theme.ROOM)  # the scroll bar stands at the end of the line
        left, right = sides[::-1] if self.isRightToLeft() else sides
        self.setViewportMargins(left, theme.GAP, right, 0)

    @property
    def _margin(self) -> int:
        return max(theme.LARGE, (self.width() - WIDEST) // 2)

    def _chips(self, turn: int, small: Sequence[Thumb]) -> list[Chip]:
        for number, one in enumerate(small):
            if not isinstance(one, QImage):
                self._sounds[turn, number] = one
        return [self._chip(one) for one in small]

    def _chip(self, thumb: Thumb, playing: bool = False) -> Chip:
        return chip(thumb, self.devicePixelRatioF(), self._theme, self.font(), playing)

    def _draw_sound(self, place: tuple[int, int]) -> None:
        if place in self._sounds:
            drawn = self._chip(self._sounds[place], place == self.playing)
            self.sheet.replace_chip(self.sheet.chip_name(*place), drawn.image)

    def _at(self, place: QPoint) -> Message | None:
        """The message at a height of the viewport."""
        block = self.cursorForPosition(place).block()
        message = self.sheet.message(block)
        if message is None:
            return None
        box = self.place(message)
        near = box is not None and box.top() - theme.WIDE <= place.y() <= box.bottom() + theme.WIDE
        return message if near else None

    def _show_bar(self, message: Message | None) -> None:
        self._hover = message
        place = None if message is None else self.place(message)
        if message is None or place is None:
            self.bar.hide()
            return
        self.bar.show_for(message, message.turn == self.live)
        view = self.viewport().geometry()
        box = place.translated(view.topLeft()).toRect()
        left, top = box.right() - theme.GAP - self.bar.width(), box.top() - self.bar.height() + theme.GAP
        ends = self.sheet.ends(message)
        if ends is not None and ends[0].textDirection() is Qt.LayoutDirection.RightToLeft:
            left = box.left() + theme.GAP  # where the first line ends
        if not message.answer:  # beside its box, where there is room
            beside = (box.right() + theme.GAP, box.left() - theme.GAP - self.bar.width())
            free = [x for x in beside if view.left() <= x <= view.right() - self.bar.width()]
            left, top = (free[0], box.top() - theme.GAP) if free else (left, top)
        self.bar.move(left, min(max(top, theme.SMALL), view.bottom() - self.bar.height()))
        self.bar.show()
        self.bar.raise_()

    def _menu_of(self, message: Message | None, where: QPoint | None = None) -> None:
        """What can be done with a message, and with what is selected."""
        menu = MessageMenu(self, self._theme)
        if message is not None:
            menu.offer(message, message.turn == self.live, self.wanted.emit)
            chips = [] if message.answer else self.sheet.chips_of(message.turn)
            heard = [(number, (message.turn, number) in self._sounds) for number in chips]
            menu.offer_chips(message.turn, heard, self.opened.emit)
            menu.addSeparator()
        menu.addAction(self.tr("Select all"), self.selectAll)
        if where is None:
            place = None if message is None else self.place(message)
            top = 0 if place is None else max(0, round(place.top()))
            where = self.viewport().mapToGlobal(QPoint(theme.WIDE, min(top + theme.WIDE, self.height() // 2)))
        menu.popup(where)
        menu.setActiveAction(menu.actions()[0])

    def _scrolled(self, value: int) -> None:
        self._follow = value >= self.verticalScrollBar().maximum() - theme.LARGE
        self._show_bar(self._focus)

    def _grown(self, _least: int, most: int) -> None:
        self.verticalScrollBar().setEnabled(most > 0)
        if self._follow:
            self.verticalScrollBar().setValue(most)

    def _to_end(self) -> None:
        self._follow = True
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())
