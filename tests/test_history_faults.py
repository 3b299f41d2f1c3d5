"""Kills, full disks, damage, other processes, newer files: nothing that was acknowledged is lost."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from command import ROOT
from history_child import answer, question

from assistant.history import salvage, schema
from assistant.history.records import NewMedia, NewTurn
from assistant.history.store import History, erase
from models.errors import HistoryError

KILLS: Final = int(os.environ.get("ASIDE_KILLS", "25"))
Said = dict[int, tuple[str, ...]]


def filled(folder: Path, talks: int = 4, turns: int = 12) -> Said:
    """Make a history; returns the texts of each conversation."""
    with History(folder) as history:
        for talk in [history.create(f"Talk {number}").id for number in range(talks)]:
            for number in range(turns):
                media = (NewMedia(f"{talk} {number}".encode(), "image/png", "p.png"),) if number == 3 else ()
                text = f"talk {talk} turn {number} " + "word " * (number * number * 8)
                history.append(talk, NewTurn("user" if number % 2 == 0 else "assistant", text, media=media))
    return said(folder)


def said(folder: Path) -> Said:
    with History(folder) as history:
        return {
            talk.id: tuple(turn.text for turn in history.turns(talk.id))
            for talk in history.conversations(limit=-1)
        }


def sound(folder: Path) -> bool:
    """Whether every page is, and every file that a turn names, and no file is there besides."""
    with History(folder) as history:
        media = [
            m
            for talk in history.conversations(-1)
            for t in history.turns(talk.id, hidden=True)
            for m in t.media
        ]
        for one in media:
            history.media.checked(one)
        assert {path.name for path in (folder / "media").glob("*")} == {one.file_name for one in media}
        return history.is_intact()


# --- kills


def test_no_kill_loses_an_acknowledged_turn(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    with History(folder) as history:
        talk = history.create("t").id
    chance = random.Random(1)
    known: dict[int, str] = {}
    partial = 0
    for _ in range(KILLS):
        known_parts: dict[int, int] = {}
        with subprocess.Popen(
            [sys.executable, ROOT / "tests/history_child.py", folder, str(talk)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdout is not None
            first = child.stdout.readline()
            time.sleep(chance.random() * 0.15)  # killed at any moment
            child.send_signal(signal.SIGKILL)
            lines = [first, *child.stdout.read().splitlines(keepends=True)]
        for line in lines:
            if not line.endswith("\n"):
                continue
            kind, turn, number = line.split()
            if kind == "part":
                known_parts[int(turn)] = known_parts.get(int(turn), 0) + int(number)
            else:
                known[int(turn)] = "question" if int(turn) not in known_parts else "answer"
                known[int(turn)] += f" {number}"
        with History(folder) as history:
            turns = {turn.id: turn for turn in history.turns(talk)}
            for turn_id, what in known.items():
                kind, number = what.split()
                assert turns[turn_id].state == "complete"
                assert turns[turn_id].text == (question if kind == "question" else answer)(int(number))
            for turn_id, length in known_parts.items():
                assert len(turns[turn_id].text) >= length
            partial += sum(turn.state == "failed" for turn in turns.values())
            assert not [turn for turn in turns.values() if turn.state == "open"]
    assert sound(folder)
    assert len(known) >= KILLS
    assert partial > 0


ACT: Final = """
import sys
from pathlib import Path
from assistant.history.records import ToolCall
from assistant.history.store import History
with History(Path(sys.argv[1])) as history, open(sys.argv[2], "a", buffering=1) as acted:
    while True:
        reply = history.stream(1)
        for n in range(3):
            reply.call(ToolCall("act", {"n": n}))
            acted.write(f"{reply.id} {n}\\n")
            reply.call(ToolCall("act", {"n": n}, "done", "It was done."))
        reply.finish()
