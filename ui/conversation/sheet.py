"""The document of a conversation: one block of text after another, found again by the number of their turn.

Nothing in it is markup: text is inserted as text, and the only pictures are those of `Chip`. A long run
without a break is cut into blocks, because appending lays the last block out anew; copying joins them again.
Every block knows its turn and what it is, so a message is found by halving, however long the conversation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QUrl
from PySide6.QtGui import (
    QColor,
    QFont,
    QImage,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextImageFormat,
)

from ui.look import theme
from ui.look.theme import LIGHT, Theme, Type

_LONGEST_BLOCK: Final = 1000  # characters

_KIND: Final = int(QTextFormat.Property.UserProperty)
_FIRST: Final = _KIND + 1  # of a question or an answer
_CONTINUED: Final = _KIND + 2  # goes on where the last block was cut
_TURN: Final = _KIND + 3
QUESTION, ANSWER, NOTE, MEDIA, RESULT = 1, 2, 3, 4, 5
_UNDER: Final = (NOTE, RESULT)  # lines under the words of an answer


@dataclass(frozen=True)
class Message:
    """A question, or an answer with its notes."""

    turn: int
    answer: bool


@dataclass(frozen=True)
class Chip:
    """What stands for a picture or a recording: an image, ``width`` and ``height`` in logical pixels."""

    image: QImage
    width: float
    height: float


class Sheet:
    """Writes the document; knows nothing of widgets."""

    def __init__(self, document: QTextDocument) -> None:
        self.document = document
        document.setDocumentMargin(0)
        document.setUndoRedoEnabled(False)
        self._theme, self._letters, self._font = LIGHT, Type(), QFont()
        self._rank: dict[int, int] = {}  # of turns, in the order in which they stand
        self._written = 0  # characters in the block that is being written
        self._chips: dict[str, tuple[int, int]] = {}  # names of images: turn, number

    @property
    def last(self) -> int | None:
        """The turn at the end."""
        block = self.document.lastBlock()
        return turn_of(block) if kind_of(block) else None

    def set_theme(self, colours: Theme, letters: Type, font: QFont) -> None:
        """For what is there and what will be written. The text's own colour is the palette's."""
        self._theme, self._letters = colours, letters
        self._font = QFont(font)
        self._font.setPixelSize(letters.px(0))
        self.document.setDefaultFont(self._font)
        cursor = QTextCursor(self.document)
        cursor.beginEditBlock()
        block = self.document.begin()
        while block.isValid():
            pieces = [(block.position(), block.position() + block.length() - 1)]
            form = self._form(NOTE)
            if kind_of(block) != NOTE:
                pieces, form = _faint(block), self._form(ANSWER, faint=True)
            for start, end in pieces:
                cursor.setPosition(start)
                cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
                cursor.mergeCharFormat(form)
            block = block.next()
        cursor.endEditBlock()

    def reset(self) -> None:
        """Forget everything."""
        self.document.clear()
        self.document.setDefaultFont(self._font)
        self._rank.clear()
        self._chips.clear()
        self._written = 0

    def add(self, turn: int, words: str, chips: Sequence[Chip] = (), first: bool = False) -> None:
        """A question, at the end or as the ``first`` of all."""
        ranks, written = self._rank.values(), self._written
        self._rank[turn] = min(ranks, default=0) - 1 if first else max(ranks, default=0) + 1
        if first and kind_of(self.document.begin()):
            cursor = QTextCursor(self.document)
            begin = self.document.begin()
            form = begin.blockFormat()
            form.setTopMargin(theme.HUGE if kind_of(begin) in (QUESTION, MEDIA) else form.topMargin())
            cursor.insertBlock(form, begin.charFormat())
            cursor.setPosition(0)
            cursor.setBlockFormat(QTextBlockFormat())
        else:
            cursor = self._end()
        self._new_block(cursor, turn, MEDIA if chips else QUESTION, first=True)
        if chips:
            self._put_chips(cursor, turn, chips)
            self._new_block(cursor, turn, QUESTION)
        self._write(cursor, turn, words, QUESTION)
        if first:
            self._written = written

    def set_chips(self, turn: int, chips: Sequence[Chip]) -> None:
        """The pictures and recordings of a question, ahead of its words."""
        block = self._find(turn)
        if block is None or kind_of(block) == MEDIA:
            return
        first, form = block.blockFormat(), block.blockFormat()
        form.setProperty(_FIRST, 0)
        form.setTopMargin(theme.GAP)
        cursor = QTextCursor(block)
        cursor.beginEditBlock()
        cursor.insertBlock(form, block.charFormat())
        cursor.setPosition(block.position())
        first.setProperty(_KIND, MEDIA)
        first.setLineHeight(0, QTextBlockFormat.LineHeightTypes.SingleHeight.value)
        cursor.setBlockFormat(first)
        self._put_chips(cursor, turn, chips)
        cursor.endEditBlock()

    def replace_chip(self, name: str, image: QImage) -> None:
        """Another image of the same size for a chip."""
        self.document.addResource(QTextDocument.ResourceType.ImageResource.value, QUrl(name), image)

    def chip(self, name: str) -> tuple[int, int] | None:
        """The turn and the number, from 0, of the picture or recording that an image stands for."""
        return self._chips.get(name)

    def chips_of(self, turn: int) -> list[int]:
        """The numbers of the pictures and recordings of a question."""
        return [number for one, number in self._chips.values() if one == turn]

    def chip_name(self, turn: int, number: int) -> str:
        """The name of its image."""
        return f"aside:{turn}:{number}"

    def set_words(self, turn: int, words: str) -> None:
        """Other words in a question's place."""
        block, end = self._find(turn), self._find(turn, answer=True)
        if block is None:
            return
        if kind_of(block) == MEDIA:
            block = block.next()
        cursor, form = QTextCursor(block), block.blockFormat()
        stop = self._after(block, end)
        cursor.beginEditBlock()
        cursor.setPosition(stop, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        cursor.setBlockFormat(form)
        written, self._written = self._written, 0
        self._write(cursor, turn, words, QUESTION)
        self._written = written
        cursor.endEditBlock()

    def append(self, text: str) -> None:
        """Some more of the answer to the last question."""
        turn = self.last
        if turn is None:
            return
        cursor = self._end()
        if kind_of(cursor.block()) != ANSWER:
            self._new_block(cursor, turn, ANSWER, first=kind_of(cursor.block()) not in _UNDER)
        cursor.beginEditBlock()
        self._write(cursor, turn, text, ANSWER)
        cursor.endEditBlock()

    def finish(self, turn: int, answer: str, notes: Sequence[str], results: Sequence[str] = ()) -> None:
        """A whole answer with its notes, of an exchange that need not be the last."""
        written = self._written
        cursor = self._end_of(turn)
        if answer:
            self._new_block(cursor, turn, ANSWER, first=True)
            self._write(cursor, turn, answer, ANSWER)
        for result in results:
            self.note(turn, result, RESULT)
        for note in notes:
            self.note(turn, note)
        self._written = self._written if turn == self.last else written

    def note(self, turn: int, text: str, kind: int = NOTE) -> None:
        """A line under what was said in a turn; RESULT: what a tool did, which is a part of the answer."""
        if not text or turn not in self._rank:
            return
        written = self._written
        cursor = self._end_of(turn)
        self._new_block(cursor, turn, kind, first=kind_of(cursor.block()) not in _UNDER)
        self._write(cursor, turn, text, kind)
        self._written = self._written if turn == self.last else written

    def change_note(self, turn: int, old: str, text: str, tip: str) -> None:
        """Put other words in the place of a note, with a tip for the mouse."""
        for block in self.blocks(Message(turn, True)):
            if kind_of(block) == NOTE and block.text() == old:
                form = self._form(NOTE)
                form.setToolTip(tip)
                cursor = QTextCursor(block)
                cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor)
                cursor.insertText(text, form)
                return

    def set_heard(self, turn: int, length: int) -> None:
        """Make faint what follows the first ``length`` characters of an answer."""
        left = length
        cursor = QTextCursor(self.document)
        cursor.beginEditBlock()
        for place, block in enumerate(b for b in self.blocks(Message(turn, True)) if kind_of(b) == ANSWER):
            if place and not block.blockFormat().boolProperty(_CONTINUED):
                left -= 1
            at = min(max(left, 0), block.length() - 1)
            left -= block.length() - 1
            if at < block.length() - 1:
                cursor.setPosition(block.position() + at)
                cursor.setPosition(block.position() + block.length() - 1, QTextCursor.MoveMode.KeepAnchor)
                cursor.mergeCharFormat(self._form(ANSWER, faint=True))
        cursor.endEditBlock()

    def text(self, start: int, end: int) -> str:
        """What was said between two positions, with blocks that were cut joined again."""
        block = self.document.findBlock(start)
        parts: list[str] = []
        while block.isValid() and block.position() <= end:
            if parts and not block.blockFormat().boolProperty(_CONTINUED):
                parts.append("\n")
            text = block.text()
            parts.append(text[max(0, start - block.position()) : max(0, end - block.position())])
            block = block.next()
        return "".join(parts).replace("\ufffc", "").replace("\u2028", "\n")

    def cut(self, turn: int) -> None:
        """Remove a turn and all that follow."""
        block = self._find(turn)
        if block is None:
            return
        rank = self._rank[turn]
        self._rank = {one: place for one, place in self._rank.items() if place < rank}
        self._chips = {name: of for name, of in self._chips.items() if of[0] in self._rank}
        if not self._rank:
            self.reset()
            return
        cursor, form = QTextCursor(block), block.previous().blockFormat()
        cursor.movePosition(QTextCursor.MoveOperation.PreviousCharacter)
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        cursor.setBlockFormat(form)
        self._written = self.document.lastBlock().length() - 1

    def messages(self) -> list[Message]:
        """In their order; an answer that has not begun is none."""
        found: list[Message] = []
        for turn in sorted(self._rank, key=self._rank.__getitem__):
            found.append(Message(turn, False))
            if self._find(turn, answer=True) is not None:
                found.append(Message(turn, True))
        return found

    def neighbour(self, message: Message, step: int) -> Message | None:
        """The message after (1) or before (-1) one, or None at the end."""
        blocks = self.ends(message)
        if blocks is None:
            return None
        return self.message(blocks[1].next() if step > 0 else blocks[0].previous())

    def message(self, block: QTextBlock) -> Message | None:
        """The message that a block belongs to."""
        kind = kind_of(block)
        return Message(turn_of(block), kind in (ANSWER, *_UNDER)) if kind else None

    def ends(self, message: Message) -> tuple[QTextBlock, QTextBlock] | None:
        """The first and the last block of a message."""
        first = self._find(message.turn, message.answer)
        if first is None:
            return None
        rank = self._rank[message.turn]
        number = self._search((rank, 1) if not message.answer else (rank + 1, 0))
        return first, self.document.findBlockByNumber(number - 1)

    def blocks(self, message: Message) -> Iterator[QTextBlock]:
        """All blocks of a message."""
        ends = self.ends(message)
        if ends is not None:
            block, last = ends
            while block.isValid() and block.blockNumber() <= last.blockNumber():
                yield block
                block = block.next()

    # --- finding

    def _key(self, block: QTextBlock) -> tuple[int, int]:
        return self._rank.get(turn_of(block), 0), int(kind_of(block) in (ANSWER, *_UNDER))

    def _search(self, key: tuple[int, int]) -> int:
        """The number of the first block that is not before ``key``."""
        low, high = 0, self.document.blockCount()
        while low < high:
            middle = (low + high) // 2
            if self._key(self.document.findBlockByNumber(middle)) < key:
                low = middle + 1
            else:
                high = middle
        return low

    def _find(self, turn: int, answer: bool = False) -> QTextBlock | None:
        if turn not in self._rank:
            return None
        key = self._rank[turn], int(answer)
        block = self.document.findBlockByNumber(self._search(key))
        return block if block.isValid() and self._key(block) == key else None

    def _after(self, block: QTextBlock, end: QTextBlock | None) -> int:
        """Where the question that a block is in ends."""
        if end is not None:
            return end.position() - 1
        ends = self.ends(Message(turn_of(block), False))
        last = block if ends is None else ends[1]
        return last.position() + last.length() - 1

    def _end(self) -> QTextCursor:
        cursor = QTextCursor(self.document)
        cursor.movePosition(QTextCursor.MoveOperation.End)
        return cursor

    def _end_of(self, turn: int) -> QTextCursor:
        rank = self._rank[turn]
        block = self.document.findBlockByNumber(self._search((rank + 1, 0)) - 1)
        cursor = QTextCursor(block)
        cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock)
        return cursor

    # --- writing

    def _write(self, cursor: QTextCursor, turn: int, text: str, kind: int) -> None:
        """Insert text as it is, in blocks of bounded length."""
        form = self._form(kind)
        for number, line in enumerate(plain(text).split("\n")):
            if number:
                self._new_block(cursor, turn, kind)
            at = 0
            while at < len(line):
                room = _LONGEST_BLOCK - self._written
                if room <= 0:
                    self._new_block(cursor, turn, kind, continued=True)
                    room = _LONGEST_BLOCK
                piece = line[at : at + room]
                cursor.insertText(piece, form)
                self._written += len(piece)
                at += len(piece)

    def _new_block(
        self, cursor: QTextCursor, turn: int, kind: int, first: bool = False, continued: bool = False
    ) -> None:
        """Begin a block; ``first`` of a question or an answer."""
        form = QTextBlockFormat()
        form.setProperty(_KIND, kind)
        form.setProperty(_FIRST, int(first))
        form.setProperty(_CONTINUED, continued)
        form.setProperty(_TURN, turn)
        if kind != MEDIA:
            form.setLineHeight(140, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        fresh = not kind_of(cursor.block())  # an empty block that was made for us
        if fresh and self.document.blockCount() == 1:  # the first block's own margin doesn't count
            frame = self.document.rootFrame().frameFormat()
            frame.setTopMargin(theme.WIDE)
            frame.setBottomMargin(theme.WIDE)
            self.document.rootFrame().setFrameFormat(frame)
        form.setLeftMargin(theme.ROOM)
        form.setRightMargin(theme.ROOM)
        if kind in (QUESTION, MEDIA):
            top = 0 if cursor.block().blockNumber() == 0 and fresh else theme.HUGE
            under = kind_of(cursor.block()) == MEDIA
            form.setTopMargin(top if first else theme.GAP if under else 0)
        elif kind == ANSWER:
            form.setTopMargin(theme.LARGE if first else 0 if continued else theme.SMALL)
        elif kind_of(cursor.block()) in (QUESTION, MEDIA):
            form.setTopMargin(theme.LARGE)
        else:
            form.setTopMargin(theme.SMALL if kind_of(cursor.block()) == kind else theme.ROOM)
        if fresh:
            cursor.setBlockFormat(form)
        else:
            cursor.insertBlock(form, self._form(kind))
        self._written = 0

    def _put_chips(self, cursor: QTextCursor, turn: int, chips: Sequence[Chip]) -> None:
        for number, chip in enumerate(chips):
            name = self.chip_name(turn, number)
            self._chips[name] = turn, number
            self.replace_chip(name, chip.image)
            form = QTextImageFormat()
            form.setName(name)
            form.setWidth(chip.width)
            form.setHeight(chip.height)
            form.setVerticalAlignment(QTextCharFormat.VerticalAlignment.AlignBottom)
            cursor.insertImage(form)
            cursor.insertText(" ", self._form(QUESTION))

    def _form(self, kind: int, faint: bool = False) -> QTextCharFormat:
        form = QTextCharFormat()
        if kind == NOTE:
            font = QFont(self._font)
            font.setPixelSize(self._letters.px(-1))
            form.setFont(font)
        if kind == NOTE or faint:
            form.setForeground(QColor(self._theme.faint))
        return form


def kind_of(block: QTextBlock) -> int:
    """QUESTION, MEDIA, ANSWER, RESULT, NOTE, or 0 for none of them."""
    return block.blockFormat().intProperty(_KIND) if block.isValid() else 0


def turn_of(block: QTextBlock) -> int:
    """The turn that a block belongs to."""
    return block.blockFormat().intProperty(_TURN)


def _faint(block: QTextBlock) -> list[tuple[int, int]]:
    """The pieces of a block that are not in the text's own colour."""
    found: list[tuple[int, int]] = []
    place = block.begin()
    while not place.atEnd():
        piece = place.fragment()
        if piece.charFormat().hasProperty(QTextFormat.Property.ForegroundBrush.value):
            found.append((piece.position(), piece.position() + piece.length()))
        place += 1
    return found


def plain(text: str) -> str:
    """Text without what a document takes for more than text: other line ends, object marks, controls."""
    text = text.replace("\r\n", "\n").replace("\u2029", "\n").replace("\u2028", "\n")
    return "".join(
        c for c in text if c in "\n\t" or (c.isprintable() and c != "\ufffc") or c in "\u200d\u200c"
    )
