"""What the commands write to a terminal, and read from one that isn't there."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from command import Aside
from virtual_audio import espeak

from assistant.cli.console import note, show_json

HOSTILE = "a\x1b]0;owned\x07\x7f\x9b2J\u202eb"


def harmless(text: str) -> bool:
    return all(c.isprintable() or c == "\n" for c in text)


def test_content_does_not_drive_the_terminal(aside: Aside, capsys: pytest.CaptureFixture[str]) -> None:
    assert harmless(aside("ask", "--image", f"{HOSTILE}.png", "What?").complaint())
    assert harmless(aside("ask", f"--{HOSTILE}").complaint())
    note("Heard: \x1b[2J\u009b2J")
    assert capsys.readouterr().err == "Heard:  [2J 2J\n"


def test_json_escapes_what_a_terminal_would_obey(capsys: pytest.CaptureFixture[str]) -> None:
    value = {HOSTILE: [HOSTILE, "\ud800 \U000e0041", "größer 😀"]}
    show_json(value)
    shown = capsys.readouterr().out
    assert harmless(shown)
    assert json.loads(shown) == value
    assert "größer 😀" in shown


def test_a_folders_name_does_not_drive_the_terminal(aside: Aside, small_model: Path) -> None:
    models = aside.path("data/aside/models")
    models.mkdir(parents=True)
    (models / HOSTILE).symlink_to(small_model)
    shutil.copytree(small_model, models / f"{HOSTILE}-cut", ignore=shutil.ignore_patterns("*text*"))
    for words in (["list"], ["list", "--json"], ["info", HOSTILE], ["check", "--no-start", HOSTILE]):
        result = aside("models", *words)
        assert result.code == 0, result.err
        assert harmless(result.out)
        assert len(result.out) > 40
    rows = json.loads(aside("models", "list", "--json").out)
    assert HOSTILE in [row["name"] for row in rows]
    strange = Aside(aside.folder, models / HOSTILE)
    assert harmless(strange("doctor").out)
    assert "\\u202e" in strange("doctor", "--json").out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("ask --tools off --max-tokens 5 --interactive Hello", 0, ""),
        ("ask --interactive", 0, ""),
        ("ask --text - Hello", 2, "The text on standard input is empty."),
        ("transcribe question.wav", 0, ""),
    ],
)
def test_a_closed_standard_input_is_an_empty_one(aside: Aside, words: str, code: int, said: str) -> None:
    espeak("what colour is the circle", aside.path("question.wav"))
    result = aside(*words.split(), preexec_fn=lambda: os.close(0))
    assert result.code == code, result.err
    assert result.err.startswith(f"aside: {said}" if said else "")
    assert ("Hello" in words or "question" in words) == bool(result.out) or code


def test_a_closed_standard_output_loses_the_answer_only(aside: Aside) -> None:
    result = aside("ask", "--tools", "off", "--max-tokens", "5", "Hello", preexec_fn=lambda: os.close(1))
    assert (result.code, result.out, result.err) == (0, "", "(The answer was cut at --max-tokens.)\n")


def test_exit_codes_are_in_the_help(aside: Aside) -> None:
    shown = aside("--help").out
    assert "exit codes:" in shown
    for code in (0, 1, 2, 3, 130):
        assert f"\n  {code:<4} " in shown