"""


def test_no_kill_loses_what_a_tool_did(tmp_path: Path) -> None:
    folder, acted = tmp_path / "history", tmp_path / "acted"
    with History(folder) as history:
        history.create("t")
    chance = random.Random(2)
    states: set[str] = set()
    acted.touch()
    for _ in range(KILLS // 3):
        before = acted.stat().st_size
        with subprocess.Popen(
            [sys.executable, "-c", ACT, folder, acted], env={**os.environ, "PYTHONPATH": str(ROOT)}
        ) as child:
            while acted.stat().st_size == before:
                time.sleep(0.001)
            time.sleep(chance.random() * 0.05)  # killed at any moment
            child.kill()
        with History(folder) as history:
            turns = {turn.id: turn for turn in history.turns(1)}
        for line in acted.read_text().splitlines():
            turn, number = map(int, line.split())
            assert turns[turn].calls[number].arguments == {"n": number}
        for kept in turns.values():
            states |= {call.state for call in kept.calls}
            assert all(call.state == "done" for call in kept.calls[:-1])
    assert "done" in states
    assert sound(folder)


def test_what_a_dead_process_was_writing_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    filled(folder, 1)
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    for name in (f"new-{dead.pid}-1-abc", "new-", "f" * 64 + ".png"):
        (folder / "media" / name).write_bytes(b"half")
    assert sound(folder)


# --- full disks


@contextmanager
def limited(folder: Path) -> Iterator[Callable[[int], None]]:
    """Room for so many bytes in each file."""
    del folder
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda free: resource.setrlimit(resource.RLIMIT_FSIZE, (free, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[int], None]]:
    """A real disk with so many bytes left."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    ballast = folder / "ballast"

    def leave(free: int) -> None:
        ballast.write_bytes(b"")
        disk = os.statvfs(folder)
        ballast.write_bytes(bytes(max(0, disk.f_bavail * disk.f_frsize - free)))

    try:
        yield leave
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _may_mount() -> bool:
    """Whether a file system can be mounted here, which asks for root and no tight container."""
    tried = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "t", "/mnt"], check=False, capture_output=True
    )
    return os.geteuid() == 0 and tried.returncode == 0


DISKS: Final = [limited, small_disk] if _may_mount() else [limited]


@pytest.mark.parametrize("disk", DISKS)
def test_a_full_disk_costs_nothing_that_was_kept(tmp_path: Path, disk: Callable[..., object]) -> None:
    """Room for one page more each time, until the turn fits."""
    turn = NewTurn("user", "new " * 5000, media=(NewMedia(b"new" * 5000, "image/png"),))
    with (limited if disk is limited else small_disk)(tmp_path / "disk") as leave:
        folder = tmp_path / "disk" / "history"
        before = filled(folder, 2)
        refused = 0
        sentences: set[str] = set()
        for free in range(0, 1 << 20, 8192):
            with History(folder) as history:
                leave(free)
                try:
                    history.append(1, turn)
                    break
                except HistoryError as error:
                    refused += 1
                    sentences.add(str(error))
                finally:
                    leave(1 << 21)
                assert not [p for p in (folder / "media").iterdir() if p.read_bytes() == b"new" * 5000]
                assert said(folder) == before
            assert sound(folder)
        assert refused >= 3
        assert disk is limited or all("The disk is full" in sentence for sentence in sentences)
        assert said(folder)[1] == (*before[1], turn.text)
        assert sound(folder)


@pytest.mark.parametrize("disk", DISKS[1:] or DISKS)
def test_a_full_disk_can_be_read_and_cleared(tmp_path: Path, disk: Callable[..., object]) -> None:
    with (limited if disk is limited else small_disk)(tmp_path / "disk") as leave:
        folder = tmp_path / "disk" / "history"
        before = filled(folder, 2)
        with History(folder) as history:
            history.append(1, NewTurn("user", "big", media=(NewMedia(bytes(1 << 20), "audio/wav"),)))
            with history.stream(2, every=0.0) as reply:
                leave(0)
                for _ in range(200):
                    reply.add("word " * 200)  # never raises
                assert reply.problem is not None
                with pytest.raises(HistoryError):
                    reply.finish()
                leave(1 << 20)
                reply.finish()
            assert history.turn(reply.id).text == "word " * 40000
            leave(0)
            history.delete(1)
        leave(0)
        now = said(folder)
        assert now == {2: (*before[2], "word " * 40000)}
        leave(1 << 21)
        assert sound(folder)


# --- other processes


