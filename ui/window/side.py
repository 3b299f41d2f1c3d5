"""The list of conversations at the left: new, search, open, rename, delete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from PySide6.QtCore import QEvent, QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from assistant.history.records import Conversation, Hit
from ui.look import icons, theme
from ui.look.controls import tip
from ui.look.theme import LIGHT, Theme, Type
from ui.window.conversation_menu import ConversationMenu
from ui.window.rows import RUNS, Rows
from ui.work.archive import Archive

PAGE: Final = 100  # conversations that are read at once
_NUMBER: Final = int(Qt.ItemDataRole.UserRole)
_TURN: Final = _NUMBER + 2
_PAUSE: Final = 150  # ms after the last key before it searches


class Side(QFrame):
    """Emits what a person chooses; asks the archive for what it lists."""

    opened = Signal(int)
    begun = Signal()
    found = Signal(int, int, str)
    """A conversation, a turn in it (as the history counts), and the words that were searched for."""
    preferences = Signal()

    def __init__(self, archive: Archive, menu: ConversationMenu, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("side")
        self._archive, self.menu = archive, menu
        self._asked = 0  # which list or search is due; answers to earlier ones are dropped
        self._more = False  # conversations after the last one in the list
        self._last = 0
        self._rows = Rows()
        self._theme = LIGHT
        self._current = 0
        name = QLabel("Aside")
        name.setProperty("kind", "title")
        name.setContentsMargins(theme.ROOM, 0, 0, 0)  # above the titles of the list
        self.new_button = QToolButton()
        self.new_button.setIconSize(QSize(theme.ICON, theme.ICON))
        self.new_button.setFixedSize(theme.BUTTON, theme.BUTTON)
        self.new_button.setToolTip(self.tr("New conversation (Ctrl+N)"))
        self.new_button.setAccessibleName(self.new_button.toolTip())
        self.new_button.clicked.connect(self.begun)
        self.preferences_button = QToolButton()
        self.preferences_button.setIconSize(QSize(theme.ICON, theme.ICON))
        self.preferences_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.preferences_button.setObjectName("preferences")
        self.preferences_button.setText("\u2002" + self.tr("Settings"))  # Qt puts the icon too near
        self.preferences_button.setToolTip(self.tr("Settings (Ctrl+,)"))
        self.preferences_button.setAccessibleName(self.preferences_button.toolTip())
        self.preferences_button.clicked.connect(self.preferences)
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Search"))
        self.search.setAccessibleName(self.tr("Search all conversations (Ctrl+F)"))
        self.search.setToolTip(self.search.accessibleName())
        self.search.setClearButtonEnabled(True)
        for button in self.search.findChildren(QToolButton):
            button.setAccessibleName(self.tr("Clear the search"))
        self.list = QListWidget()
        self.list.setAccessibleName(self.tr("Conversations"))
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setUniformItemSizes(False)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._offer)
        self.list.setItemDelegate(self._rows)
        self.list.verticalScrollBar().valueChanged.connect(self._scrolled)
        self.list.itemClicked.connect(self._choose)
        self.list.itemActivated.connect(self._choose)
        self.nothing = QLabel()
        self.nothing.setProperty("kind", "small")
        self.nothing.setWordWrap(True)
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        top = QHBoxLayout()
        top.addWidget(name)
        top.addStretch()
        top.addWidget(self.new_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.ROOM, theme.ROOM, theme.ROOM, theme.ROOM)
        column.setSpacing(theme.GAP)
        column.addLayout(top)
        column.addWidget(self.search)
        column.addWidget(self.nothing)
        column.addWidget(self.list, 1)
        column.addWidget(self.preferences_button)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE)
        self._timer.timeout.connect(self.refresh)
        self.search.textChanged.connect(lambda _: self._timer.start())
        for keys, act in (("Del", menu.delete), ("F2", menu.rename)):
            shortcut = QShortcut(QKeySequence(keys), self.list)
            shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
            shortcut.activated.connect(partial(self._with_current, act))
        menu.renamed.connect(self.refresh)
        menu.deleted.connect(self.refresh)

    def set_theme(self, colours: Theme, letters: Type) -> None:
        """Icons in the theme's colours."""
        self._rows.set_theme(colours, letters)
        self._theme = colours
        self.new_button.setIcon(icons.icon("new", colours.text))
        self.preferences_button.setIcon(icons.icon("gear", colours.text))
        self._show_clear()

    def changeEvent(self, event: QEvent) -> None:
        """Called by Qt, which puts its own icon into the field with another direction of reading."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.LayoutDirectionChange:
            self._show_clear()

    def _show_clear(self) -> None:
        for clear in self.search.findChildren(QAction):
            clear.setIcon(icons.icon("close", self._theme.faint))

    @property
    def current(self) -> int:
        """The conversation that is shown; 0: none."""
        return self._current

    def set_current(self, number: int) -> None:
        """Mark the conversation that is shown; 0: none."""
        self._current = number
        self._mark()

    def refresh(self) -> None:
        """Ask the archive anew."""
        self._timer.stop()
        self._asked += 1
        self._more = False
        words = self.search.text().strip()
        if words:
            self._archive.search(words, partial(self._show_hits, self._asked, 0), PAGE, 0)
        else:
            self._archive.list(partial(self._show, self._asked), max(PAGE, self.list.count()))

    def _show(self, asked: int, conversations: Sequence[Conversation]) -> None:
        if asked != self._asked:
            return
        down = self.list.verticalScrollBar().value()
        self.list.clear()
        self._add_page(asked, conversations)
        self.list.verticalScrollBar().setValue(down)
        self.nothing.setText(
            self.tr("Conversations are kept here, on this machine only.")
            if self._archive.keeps
            else self.tr("Conversations are not kept.")
        )
        self.nothing.setVisible(not conversations)

    def _add_page(self, asked: int, conversations: Sequence[Conversation]) -> None:
        """Some more of the list."""
        if asked != self._asked:
            return
        for one in conversations:
            self._add(one.id, one.title or self.tr("Untitled"))
        self._last = conversations[-1].used if conversations else 0
        self._more = len(conversations) >= PAGE
        self._mark()

    def _scrolled(self, value: int) -> None:
        if self._more and value >= self.list.verticalScrollBar().maximum() - self.list.height():
            self._more = False
            words, there = self.search.text().strip(), self.list.count()
            if words:
                self._archive.search(words, partial(self._show_hits, self._asked, there), PAGE, there)
            else:
                self._archive.list(partial(self._add_page, self._asked), PAGE, self._last)

    def _show_hits(self, asked: int, there: int, hits: Sequence[Hit]) -> None:
        """Hits after those that are ``there``."""
        if asked != self._asked:
            return
        if not there:
            self.list.clear()
        for hit in hits:
            self._add(hit.conversation, hit.title or self.tr("Untitled"), hit)
        self._more = len(hits) >= PAGE
        self.nothing.setText(self.tr("Nothing was found."))
        self.nothing.setVisible(not self.list.count())
        self.list.setCurrentRow(-1)

    def _add(self, number: int, title: str, hit: Hit | None = None) -> None:
        item = QListWidgetItem(title)
        item.setData(_NUMBER, number)
        snippet = ""
        if hit is not None and hit.turn is not None:
            snippet = hit.text
            item.setData(RUNS, hit.snippet)
            item.setData(_TURN, hit.turn)
        item.setToolTip(tip("\n".join(filter(None, (title, snippet)))))
        self.list.addItem(item)

    def _mark(self) -> None:
        for row in range(self.list.count()):
            if self.list.item(row).data(_NUMBER) == self._current:
                self.list.setCurrentRow(row)
                return
        self.list.setCurrentRow(-1)

    def _choose(self, item: QListWidgetItem) -> None:
        number, turn = int(item.data(_NUMBER)), item.data(_TURN)
        if turn is None:
            self.opened.emit(number)
        else:
            self.found.emit(number, int(turn), self.search.text().strip())

    def _offer(self, place: QPoint) -> None:
        item = self.list.itemAt(place)
        if item is not None:
            self.menu.show(self.list.viewport().mapToGlobal(place), int(item.data(_NUMBER)), item.text())

    def _with_current(self, act: Callable[[int, str], None]) -> None:
        if self.list.currentRow() >= 0:
            item = self.list.currentItem()
            act(int(item.data(_NUMBER)), item.text())
