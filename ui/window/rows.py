"""How the list at the left is drawn: a title, and under it where words were found, as plain runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QTextCharFormat, QTextLayout, QTextOption
from PySide6.QtWidgets import QApplication, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from assistant.history.records import Run
from ui.look import theme
from ui.look.theme import LIGHT, Theme, Type

RUNS: Final = int(Qt.ItemDataRole.UserRole) + 1
_LINES: Final = 2  # of a snippet

Index = QModelIndex | QPersistentModelIndex


class Rows(QStyledItemDelegate):
    """Draws items that have ``RUNS``; others as Qt does."""

    def __init__(self) -> None:
        super().__init__()
        self._theme, self._letters = LIGHT, Type()

    def set_theme(self, colours: Theme, letters: Type) -> None:
        """Colours and sizes."""
        self._theme, self._letters = colours, letters

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Called by Qt."""
        if not index.data(RUNS):
            return super().sizeHint(option, index)
        title, small = self._fonts(option.font)
        metrics, width = QFontMetricsF(small), option.rect.width() - 2 * theme.ROOM
        text = "".join(run.text for run in index.data(RUNS))
        lines = 1 if 0 < metrics.horizontalAdvance(text) < width else _LINES
        height = QFontMetricsF(title).lineSpacing() + lines * metrics.lineSpacing()
        return QSize(0, round(height) + 2 * theme.GAP + theme.SMALL)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Called by Qt."""
        runs: Sequence[Run] | None = index.data(RUNS)
        if not runs:
            super().paint(painter, option, index)
            return
        self.initStyleOption(option, index)
        text, option.text = option.text, ""
        style = option.widget.style() if option.widget is not None else QApplication.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, option.widget)
        painter.save()
        title, small = self._fonts(option.font)
        inset = theme.ROOM + style.pixelMetric(QStyle.PixelMetric.PM_FocusFrameHMargin) + 1  # as Qt's own
        box = QRectF(option.rect).adjusted(inset, theme.GAP, -inset, -theme.GAP)
        metrics = QFontMetricsF(title)
        painter.setFont(title)
        painter.setPen(QColor(self._theme.text))
        line = metrics.elidedText(text, Qt.TextElideMode.ElideRight, box.width())
        leading = QStyle.visualAlignment(option.direction, Qt.AlignmentFlag.AlignLeft)
        painter.drawText(box, int(leading | Qt.AlignmentFlag.AlignTop), line)
        below = box.adjusted(0, metrics.lineSpacing() + theme.SMALL, 0, 0)
        self._draw(painter, runs, small, below, leading)
        painter.restore()

    def _draw(
        self, painter: QPainter, runs: Sequence[Run], font: QFont, box: QRectF, leading: Qt.AlignmentFlag
    ) -> None:
        layout = QTextLayout("".join(run.text for run in runs), font)
        option = QTextOption()
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        option.setAlignment(leading | Qt.AlignmentFlag.AlignAbsolute)
        layout.setTextOption(option)
        ranges, at = [], 0
        for run in runs:
            if run.found:
                one = QTextLayout.FormatRange()
                one.start, one.length = at, len(run.text.encode("utf-16-le")) // 2
                one.format = QTextCharFormat()
                one.format.setFontWeight(QFont.Weight.Bold)
                one.format.setForeground(QColor(self._theme.accent))
                ranges.append(one)
            at += len(run.text.encode("utf-16-le")) // 2
        layout.setFormats(ranges)
        layout.beginLayout()
        top = 0.0
        for _ in range(_LINES):
            line = layout.createLine()
            if not line.isValid():
                break
            line.setLineWidth(box.width())
            line.setPosition(QPointF(0, top))
            top += line.height()
        layout.endLayout()
        painter.setPen(QColor(self._theme.faint))
        layout.draw(painter, box.topLeft())

    def _fonts(self, base: QFont) -> tuple[QFont, QFont]:
        title, small = QFont(base), QFont(base)
        title.setPixelSize(self._letters.px(0))
        small.setPixelSize(self._letters.px(-1))
        return title, small
