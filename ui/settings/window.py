"""The window of settings: pages at the left, the chosen one at the right. What is changed counts at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QHideEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from ui.look import icons, theme
from ui.look.form import Page
from ui.look.theme import LIGHT, Theme

_LIST: Final = 200  # logical pixels

MakePages = Callable[[], list[tuple[str, Page]]]
"""Makes all pages anew, each with the name of its icon."""


class _List(QListWidget):
    """As wide as its longest line."""

    def __init__(self) -> None:
        super().__init__()
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """Called by Qt."""
        return QSize(self.sizeHintForColumn(0) + theme.ROOM, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """Called by Qt."""
        return QSize(self.sizeHint().width(), 0)

    def changeEvent(self, event: QEvent) -> None:
        """Called by Qt: other letters need other room."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self.updateGeometry()


class Preferences(QWidget):
    """Makes its pages when it is first shown, and again for another language."""

    def __init__(self, make_pages: MakePages) -> None:
        super().__init__(None, Qt.WindowType.Window)
        self.setObjectName("conversation")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.resize(920, 680)
        self.setMinimumSize(720, 480)
        self._make_pages = make_pages
        self._theme = LIGHT
        self._icons: list[str] = []
        self._made = False
        self.pages: list[Page] = []
        side = QWidget()
        side.setObjectName("side")
        side.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        side.setMinimumWidth(_LIST)
        side.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self._title = QLabel()
        self._title.setProperty("kind", "title")
        self._title.setContentsMargins(theme.ROOM, theme.SMALL, 0, theme.GAP)
        self.list = _List()
        self.list.setIconSize(QSize(theme.ICON, theme.ICON))
        self.list.currentRowChanged.connect(self._turn_to)
        column = QVBoxLayout(side)
        column.setContentsMargins(theme.ROOM, theme.WIDE, theme.ROOM, theme.ROOM)
        column.setSpacing(theme.SMALL)
        column.addWidget(self._title)
        column.addWidget(self.list, 1)
        self._stack = QStackedWidget()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(side)
        row.addWidget(self._stack, 1)
        for keys in ("Ctrl+W", "Esc"):
            QShortcut(QKeySequence(keys), self).activated.connect(self.close)

    @property
    def page(self) -> Page | None:
        """The one in sight."""
        page = self._stack.currentWidget()
        return page if isinstance(page, Page) else None

    def set_theme(self, colours: Theme) -> None:
        """Icons and colours of everything in it."""
        self._theme = colours
        self.list.updateGeometry()
        for place, name in enumerate(self._icons):
            self.list.item(place).setIcon(icons.icon(name, colours.text))
        for page in self.pages:
            page.set_theme(colours)

    def rebuild(self) -> None:
        """Make everything again, in the language of now, at the same page."""
        if self._made:
            place = self.list.currentRow()
            self._take_down()
            self._build()
            self.list.setCurrentRow(place)

    def turn_to(self, kind: type[Page]) -> Page:
        """Show this page."""
        self.show()
        place = next(place for place, page in enumerate(self.pages) if isinstance(page, kind))
        self.list.setCurrentRow(place)
        return self.pages[place]

    def showEvent(self, event: QShowEvent) -> None:
        """Called by Qt."""
        if not self._made:
            self._build()
            self.list.setCurrentRow(0)
            self.list.setFocus()
        self.list.ensurePolished()
        self.list.updateGeometry()
        super().showEvent(event)
        if not event.spontaneous():
            self._arrive()

    def hideEvent(self, event: QHideEvent) -> None:
        """Called by Qt."""
        if not event.spontaneous():
            self._leave()
        super().hideEvent(event)

    def _build(self) -> None:
        self._made = True
        self.setWindowTitle(self.tr("Settings"))
        self._title.setText(self.tr("Settings"))
        self.list.setAccessibleName(self.tr("Pages of settings"))
        for icon, page in self._make_pages():
            self.list.addItem(QListWidgetItem(page.title))
            self._icons.append(icon)
            self._stack.addWidget(page)
            self.pages.append(page)
        self.set_theme(self._theme)

    def _take_down(self) -> None:
        self._leave()
        self.list.blockSignals(True)
        self.list.clear()
        self.list.blockSignals(False)
        for page in self.pages:
            self._stack.removeWidget(page)
            page.deleteLater()
        self.pages, self._icons = [], []

    def _turn_to(self, place: int) -> None:
        if place >= 0:
            self._leave()
            self._stack.setCurrentIndex(place)
            if self.isVisible():
                self._arrive()

    def _arrive(self) -> None:
        if self.page is not None:
            self.page.arrive()

    def _leave(self) -> None:
        if self.page is not None:
            self.page.leave()
