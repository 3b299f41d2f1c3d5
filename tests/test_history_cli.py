"""`aside history` as a person uses it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from command import Aside

from assistant.cli.main import main
from assistant.history.records import NewMedia, NewTurn, ToolCall
from assistant.history.store import History


@pytest.fixture
def aside(tmp_path: Path) -> Aside:
    """The command; none of these needs a model."""
    return Aside(tmp_path, tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two conversations where the command looks for them."""
    folder = tmp_path / "data/aside/history"
    with History(folder) as history:
        talk = history.create().id
        history.append(talk, NewTurn("user", "Was ist das?", media=(NewMedia(b"png", "image/png", "a.png"),)))
        calls = (ToolCall("add_note", {"text": "x"}, "done", "ok"),)
        history.append(talk, NewTurn("assistant", "Eine \x1b[31mrote Kugel.", calls=calls))
        history.append(history.create("天气").id, NewTurn("user", "今天天气怎么样"))
    return folder


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process where the command would be."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def test_nothing_yet(aside: Aside) -> None:
    assert aside("history", "list").out == "There are no conversations.\n"
    assert json.loads(aside("history", "list", "--json").out) == []


def test_list_show_search(aside: Aside, folder: Path) -> None:
    first, second = aside("history", "list").out.splitlines()
    assert first.split()[0] == "2"
    assert first.endswith(" 1 turn  天气")
    assert second.endswith(" 2 turns  Was ist das?")
    assert [c["turns"] for c in json.loads(aside("history", "list", "--json", "--limit", 1).out)] == [1]
    shown = aside("history", "show", 1)
    assert "\x1b" not in shown.out
    assert "[a.png, 3 bytes]" in shown.out
    assert 'add_note(text="x"): done, ok' in shown.out
    assert aside("history", "show", 1, "--json").json["turns"][1]["text"] == "Eine \x1b[31mrote Kugel."
    assert "Aside: Eine" in aside("history", "search", "kugel", "eine").out
    assert len(json.loads(aside("history", "search", "天气", "--json").out)) == 2
    assert aside("history", "search", '"(').out == "Nothing was found.\n"


def test_rename_and_export(aside: Aside, folder: Path) -> None:
    assert aside("history", "rename", 1, "Ball").out == "     1  Ball\n"
    assert aside("history", "export", 1, "out").out == "out: 1 conversation, 1 file\n"
    assert aside.path("out/conversation-1.md").read_text().startswith("# Ball\n")
    assert aside("history", "export", "all", "all.zip").out == "all.zip: 2 conversations, 1 file\n"
    assert aside("history", "export", 1, "only", "--only", "json").code == 0
    assert [path.suffix for path in aside.path("only").iterdir() if path.is_file()] == [".json"]
    assert "out exists already." in aside("history", "export", 1, "out").complaint()


def test_deleting_asks(aside: Aside, folder: Path) -> None:
    assert "nobody confirmed it" in aside("history", "delete", 1).complaint()
    assert aside("history", "delete", 1, typed="no\n").out == "Nothing was deleted.\n"
    assert aside("history", "delete", 1, typed="y\n").out == "1 conversation deleted.\n"
    assert aside("history", "delete", "--older-than", 1, "--yes").out == "0 conversations deleted.\n"
    assert aside("history", "wipe", "--yes").out == "The history is empty.\n"
    assert aside("history", "list").out == "There are no conversations.\n"
    assert not any(b"Kugel" in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_damaged_history(aside: Aside, folder: Path) -> None:
    path = folder / "history.db"
    damaged = bytes(100) + path.read_bytes()[100:]
    path.write_bytes(damaged)
    listed = aside("history", "list")
    assert (listed.code, len(listed.out.splitlines())) == (0, 2)
    assert "is damaged" in listed.err
    assert aside("history", "rename", 1, "x").code == 2
    assert aside("history", "export", 1, "out").code == 0
    assert aside("history", "salvage", "new").code == 0
    assert "rote Kugel" in aside("history", "show", 1, "--folder", "new").out
    assert path.read_bytes() == damaged
    done = aside("history", "salvage", "--replace")
    assert done.out.startswith("2 conversations, 3 turns and 1 file saved.\n")
    assert aside("history", "list").err == ""
    assert "not damaged" in aside("history", "salvage", "--replace").out
    path.write_bytes(bytes(200))
    assert aside("history", "wipe", "--yes").code == 0
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["show", 7], "There is no conversation 7."),
        (["show", "x"], "'x' is not a whole number"),
        (["show", -1], "ID"),
        (["delete"], "Give either numbers or --older-than."),
        (["delete", 1, "--older-than", 3], "Give either numbers or --older-than."),
        (["delete", 1, 7, "--yes"], "There is no conversation 7."),
        (["export", "some", "out"], "'some' is not a whole number"),
        (["export", 7, "out"], "There is no conversation 7."),
        (["export", 1, "none/out"], "There is no folder none."),
        (["search"], "WORD"),
        (["salvage"], "Give either a new folder or --replace."),
        (["list", "--folder", "none"], "There is no history in none."),
        (["fly"], "no action fly"),
        ([], "ACTION"),
    ],
)
@pytest.mark.usefixtures("at_home")
def test_refusals(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[object], expected: str
) -> None:
    try:
        code: object = main(["history", *map(str, words)])
    except SystemExit as end:
        code = end.code
    shown = capsys.readouterr()
    assert code == 2
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert expected in shown.err
    assert {path.name for path in tmp_path.iterdir()} == {"data"}
    with History(folder) as history:
        assert len(history.conversations()) == 2


def test_a_newer_history(aside: Aside, folder: Path) -> None:
    db = sqlite3.connect(folder / "history.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    assert "newer Aside" in aside("history", "list").complaint()
    assert "newer Aside" in aside("history", "wipe", "--yes").complaint()
