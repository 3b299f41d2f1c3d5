"""The list of conversations at the left: new, search, open, rename, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QMessageBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from assistant.history.records import Conversation, Hit
from ui import icons, theme
from ui.archive import Archive
from ui.theme import LIGHT, Theme

_NUMBER: Final = Qt.ItemDataRole.UserRole
_PAUSE: Final = 150  # ms after the last key before it searches


class Side(QFrame):
    """Emits what a person chooses; asks the archive for what it lists."""

    opened = Signal(int)
    begun = Signal()
    deleted = Signal(int)
    preferences = Signal()

    def __init__(self, archive: Archive, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("side")
        self._archive = archive
        self._theme = LIGHT
        self._current = 0
        name = QLabel("Aside")
        name.setProperty("kind", "title")
        self.new_button = QToolButton()
        self.new_button.setIconSize(QSize(theme.ICON, theme.ICON))
        self.new_button.setFixedSize(theme.BUTTON, theme.BUTTON)
        self.new_button.setToolTip(self.tr("New conversation (Ctrl+N)"))
        self.new_button.setAccessibleName(self.new_button.toolTip())
        self.new_button.clicked.connect(self.begun)
        self.preferences_button = QToolButton()
        self.preferences_button.setIconSize(QSize(theme.ICON, theme.ICON))
        self.preferences_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.preferences_button.setText(self.tr("Settings"))
        self.preferences_button.setToolTip(self.tr("Settings (Ctrl+,)"))
        self.preferences_button.setAccessibleName(self.preferences_button.toolTip())
        self.preferences_button.clicked.connect(self.preferences)
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Search"))
        self.search.setAccessibleName(self.tr("Search all conversations (Ctrl+F)"))
        self.search.setToolTip(self.search.accessibleName())
        self.search.setClearButtonEnabled(True)
        self.list = QListWidget()
        self.list.setAccessibleName(self.tr("Conversations"))
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setUniformItemSizes(False)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._menu)
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
        for keys, act in (("Del", self._delete), ("F2", self._rename)):
            shortcut = QShortcut(QKeySequence(keys), self.list)
            shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
            shortcut.activated.connect(act)

    def set_theme(self, colours: Theme) -> None:
        """Icons in the theme's colours."""
        self._theme = colours
        self.new_button.setIcon(icons.icon("new", colours.text))
        self.preferences_button.setIcon(icons.icon("gear", colours.text))

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
        words = self.search.text().strip()
        if words:
            self._archive.search(words, self._show_hits)
        else:
            self._archive.list(self._show)

    def _show(self, conversations: Sequence[Conversation]) -> None:
        self.list.clear()
        for one in conversations:
            self._add(one.id, one.title or self.tr("Untitled"), "")
        self.nothing.setText(self.tr("Conversations are kept here, on this machine only."))
        self.nothing.setVisible(not conversations)
        self._mark()

    def _show_hits(self, hits: Sequence[Hit]) -> None:
        self.list.clear()
        seen: set[int] = set()
        for hit in hits:
            if hit.conversation not in seen:
                seen.add(hit.conversation)
                self._add(hit.conversation, hit.title or self.tr("Untitled"), hit.text)
        self.nothing.setText(self.tr("Nothing was found."))
        self.nothing.setVisible(not hits)
        self._mark()

    def _add(self, number: int, title: str, snippet: str) -> None:
        item = QListWidgetItem(title)
        item.setData(_NUMBER, number)
        item.setToolTip("\n".join(filter(None, (title, snippet))).replace("<", "\u2039"))
        self.list.addItem(item)

    def _mark(self) -> None:
        for row in range(self.list.count()):
            if self.list.item(row).data(_NUMBER) == self._current:
                self.list.setCurrentRow(row)
                return
        self.list.setCurrentRow(-1)

    def _choose(self, item: QListWidgetItem) -> None:
        self.opened.emit(int(item.data(_NUMBER)))

    def _menu(self, place: QPoint) -> None:
        if self.list.itemAt(place) is None:
            return
        menu = QMenu(self)
        menu.addAction(self.tr("Rename …"), self._rename)
        menu.addAction(icons.icon("delete", self._theme.text), self.tr("Delete …"), self._delete)
        menu.exec(self.list.mapToGlobal(place))
        menu.deleteLater()

    def _rename(self) -> None:
        if self.list.currentRow() < 0:
            return
        item = self.list.currentItem()
        title, given = QInputDialog.getText(
            self, self.tr("Rename"), self.tr("Title"), QLineEdit.EchoMode.Normal, item.text()
        )
        if given and title.strip():
            self._archive.rename(int(item.data(_NUMBER)), title.strip(), lambda _: self.refresh())

    def _delete(self) -> None:
        if self.list.currentRow() < 0:
            return
        item = self.list.currentItem()
        box = QMessageBox(self)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setWindowTitle(self.tr("Delete"))
        box.setText(self.tr("Delete this conversation with its pictures and recordings?"))
        box.setInformativeText(item.text())
        box.setStandardButtons(QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(QMessageBox.StandardButton.Cancel)
        if box.exec() == QMessageBox.StandardButton.Yes:
            number = int(item.data(_NUMBER))
            self._archive.delete(number, lambda _: self._deleted(number))
        box.deleteLater()

    def _deleted(self, number: int) -> None:
        self.deleted.emit(number)
        self.refresh()
