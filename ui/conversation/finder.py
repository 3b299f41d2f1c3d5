"""Going from place to place of the words that were searched for."""

from __future__ import annotations

from PySide6.QtGui import QColor, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QTextEdit

from assistant.history.words import places
from ui.conversation.sheet import Message, Sheet
from ui.look.theme import LIGHT, Theme


class Finder:
    """Selects a place in a view, and marks the others in the same message."""

    def __init__(self, view: QTextEdit, sheet: Sheet) -> None:
        self._view, self._sheet = view, sheet
        self._theme = LIGHT
        self._words = ""

    def set_theme(self, colours: Theme) -> None:
        """For the marks."""
        self._theme = colours
        if self._words:
            self._mark()

    def begin(self, message: Message, words: str) -> bool:
        """Go to the first place in a message; False if there is none from there on."""
        self._words = words
        ends = self._sheet.ends(message)
        return ends is not None and self._go_from(ends[0].position(), 1)

    def go(self, step: int) -> None:
        """Go to the next (1) or previous (-1) place, round at the end."""
        if self._words:
            cursor = self._view.textCursor()
            self._go_from(cursor.selectionEnd() if step > 0 else cursor.selectionStart(), step)

    def end(self) -> None:
        """No more marks."""
        if self._words:
            self._words = ""
            self._view.setExtraSelections([])
            cursor = self._view.textCursor()
            cursor.clearSelection()
            self._view.setTextCursor(cursor)

    def _go_from(self, position: int, step: int) -> bool:
        document = self._view.document()
        block = document.findBlock(position)
        for _ in range(document.blockCount() + 1):
            found = [
                (block.position() + start, block.position() + end)
                for start, end in _places(block.text(), self._words)
            ]
            ahead = [one for one in found if (one[0] >= position if step > 0 else one[1] <= position)]
            if ahead:
                self._select(*ahead[0 if step > 0 else -1])
                return True
            block = block.next() if step > 0 else block.previous()
            if not block.isValid():
                block = document.begin() if step > 0 else document.lastBlock()
            position = block.position() if step > 0 else block.position() + block.length()
        return False

    def _select(self, start: int, end: int) -> None:
        cursor = self._view.textCursor()
        cursor.setPosition(start)
        cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
        self._view.setTextCursor(cursor)
        self._view.ensureCursorVisible()
        self._mark()

    def _mark(self) -> None:
        message = self._sheet.message(self._view.textCursor().block())
        form = QTextCharFormat()
        form.setBackground(QColor(self._theme.found))
        marks: list[QTextEdit.ExtraSelection] = []
        for block in [] if message is None else self._sheet.blocks(message):
            for start, end in _places(block.text(), self._words):
                mark = QTextEdit.ExtraSelection()
                cursor = QTextCursor(block)
                cursor.setPosition(block.position() + start)
                cursor.setPosition(block.position() + end, QTextCursor.MoveMode.KeepAnchor)
                mark.cursor, mark.format = cursor, form
                marks.append(mark)
        self._view.setExtraSelections(marks)


def _places(text: str, words: str) -> list[tuple[int, int]]:
    """Where words stand in a block, as Qt counts: two for a character beyond the first 65,536."""
    found = places(text, words)
    if not found or max(text) < "\U00010000":
        return found

    def there(place: int) -> int:
        return place + sum(c >= "\U00010000" for c in text[:place])

    return [(there(start), there(end)) for start, end in found]
