"""What the model may do, what it may do without asking, and what it has set to ring."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QFileDialog

from assistant.tools.schedule import Entry, Now, Schedule, Timer
from models.errors import AsideError
from ui.gate import Gate
from ui.look.controls import Switch
from ui.look.form import Page, Row, alive, button, label
from ui.settings.choices import Choices

_LOOK: Final = 1000  # ms between two looks at what is set, while the page is in sight


class ToolsPage(Page):
    """The tools with an effect have a switch each; what rings later can be cancelled."""

    def __init__(self, choices: Choices, gate: Gate, schedule: Schedule) -> None:
        super().__init__(choices, self.tr("Tools"))
        self._gate, self._schedule = gate, schedule
        self._pending: Sequence[Entry] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK)
        self._timer.timeout.connect(self._look)
        card = self.card()
        self.enabled = self.switch(
            card,
            "tools.enabled",
            self.tr("The model may call tools"),
            self.tr("They set timers, write notes, work sums out. None of them uses the network."),
        )
        self._set = self.card(self.tr("Timers, alarms and reminders"))
        self._set.row("…")
        card = self.card(self.tr("Without asking"))
        self._warning = Row(
            self.tr("What is switched on here is done at once, with no question before."),
            None,
            self.tr(
                "Words on the screen or in a recording can make the model call a tool: switch on only what"
                " may happen by mistake."
            ),
        )
        card.add(self._warning)
        self.unasked: dict[str, Switch] = {}
        for name, text in (
            ("set_timer", self.tr("Set a timer")),
            ("set_alarm", self.tr("Set an alarm")),
            ("set_reminder", self.tr("Set a reminder")),
            ("set_light", self.tr("Switch a light")),
            ("set_temperature", self.tr("Set the heating")),
            ("play_music", self.tr("Play music")),
            ("add_note", self.tr("Write a note down")),
        ):
            switch = self.unasked[name] = Switch()
            row = card.row(text, switch)
            keep = self.bind("tools.without_asking", row, partial(self._show, name))
            switch.clicked.connect(lambda _=False, keep=keep: keep(self._chosen()))
        card = self.card(self.tr("Weather"))
        self.weather = self.line(
            card,
            "tools.weather_file",
            self.tr("File"),
            self.tr('A JSON file with a sentence for each place: {"Paris": "Rain, 12 degrees."}'),
            self.tr("None"),
        )
        choose = button(self.tr("Choose a file …"))
        choose.clicked.connect(self._choose)
        self.rows["tools.weather_file"].column.addWidget(choose, 0, Qt.AlignmentFlag.AlignLeading)
        self.add(
            label(
                self.tr("Calculating and looking up need no yes: they change nothing."),
                "small",
            )
        )

    def arrive(self) -> None:
        """Look what is set, now and while the page is in sight."""
        self._look()
        self._timer.start()

    def leave(self) -> None:
        """Look no more."""
        self._timer.stop()

    def _look(self) -> None:
        failed = alive(self, self._cannot_look)
        self._gate.run(self._schedule.pending, alive(self, self._show_pending), failed)

    def _cannot_look(self, error: AsideError) -> None:
        self._clear().fail(error)

    def _clear(self, text: str = "") -> Row:
        """One row in place of all."""
        self._pending = None
        self._set.clear()
        return self._set.row(text)

    def _show_pending(self, entries: Sequence[Entry]) -> None:
        if entries == self._pending:
            return
        row = self._clear(self.tr("Nothing is set."))
        self._pending = entries
        if not entries:
            return
        self._set.clear()
        now = Now.read()
        for entry in sorted(entries, key=lambda one: one.time(now)):
            cancel = button(self.tr("Cancel"))
            row = self._set.row(self._words(entry), cancel, f"{entry.time(now):%H:%M}")
            cancel.setAccessibleName(f"{cancel.text()}: {row.name.text()}")
            cancel.clicked.connect(partial(self._cancel, entry, row))

    def _cancel(self, entry: Entry, row: Row) -> None:
        cancelled = alive(self, lambda _: self._look())
        self._gate.run(lambda: self._schedule.cancel(entry.id), cancelled, alive(row, row.fail))

    def _words(self, entry: Entry) -> str:
        if isinstance(entry, Timer):
            return self.tr("Timer of {n} minutes").replace("{n}", f"{entry.seconds / 60:g}")
        if entry.about:
            return self.tr("Reminder: {text}").replace("{text}", entry.about)
        return self.tr("Alarm")

    def _show(self, name: str, unasked: tuple[str, ...]) -> None:
        self.unasked[name].setChecked(name in unasked)

    def _chosen(self) -> tuple[str, ...]:
        others = [name for name in self.choices.now.tools.without_asking if name not in self.unasked]
        return (*others, *(name for name, switch in self.unasked.items() if switch.isChecked()))

    def _choose(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, self.tr("Weather"), "", "JSON (*.json)")
        if path:
            self.choices.change({"tools.weather_file": path}, self.rows["tools.weather_file"].fail)