HOLD: Final = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_locked_history_is_named(tmp_path: Path) -> None:
    before = filled(tmp_path, 1)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "history.db"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with History(tmp_path, patience=0.1) as history:
            assert len(history.turns(1)) == 12
            with pytest.raises(HistoryError, match="Another program is using the history"):
                history.append(1, NewTurn("user", "x", media=(NewMedia(b"x", "image/png"),)))
            other.communicate()
            assert said(tmp_path) == before
            history.append(1, NewTurn("user", "x"))
    assert sound(tmp_path)


def test_many_processes_at_once(tmp_path: Path) -> None:
    """Each makes the history if it is the first, and a conversation, and appends."""
    code = (
        "import sys; from pathlib import Path; from assistant.history.store import History;"
        "from assistant.history.records import NewTurn, NewMedia\n"
        "with History(Path(sys.argv[1]), patience=60) as history:\n"
        "    talk = history.create().id\n"
        "    for n in range(5):\n"
        "        history.append(talk, NewTurn('user', str(n), media=(NewMedia(b'same', 'image/png'),)))"
    )
    folder = tmp_path / "history"
    children = [
        subprocess.Popen([sys.executable, "-c", code, folder], env={**os.environ, "PYTHONPATH": str(ROOT)})
        for _ in range(6)
    ]
    assert [child.wait() for child in children] == [0] * 6
    assert list(said(folder).values()) == [("0", "1", "2", "3", "4")] * 6
    assert sound(folder)


# --- formats


