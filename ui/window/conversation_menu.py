"""What can be done with a whole conversation: rename, copy, export, delete."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject, QPoint, QStandardPaths, Qt, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QFileDialog, QInputDialog, QLineEdit, QMenu, QMessageBox, QWidget

from assistant.history.export import Exported, Format
from assistant.history.records import Conversation, NewTurn
from models.errors import AsideError, HistoryError
from ui.look import icons
from ui.look.controls import tip
from ui.look.theme import LIGHT, Theme
from ui.work.archive import Archive, Unkept

_LONGEST: Final = 60  # characters of a file's name


class ConversationMenu(QObject):
    """For the list and for the header. Dialogs belong to ``window`` and let everything else go on."""

    renamed = Signal(Conversation)
    deleted = Signal(int)
    said = Signal(str)
    """A sentence on what is going on."""
    problem = Signal(AsideError)

    def __init__(self, archive: Archive, window: QWidget) -> None:
        super().__init__(window)
        self._archive, self._window = archive, window
        self._theme = LIGHT

    def set_theme(self, colours: Theme) -> None:
        """Icons in the theme's colours."""
        self._theme = colours

    def show(
        self,
        place: QPoint,
        number: int,
        title: str,
        copy: Callable[[], None] | None = None,
        turns: Callable[[], Sequence[NewTurn]] | None = None,
    ) -> None:
        """Open it at a place of the screen. ``copy`` puts the conversation on the clipboard.

        A ``number`` of 0 is a conversation that is not kept, whose ``turns`` are exported. With ``copy``,
        ``place`` is the right end.
        """
        menu = QMenu(self._window)
        menu.aboutToHide.connect(menu.deleteLater)
        if copy is not None:
            menu.addAction(self._icon("copy"), self.tr("Copy all"), copy)
        if number:
            menu.addAction(self._icon("edit"), self.tr("Rename …"), partial(self.rename, number, title))
        if number or turns is not None:
            menu.addSeparator()
            what = number or (None if turns is None else Unkept(title, turns))
            forms: list[tuple[Format, str]] = [
                ("md", self.tr("Export as Markdown …")),
                ("json", self.tr("Export as JSON …")),
            ]
            for form, text in forms:
                menu.addAction(self._icon("export"), text, partial(self.export, what, title, form))
        if number:
            menu.addSeparator()
            menu.addAction(self._icon("delete"), self.tr("Delete …"), partial(self.delete, number, title))
        menu.popup(place if copy is None else place - QPoint(menu.sizeHint().width(), 0))
        menu.setActiveAction(menu.actions()[0])

    def rename(self, number: int, title: str) -> None:
        """Ask for another title."""
        dialog = QInputDialog(self._window)
        dialog.setWindowTitle(self.tr("Rename"))
        dialog.setLabelText(self.tr("Title"))
        dialog.setTextEchoMode(QLineEdit.EchoMode.Normal)
        dialog.setTextValue(title)
        dialog.setMinimumWidth(400)

        def accept(given: str) -> None:
            if given.strip():
                self._archive.rename(number, given.strip(), self.renamed.emit)

        dialog.textValueSelected.connect(accept)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def delete(self, number: int, title: str) -> None:
        """Delete it, if the person is sure."""
        box = QMessageBox(self._window)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setWindowTitle(self.tr("Delete"))
        box.setText(self.tr("Delete this conversation with its pictures and recordings?"))
        box.setInformativeText(tip(title))  # which is never plain
        yes = box.addButton(self.tr("Delete"), QMessageBox.ButtonRole.DestructiveRole)
        yes.setProperty("kind", "danger")
        yes.style().polish(yes)
        box.setDefaultButton(box.addButton(self.tr("Cancel"), QMessageBox.ButtonRole.RejectRole))

        def answer(_: int) -> None:
            if box.clickedButton() is yes:
                self._archive.delete(number, lambda _: self.deleted.emit(number))

        box.finished.connect(answer)
        box.finished.connect(box.deleteLater)
        box.open()

    def export(self, what: int | Unkept | None, title: str, form: Format) -> None:
        """Ask where, then write a conversation there with its media; None: all that are kept."""
        folder = Path(
            QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation) or Path.home()
        )
        dialog = QFileDialog(self._window, self.tr("Export"), str(folder))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilters([self.tr("Archive with text, pictures and recordings") + " (*.zip)"])
        dialog.setDefaultSuffix("zip")
        dialog.selectFile(f"{file_name(title)}.zip")
        dialog.fileSelected.connect(lambda name: self._export(what, Path(name), form))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _export(self, what: int | Unkept | None, target: Path, form: Format) -> None:
        def done(exported: Exported) -> None:
            self.said.emit(self.tr("Exported: {file}").replace("{file}", str(target)))
            for problem in exported.problems:
                self.problem.emit(HistoryError(problem))

        self.said.emit(self.tr("Exporting …"))
        self._archive.export(what, target, form, done, self.problem.emit)

    def _icon(self, name: str) -> QIcon:
        return icons.icon(name, self._theme.text)


def file_name(title: str) -> str:
    """A title as the name of a file on any system."""
    name = re.sub(r'[\x00-\x1f<>:"/\\|?*]+', " ", title)
    return " ".join(name.split())[:_LONGEST].strip(". ") or "Aside"
