"""What is kept and for how long, what may be used, where it all lies, and how to be rid of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QMessageBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from assistant import packages, storage, usage
from assistant.storage import Place
from assistant.usage import Use
from ui.gate import Gate
from ui.look import theme
from ui.look.form import Page, alive, button, label
from ui.settings.choices import Choices
from ui.work.archive import Archive

_MOST: Final = 300  # uses that are listed
_TABLE: Final = 240  # logical pixels


class PrivacyPage(Page):
    """``folder`` is where the application keeps its data."""

    wiped = Signal()
    """Everything that was kept is gone."""

    def __init__(self, choices: Choices, gate: Gate, archive: Archive, folder: Path) -> None:
        super().__init__(
            choices,
            self.tr("Privacy"),
            self.tr("Nothing leaves this machine. The one connection is to a camera whose address you give."),
        )
        self._gate, self._archive, self._folder = gate, archive, folder
        self._places: dict[str, Place] = {}
        card = self.card(self.tr("What is kept"))
        self.keep = self.switch(
            card,
            "privacy.keep_history",
            self.tr("Keep conversations"),
            self.tr("Otherwise they are gone when Aside ends."),
        )
        self.switch(card, "privacy.keep_media", self.tr("Keep their pictures and recordings as well"))
        self.picker(
            card,
            "privacy.keep_days",
            self.tr("For how long"),
            (
                (0, self.tr("Until I delete them")),
                (1, self.tr("A day")),
                (7, self.tr("A week")),
                (30, self.tr("A month")),
                (365, self.tr("A year")),
            ),
        )
        card = self.card(self.tr("What may be used"))
        self.switch(
            card,
            "privacy.preroll",
            self.tr("Keep the microphone open"),
            self.tr("No first word is lost. Otherwise it is only open while you speak."),
        )
        self.switch(card, "privacy.screen", self.tr("The screen, when you ask about it"))
        self.switch(card, "privacy.camera", self.tr("The camera, when you ask about it"))
        self._where = self.card(self.tr("Where it is kept"))
        self._where.row("…")
        self.wipe_button = button(self.tr("Wipe …"), "danger")
        self.wipe_button.clicked.connect(self._ask)
        self.wipe_row = self.card().row(
            self.tr("Wipe everything"),
            self.wipe_button,
            self.tr("All conversations with their pictures and recordings, and the list below."),
        )
        card = self.card(self.tr("What was used when"))
        self.table = QTableWidget(0, 4)
        self.table.setAccessibleName(self.tr("What was used when"))
        self.table.setHorizontalHeaderLabels(
            [self.tr("What"), self.tr("Which"), self.tr("When"), self.tr("How long")]
        )
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setAlternatingRowColors(True)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeading)
        self.table.setFixedHeight(_TABLE)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._nothing = label(self.tr("Nothing was used yet."), "faint")
        self._nothing.setMargin(theme.WIDE)
        both = QWidget()
        column = QVBoxLayout(both)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table)
        column.addWidget(self._nothing)
        card.add(both)
        self.table.hide()

    def arrive(self) -> None:
        """Look at the disk and at the log."""
        self._gate.run(
            lambda: storage.places(self._folder, self.choices.file.path), alive(self, self._show_places)
        )
        self._gate.run(lambda: list(usage.read(self._folder / usage.FILE)), alive(self, self._show_uses))

    def wipe(self) -> None:
        """Delete what is kept, without asking again."""
        self.wipe_row.fail("")
        self._archive.wipe(
            lambda _: self._gate.run(
                self._forget, alive(self, lambda _: self._wiped()), alive(self, self.wipe_row.fail)
            )
        )

    def _forget(self) -> None:
        """In a thread of the gate."""
        storage.forget_uses(self._folder)

    def _wiped(self) -> None:
        self.wipe_row.say(self.tr("Everything is gone."))
        self.wiped.emit()
        self.arrive()

    def _ask(self) -> None:
        """A yes to what exactly is deleted."""
        place = self._places.get("history")
        size = storage.size_words(place.bytes if place else 0)
        box = QMessageBox(self)
        box.setWindowTitle(self.tr("Wipe everything"))
        box.setText(self.tr("Delete all conversations, pictures and recordings for good?"))
        box.setInformativeText(
            self.tr(
                "{size} in {folder}, and the list of what was used when. Settings, models, notes and timers"
                " stay. This can't be undone."
            )
            .replace("{size}", size)
            .replace("{folder}", str(self._folder / "history"))
        )
        yes = box.addButton(self.tr("Delete everything"), QMessageBox.ButtonRole.DestructiveRole)
        yes.setProperty("kind", "danger")
        yes.style().polish(yes)
        box.setDefaultButton(box.addButton(self.tr("Cancel"), QMessageBox.ButtonRole.RejectRole))
        box.exec()
        chosen = box.clickedButton() is yes
        box.deleteLater()
        if chosen:
            self.wipe()

    def _show_places(self, places: Sequence[Place]) -> None:
        self._places = {place.name: place for place in places}
        names = {
            "history": self.tr("Conversations"),
            "tools": self.tr("Notes and timers"),
            packages.MODELS: self.tr("Models"),
            "settings": self.tr("Settings"),
        }
        self._where.clear()
        for place in places:
            self._where.fact(names[place.name], f"{storage.size_words(place.bytes)}\n{place.path}")

    def _show_uses(self, uses: Sequence[Use]) -> None:
        names = {
            "microphone": self.tr("Microphone"),
            "camera": self.tr("Camera"),
            "screen": self.tr("Screen"),
            "network": self.tr("Network"),
        }
        last = list(uses)[: -_MOST - 1 : -1]
        self.table.setRowCount(len(last))
        for row, use in enumerate(last):
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(use.began))
            long = self.tr("{n} s").replace("{n}", f"{use.ended - use.began:.1f}")
            for column, text in enumerate((names.get(use.kind, use.kind), use.name, when, long)):
                self.table.setItem(row, column, QTableWidgetItem(text))
        self.table.setVisible(bool(last))
        self._nothing.setVisible(not last)
