"""One instance: who is first stays, everyone else talks to it."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant import instance
from models.errors import DeviceError

ROOT = Path(__file__).parent.parent

CONTEND = """
import sys, threading
from assistant import instance
done = threading.Event()
place = instance.claim()
if place is None:
    print("told" if instance.tell("show") else "nobody", flush=True)
else:
    with place:
        print("first", flush=True)
        place.serve(lambda word: (print(word, flush=True), word == "quit" and done.set()))
        done.wait(60)
"""


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    yield tmp_path
    assert not [t for t in threading.enumerate() if t.name == "instance"]


def contender() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CONTEND], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_of_twenty_at_once_one_stays() -> None:
    contenders = [contender() for _ in range(20)]
    first = []
    for process in contenders:
        assert process.stdout is not None
        word = process.stdout.readline().strip()
        if word == "first":
            first.append(process)
        else:
            assert word == "told"
            assert process.wait(20) == 0
            process.stdout.close()
    assert len(first) == 1
    assert instance.tell("quit")
    assert first[0].stdout is not None
    with first[0].stdout as rest:  # `communicate` would lose what `readline` has read ahead
        out = rest.read()
    assert first[0].wait(20) == 0
    assert out.split() == ["show"] * 19 + ["quit"]


def test_a_killed_instance_leaves_its_place(runtime: Path) -> None:
    killed = contender()
    assert killed.stdout is not None
    assert killed.stdout.readline() == "first\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    killed.stdout.close()
    assert (runtime / "aside/socket").exists()
    assert not instance.tell("show")
    place = instance.claim()
    assert place is not None
    place.close()


def test_only_its_owner_may_talk_to_it(runtime: Path) -> None:
    place = instance.claim()
    assert place is not None
    with place:
        assert stat.S_IMODE((runtime / "aside/socket").stat().st_mode) == 0o600
        assert stat.S_IMODE((runtime / "aside").stat().st_mode) == 0o700
    assert not (runtime / "aside/socket").exists()


def test_a_folder_that_others_may_enter_is_closed(runtime: Path) -> None:
    (runtime / "aside").mkdir(mode=0o777)
    (runtime / "aside").chmod(0o777)
    assert stat.S_IMODE(instance.folder().stat().st_mode) == 0o700


def test_a_link_in_place_of_the_folder_is_refused(runtime: Path) -> None:
    (runtime / "elsewhere").mkdir()
    (runtime / "aside").symlink_to(runtime / "elsewhere")
    with pytest.raises(DeviceError, match="somebody else"):
        instance.claim()


def test_what_is_no_request_does_nothing(runtime: Path) -> None:
    got: list[str] = []
    place = instance.claim()
    assert place is not None
    with place:
        place.serve(got.append)
        for junk in (b"rm -rf /\n", b"show" * 1000, b"\xff\x00\n", b""):
            with socket.socket(socket.AF_UNIX) as caller:
                caller.connect(str(runtime / "aside/socket"))
                caller.sendall(junk)
                caller.shutdown(socket.SHUT_WR)
        assert instance.tell("listen")
    assert got == ["listen"]


def test_an_instance_that_does_not_answer_is_said_so() -> None:
    place = instance.claim()
    assert place is not None
    with place:
        before = time.monotonic()
        with pytest.raises(DeviceError, match="doesn't answer"):
            instance.tell("show", patience=0.3)
        assert time.monotonic() - before < 2.0


def test_without_an_instance_nobody_is_told() -> None:
    assert not instance.tell("show")
    assert list(instance.folder().iterdir()) == []
