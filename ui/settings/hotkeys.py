"""One field for each hotkey, checked against ours and other programs', and what to do on Wayland."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6.QtWidgets import QApplication, QHBoxLayout, QLabel, QWidget

from assistant.settings import KINDS
from ui.gate import Gate
from ui.look import error_words, theme
from ui.look.form import Page, Row, alive, button, label
from ui.outside import hotkeys
from ui.settings.choices import Choices
from ui.settings.key_field import KeyField


class HotkeysPage(Page):
    """``pause`` is called with True while a field waits for keys, so that ours don't act meanwhile."""

    def __init__(self, choices: Choices, gate: Gate, pause: Callable[[bool], None]) -> None:
        super().__init__(
            choices,
            self.tr("Hotkeys"),
            self.tr("They work whatever window has the focus. Click one, then press the keys."),
        )
        self._gate = gate
        self.fields: dict[str, KeyField] = {}
        card = self.card()
        for name, text, hint in (
            (
                "talk",
                self.tr("Speak"),
                self.tr("Hold it while you speak, or tap it and fall silent."),
            ),
            ("screen", self.tr("Ask about the screen"), ""),
            ("camera", self.tr("Ask about the camera"), ""),
            ("transcribe", self.tr("Write down what is said"), ""),
            ("translate", self.tr("Translate what is said"), ""),
        ):
            key = f"hotkeys.{name}"
            field = self.fields[name] = KeyField()
            row = card.row(text, field, hint)
            keep = self.bind(key, row, field.show_keys)
            field.taking.connect(pause)
            field.pressed_keys.connect(partial(self._check, key, row, keep))
        self.add(label(self.tr("Backspace takes a hotkey away, Esc leaves it as it is."), "small"))
        card = self.card(self.tr("Without hotkeys"))
        why = (
            self.tr(
                "Your desktop's own settings can bind these commands to keys. They talk to the open Aside."
            )
            if hotkeys.available()
            else self.tr(
                "On Wayland the desktop decides: it asks you, or lets no program have hotkeys. Then bind"
                " these commands to keys in its own settings."
            )
        )
        card.row(why)
        for command in ("aside listen", "aside screenshot", "aside stop"):
            card.add(command_row(command))

    def _check(self, key: str, row: Row, keep: Callable[[Any], None], pressed: str) -> None:
        """A combination that was pressed: can it be one, is it free?"""
        row.fail("")
        try:
            keys = KINDS[key].read(pressed)
        except ValueError as error:
            row.fail(self.tr("It must be {what}.").replace("{what}", error_words.said(str(error))))
            return
        if not keys or not hotkeys.available():
            keep(keys)
            return

        def found(free: bool) -> None:
            if free:
                keep(keys)
            else:
                row.fail(
                    self.tr("Another program has {keys}, or this keyboard lacks it.").replace("{keys}", keys)
                )

        ours = [self.choices.now.get(f"hotkeys.{name}") for name in self.fields]
        if keys in ours:
            keep(keys)  # which refuses it with the name of the one that has it
        else:
            self._gate.run(lambda: hotkeys.is_free(keys), alive(self, found), alive(self, row.fail))


def command_row(command: str) -> QWidget:
    """A command that can be copied."""
    made = QWidget()
    row = QHBoxLayout(made)
    row.setContentsMargins(theme.WIDE, theme.GAP, theme.WIDE, theme.GAP)
    words = QLabel(command)
    words.setProperty("kind", "code")
    words.setWordWrap(True)
    copy = button(made.tr("Copy"))
    copy.setAccessibleName(f"{copy.text()}: {command}")
    copy.clicked.connect(lambda: QApplication.clipboard().setText(command))
    row.addWidget(words, 1)
    row.addWidget(copy)
    return made
