"""What the commands write to a terminal, and read from one that isn't there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command import Aside

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
