"""What an answer cost, under it: the note, and the steps under the mouse."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtGui import QTextBlock
from PySide6.QtWidgets import QApplication
from real_window import desktop, load_nano, wait_until

from assistant.timing import Times
from ui.conversation.notes import steps
from ui.conversation.sheet import NOTE, Message, kind_of
from ui.window.main import Window
from ui.work.question import Question


def notes(window: Window) -> list[QTextBlock]:
    turn = window.talk.exchanges[-1].turn
    return [block for block in window.transcript.sheet.blocks(Message(turn, True)) if kind_of(block) == NOTE]


def tip(block: QTextBlock) -> str:
    return block.begin().fragment().charFormat().toolTip()


def test_the_first_sound_joins_the_note_when_it_comes(qt: QApplication, tmp_path: Path) -> None:
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        one.conductor.ask(Question("hello"))
        wait_until(lambda: one.window.talk.exchanges and notes(one.window))
        (note,) = notes(one.window)
        assert note.text().startswith("first word after 0.")
        assert "first sound" not in note.text()
        assert tip(note).splitlines()[0] == "After the end of the question:"
        assert tip(note).splitlines()[-1].endswith("ms  last word")
        turn = one.window.talk.exchanges[-1].turn
        one.conductor.timed.emit(turn, Times(ended=1.0, token=1.25, sound=1.5, written=1.75))
        (note,) = notes(one.window)
        assert note.text().startswith("first word after 0.25 s · first sound after 0.50 s · ")
        assert "\u2007\u2007500 ms  first sound" in tip(note).splitlines()
        shown = note.text()
        current = one.window.side.current
        assert current is not None
        one.window.open(current)
        wait_until(lambda: one.window.talk.exchanges[-1].turn < 0 and notes(one.window))
        (note,) = notes(one.window)
        assert note.text() == shown


@pytest.mark.usefixtures("qt")
def test_steps_are_those_that_came() -> None:
    assert steps(Times()) == ""
    times = Times(pressed=1.0, recording=1.03)
    assert steps(times).splitlines()[1:] == ["The microphone listened 30 ms after the key."]
    times.note("ended", 3.0)
    times.note("asked", 3.01)
    times.note("asked", 9.0)  # only the first time counts
    assert "\u2007\u2007\u200710 ms  question complete" in steps(times).splitlines()
    assert times.waited("sound") is None
