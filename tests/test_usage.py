"""Lamps are on exactly while a handle is open, and the log says what was used when."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from command import ROOT, Aside
from virtual_audio import VirtualAudio

from assistant import usage
from assistant.usage import Kind, Usage


def test_a_lamp_is_on_while_its_handle_is_open(tmp_path: Path) -> None:
    told: list[frozenset[Kind]] = []
    now = Usage(tmp_path / "log" / "usage.jsonl", told.append)
    with now.open("microphone", "USB"):
        second = now.open("microphone", "other")
        assert now.now == {"microphone"}
    assert now.now == {"microphone"}
    second.close()
    second.close()
    assert now.now == frozenset()
    assert told == [{"microphone"}] * 3 + [frozenset()]
    uses = list(usage.read(tmp_path / "log" / "usage.jsonl"))
    assert [use.name for use in uses] == ["USB", "other"]
    assert all(use.ended >= use.began for use in uses)
    assert (tmp_path / "log" / "usage.jsonl").stat().st_mode & 0o077 == 0


def test_a_log_that_can_not_be_written_or_read_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Usage(tmp_path / "file" / "log").open("camera").close()
    (tmp_path / "log").write_text('{"kind": "camera"}\nnonsense\n[1]\n')
    assert list(usage.read(tmp_path / "log")) == []


def test_the_log_stays_small(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text('{"kind": "screen", "name": "old", "began": 1, "ended": 2}\n' * 20_000)
    Usage(log).open("screen", "new").close()
    uses = list(usage.read(log))
    assert len(uses) < 12_000
    assert uses[-1].name == "new"


def test_the_command_shows_the_log(aside: Aside) -> None:
    assert "Nothing was used yet." in aside("usage").out
    Usage(aside.folder / "data" / "aside" / usage.FILE).open("camera", "USB \x1b[31mred").close()
    shown = aside("usage").out
    assert "camera" in shown
    assert "\x1b" not in shown
    assert '"kind": "camera"' in aside("usage", "--json").out


_CHILD = """
from assistant.usage import Usage
from assistant.voice.microphone import Microphone
usage = Usage()
def tell():
    print(*usage.now, flush=True)
    input()
tell()
with Microphone(usage=usage):
    tell()
tell()
"""


def test_the_lamp_of_the_microphone_is_its_open_handle(audio_server: VirtualAudio) -> None:
    """The sound server is asked who records."""
    environment = os.environ | audio_server.environment | {"PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        for lit in ("", "microphone", ""):
            assert child.stdout.readline().strip() == lit
            listed = subprocess.run(
                ["pactl", "list", "short", "source-outputs"],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            programs = [line for line in listed.splitlines() if "module-" not in line]
            assert bool(programs) == bool(lit), listed
            child.stdin.write("\n")
            child.stdin.flush()
        assert child.wait(30) == 0