def test_newer_and_foreign_files_are_refused(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    path = tmp_path / "history.db"
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {len(schema.STEPS) + 1}")
    db.close()
    content = path.read_bytes()
    with pytest.raises(HistoryError, match="newer Aside"):
        History(tmp_path)
    assert path.read_bytes() == content
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE bookmarks (id INTEGER)")
    db.close()
    with pytest.raises(HistoryError, match="not a history of Aside"):
        History(tmp_path)


def test_an_older_file_gets_the_newest_tables(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    db = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    try:
        good = ("ALTER TABLE conversation ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0",)
        with pytest.raises(sqlite3.OperationalError):
            schema.migrate(db, tmp_path, (*schema.STEPS, good, ("CREATE TABLE",)))
        assert schema.version(db) == len(schema.STEPS)
        assert "pinned" not in str(db.execute("SELECT sql FROM sqlite_schema").fetchall())
        schema.migrate(db, tmp_path, (*schema.STEPS, good))
        assert schema.version(db) == len(schema.STEPS) + 1
        assert db.execute("SELECT DISTINCT pinned FROM conversation").fetchall() == [(0,)]
    finally:
        db.close()


# --- damage


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    folder = tmp_path_factory.mktemp("whole")
    return folder, filled(folder)


def contents(folder: Path) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if data and not name.endswith("-shm")}


def test_salvage_reads_all_of_a_sound_file(tmp_path: Path, whole: tuple[Path, Said]) -> None:
    folder, before = whole
    done = salvage.into(folder, tmp_path / "new")
    assert (done.conversations, done.turns, done.media, done.lost) == (4, 48, 4, 0)
    assert said(tmp_path / "new") == before
    assert sound(tmp_path / "new")
    with History(folder) as old, History(tmp_path / "new") as new:
        assert new.conversations() == old.conversations()
        for talk in old.conversations():
            assert new.turns(talk.id) == old.turns(talk.id)
    with pytest.raises(HistoryError, match="There is something in"):
        salvage.into(folder, tmp_path / "new")


def test_every_damaged_page_costs_only_itself(tmp_path: Path, whole: tuple[Path, Said]) -> None:
    good, before = whole
    content = (good / "history.db").read_bytes()
    everything = {text for texts in before.values() for text in texts}
    damaged = whole_reads = 0
    for start in range(0, len(content), schema.PAGE_SIZE):
        folder = tmp_path / str(start)
        folder.mkdir()
        junk = random.Random(start).randbytes(schema.PAGE_SIZE)
        (folder / "history.db").write_bytes(content[:start] + junk + content[start + schema.PAGE_SIZE :])
        bytes_before = contents(folder)
        history = History(folder)
        with history:
            if not history.problem:
                assert not history.is_intact()  # an index, which is not looked at before
                assert said(folder) == before
                continue
            damaged += 1
            assert "damaged" in str(history.problem)
            found = {turn.text for talk in history.conversations() for turn in history.turns(talk.id)}
            beginnings = {text for text in everything if any(text.startswith(part) for part in found)}
            assert len(everything - beginnings) <= 12
            whole_reads += found == everything
            with pytest.raises(HistoryError, match="Nothing can be changed"):
                history.create()
        assert contents(folder) == bytes_before
        shutil.rmtree(folder)
    assert damaged >= 10
    assert whole_reads >= 2  # the header, the schema, an inner page


def test_the_log_is_salvaged_too(tmp_path: Path) -> None:
    """A process was killed, the last turns are in the log only, one in half; then the header was damaged."""
    folder = tmp_path / "history"
    with History(folder) as history:
        talk = history.create("t").id
        history.append(talk, NewTurn("user", "only in the log"))
        reply = history.stream(talk, every=0.0)
        reply.add("half an answer")
        history.append(talk, NewTurn("user", "not committed"))
        shutil.copytree(folder, tmp_path / "copy")
        reply.finish()
    copy = tmp_path / "copy"
    content = (copy / "history.db").read_bytes()
    (copy / "history.db").write_bytes(b"\0" * 100 + content[100:])
    (copy / "history.db-shm").unlink()
    log = (copy / "history.db-wal").read_bytes()[
        : -24 - schema.PAGE_SIZE
    ]  # the frame that commits is missing
    assert b"not committed" in log
    (copy / "history.db-wal").write_bytes(log)
    done = salvage.in_place(copy)
    assert said(copy) == {talk: ("only in the log", "half an answer")}
    assert done.kept.read_bytes()[100:] == content[100:]
    with History(copy) as history:
        assert [turn.state for turn in history.turns(talk)] == ["complete", "failed"]


def test_salvage_in_place(tmp_path: Path) -> None:
    before = filled(tmp_path)
    path = tmp_path / "history.db"
    content = b"\0" * 100 + path.read_bytes()[100:]
    path.write_bytes(content)
    with History(tmp_path) as history:
        assert history.problem
        assert [hit.conversation for hit in history.search("talk 2")]  # also the index is back
    lost = next((tmp_path / "media").iterdir())
    lost.unlink()
    (tmp_path / "media" / ("a" * 64 + ".png")).write_bytes(b"of a turn that can't be read")
    done = salvage.in_place(tmp_path)
    assert (done.turns, done.media, done.lost) == (48, 3, 1)
    assert done.kept.read_bytes() == content
    assert (done.kept.parent / "media" / ("a" * 64 + ".png")).exists()
    assert said(tmp_path) == before
    with History(tmp_path) as history:
        assert history.is_intact()
        history.append(1, NewTurn("user", "and on"))
        history.wipe()
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["history.db"]


def test_an_emptied_file_is_no_new_history(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "history.db").write_bytes(b"")
    with History(tmp_path) as history:
        assert "empty or missing" in str(history.problem)
    (tmp_path / "history.db").unlink()
    with History(tmp_path) as history:
        assert history.problem
    assert not (tmp_path / "history.db").exists()
    assert len(list((tmp_path / "media").iterdir())) == 4
    (tmp_path / "mine.txt").touch()
    erase(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_media_that_are_gone_or_changed_are_named(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    with History(tmp_path) as history:
        [gone], [changed] = ([t for t in history.turns(talk) if t.media] for talk in (1, 2))
        history.media.path(gone.media[0]).unlink()
        history.media.path(changed.media[0]).write_bytes(b"X 3")
        with pytest.raises(HistoryError, match=r"The picture p\.png is missing"):
            history.media.read(gone.media[0])
        for read in (history.media.read, history.media.checked):
            with pytest.raises(HistoryError, match=r"The picture p\.png was changed"):
                read(changed.media[0])
        assert gone.text.startswith("talk 1")
        again = NewMedia(b"2 3", "image/png")  # the same picture once more mends it
        history.append(1, NewTurn("user", "x", media=(again, replace(again, name="other.png"))))
        assert history.media.read(changed.media[0]) == b"2 3"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HistoryError, match="can't be used"):
        History(tmp_path / "file")
