"""What the model may do, and what it may do without asking."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog

from ui.look.controls import Switch
from ui.look.form import Page, Row, button, label
from ui.settings.choices import Choices


class ToolsPage(Page):
    """The tools with an effect have a switch each."""

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices, self.tr("Tools"))
        card = self.card()
        self.enabled = self.switch(
            card,
            "tools.enabled",
            self.tr("The model may call tools"),
            self.tr("They set timers, write notes, work sums out. None of them uses the network."),
        )
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

    def _show(self, name: str, unasked: tuple[str, ...]) -> None:
        self.unasked[name].setChecked(name in unasked)

    def _chosen(self) -> tuple[str, ...]:
        others = [name for name in self.choices.now.tools.without_asking if name not in self.unasked]
        return (*others, *(name for name, switch in self.unasked.items() if switch.isChecked()))

    def _choose(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, self.tr("Weather"), "", "JSON (*.json)")
        if path:
            self.choices.change({"tools.weather_file": path}, self.rows["tools.weather_file"].fail)
