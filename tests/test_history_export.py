"""Export as Markdown, JSON and media; turns back into the engine."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assistant.engine import prompt
from assistant.engine.protocol import Clip, Picture
from assistant.history.export import export, plain
from assistant.history.records import NewMedia, NewTurn, ToolCall
from assistant.history.replay import replay
from assistant.history.store import History
from assistant.media.sound import Sound, wav
from models.errors import HistoryError


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(buffer, "PNG")
    return buffer.getvalue()


SPOKEN = np.sin(np.arange(8000, dtype=np.float32) / np.float32(9)) / np.float32(3)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History(tmp_path / "history") as opened:
        yield opened


@pytest.fixture
def talk(history: History) -> int:
    """A spoken question about a picture, a tool call, an interrupted reply, a turn that was edited away."""
    talk = history.create("A <b>title</b>").id
    media = (NewMedia(png(), "image/png", "a]b.png"), NewMedia(wav(Sound(SPOKEN)), "audio/wav", "q.wav"))
    history.append(talk, NewTurn("user", "", transcript="What is this?", media=media))
    calls = (ToolCall("set_timer", {"minutes": 5}, "done", '{"ok": true}'),)
    history.append(talk, NewTurn("assistant", "One moment.", calls=calls))
    history.append(
        talk, NewTurn("assistant", "It is teal, and rather small.", heard="It is teal", state="stopped")
    )
    wrong = history.append(talk, NewTurn("user", "never mind"))
    history.append(talk, NewTurn("user", "", transcript="And now?"), instead_of=wrong.id)
    return talk


def check(read: Any, names: set[str], talk: int) -> None:
    """An export, read by a function from a name to its bytes."""
    value = json.loads(read(f"conversation-{talk}.json"))
    assert value["title"] == "A <b>title</b>"
    assert [turn["hidden_by"] is None for turn in value["turns"]] == [True, True, True, False, True]
    assert value["turns"][1]["calls"][0]["arguments"] == {"minutes": 5}
    files = [media["file"] for media in value["turns"][0]["media"]]
    assert [read(file) for file in files] == [png(), wav(Sound(SPOKEN))]
    assert names == {f"conversation-{talk}.json", f"conversation-{talk}.md", *files}
    text = read(f"conversation-{talk}.md").decode()
    assert text.startswith("# A \\<b>title\\</b>")
    assert f"![a\\]b.png]({files[0]})" in text
    assert "> What is this?" in text
    assert "never mind" not in text
    assert 'Tool (done): set_timer {"minutes": 5}' in text
    assert "heard until: It is teal" in text


def test_export_to_a_folder(history: History, talk: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = export(history, [talk], out)
    assert (done.conversations, done.media, done.problems) == (1, 2, ())
    names = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    check(lambda name: (out / name).read_bytes(), names, talk)
    assert all(path.stat().st_mode & 0o077 == 0 for path in [out, *out.rglob("*")])
    with pytest.raises(HistoryError, match="exists already"):
        export(history, [talk], out)


def test_export_to_an_archive(history: History, talk: int, tmp_path: Path) -> None:
    out = tmp_path / "out.zip"
    export(history, [talk], out)
    with zipfile.ZipFile(out) as archive:
        check(archive.read, set(archive.namelist()), talk)
    assert {path.name for path in tmp_path.iterdir()} == {"out.zip", "history"}


def test_export_names_what_is_missing_and_leaves_nothing_half(
    history: History, talk: int, tmp_path: Path
) -> None:
    history.media.path(history.turns(talk)[0].media[0]).unlink()
    done = export(history, [talk], tmp_path / "out")
    assert done.media == 1
    assert "a]b.png is missing" in done.problems[0]
    for target, ids in ((tmp_path / "none/out", [talk]), (tmp_path / "new", [talk, 99])):
        with pytest.raises(HistoryError):
            export(history, ids, target)
    assert {path.name for path in tmp_path.iterdir()} == {"out", "history"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a < b, f(x)!", "a < b, f(x)!"),
        ("![x](http://e/?q=1)", "\\![x](http://e/?q=1)"),
        ("<img src=x>", "\\<img src=x>"),
        ("```rust\nvec![1]<T>\n```\n![x](y)", "```rust\nvec![1]<T>\n```\n\\![x](y)"),
        ("~~~\n```\n<a>", "~~~\n```\n<a>\n~~~"),
        ("```a`\n<a>", "```a`\n\\<a>"),
        ("- a\n  ```\n![x](y)", "- a\n  ```\n\\![x](y)"),
        ("````\n```\n<a>\n   ````` \n<a>", "````\n```\n<a>\n   ````` \n\\<a>"),
        ("```\u2028![x](y)", "```\n![x](y)\n```"),
    ],
)
def test_an_exported_answer_loads_nothing(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_a_conversation_goes_on_after_a_restart(history: History, talk: int) -> None:
    done = replay(history.turns(talk), history.media)
    assert done.problems == []
    picture, clip = done.segments[1], done.segments[2]
    assert isinstance(picture, Picture)
    assert picture.data == png()
    assert isinstance(clip, Clip)
    assert clip.rate == 16000
    assert np.abs(clip.samples - SPOKEN).max() < 1e-4
    assert done.segments == [
        *prompt.user(picture, clip),
        *prompt.assistant("One moment.", [{"name": "set_timer", "arguments": {"minutes": 5}}]),
        *prompt.tool_response('{"ok": true}'),
        *prompt.assistant("It is teal"),
        *prompt.user("And now?"),
    ]


def test_a_picture_that_is_gone_does_not_end_a_conversation(history: History, talk: int) -> None:
    asked = history.turns(talk)[0]
    history.media.path(asked.media[0]).unlink()
    history.media.path(asked.media[1]).write_bytes(b"RIFF")
    done = replay([asked], history.media)
    assert len(done.problems) == 2
    assert done.segments == prompt.user(
        "[a]b.png is no longer there.] ", "[q.wav is no longer there.] ", "What is this?"
    )
