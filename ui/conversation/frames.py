"""Where the messages of a transcript are on the screen, and the boxes behind them."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QTextBlock
from PySide6.QtWidgets import QTextEdit

from ui.conversation.sheet import Message, Sheet
from ui.look import theme
from ui.look.theme import Theme


class Frames:
    """All places are in the view's viewport."""

    def __init__(self, view: QTextEdit, sheet: Sheet) -> None:
        self._view, self._sheet = view, sheet
        self._wide: dict[int, tuple[float, float]] = {}  # of questions that were painted

    def forget(self, turn: int | None = None) -> None:
        """A question was laid out anew; None: all may have been."""
        if turn is None:
            self._wide.clear()
        else:
            self._wide.pop(turn, None)
        self._view.viewport().update()  # Qt paints its lines anew, but a box is wider than they are

    def of(self, message: Message, column: float) -> QRectF | None:
        """The place of a message, in a column that is so wide; None if it is not there."""
        ends = self._sheet.ends(message)
        if ends is None:
            return None
        layout = self._view.document().documentLayout()
        top, bottom = layout.blockBoundingRect(ends[0]), layout.blockBoundingRect(ends[1])
        at = self._view.verticalScrollBar().value()
        left, right = 0.0, column
        if not message.answer:
            first, last = self._span(message.turn, ends)
            left, right = max(left, first - theme.ROOM), min(right, last + theme.ROOM)
        return QRectF(left, top.top() - at, right - left, bottom.bottom() - top.top())

    def questions(self) -> list[Message]:
        """Those in sight."""
        view = self._view
        layout = view.document().documentLayout()
        bottom = view.verticalScrollBar().value() + view.viewport().height()
        block = view.cursorForPosition(view.viewport().rect().topLeft()).block()
        found: list[Message] = []
        while block.isValid() and layout.blockBoundingRect(block).top() <= bottom + theme.GAP:
            message = self._sheet.message(block)
            if message is not None and not message.answer and message not in found:
                found.append(message)
            block = block.next()
        return found

    def chip_at(self, place: QPoint) -> tuple[int, int] | None:
        """The turn and the number of the picture or recording there."""
        down = self._view.verticalScrollBar().value()
        layout = self._view.document().documentLayout()
        name = layout.imageAt(QPointF(place.x(), place.y() + down))
        return self._sheet.chip(name) if name else None

    def _span(self, turn: int, ends: tuple[QTextBlock, QTextBlock]) -> tuple[float, float]:
        """From the left to the right end of a question's lines, which may read from the right."""
        if turn not in self._wide:
            left, right, block = float(self._view.viewport().width()), 0.0, ends[0]
            while block.isValid() and block.blockNumber() <= ends[1].blockNumber():
                lines = block.layout()
                for i in range(lines.lineCount()):
                    line = lines.lineAt(i).naturalTextRect()
                    left, right = min(left, line.left()), max(right, line.right())
                block = block.next()
            self._wide[turn] = left, right
        return self._wide[turn]


def draw_box(painter: QPainter, place: QRectF, view: QRect, colours: Theme) -> None:
    """The tinted box of a question."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colours.tint))
    painter.drawRoundedRect(_box(place, view), theme.RADIUS, theme.RADIUS)


def draw_focus(painter: QPainter, place: QRectF, view: QRect, colours: Theme) -> None:
    """The line around the message that the keyboard is at."""
    painter.setPen(QPen(QColor(colours.accent), 1.5))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRoundedRect(_box(place, view).adjusted(1, 1, -1, -1), theme.RADIUS, theme.RADIUS)


def _box(place: QRectF, view: QRect) -> QRectF:
    """A message's frame, cut not far outside of what is seen."""
    far = 4 * theme.HUGE
    top, bottom = max(place.top(), view.top() - far), min(place.bottom(), view.bottom() + far)
    return QRectF(place.left(), top - theme.GAP, place.width(), bottom - top + 2 * theme.GAP)
