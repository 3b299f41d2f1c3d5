"""`aside ask --tools run` with the model that is shipped: on a terminal, without one, and with --yes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command import ROOT, Aside

from assistant.tools.schedule import Schedule
from models import package

CTRL_C = b"\x03"
TIMER = "Set a timer for five minutes"


@pytest.fixture
def nano(aside: Aside) -> Aside:
    return Aside(aside.folder, package.embedded(), {"XDG_CONFIG_HOME": str(aside.folder / "config")})


def kept(aside: Aside) -> list[str]:
    path = aside.path("data/aside/tools/timers.json")
    return [entry["kind"] for entry in json.loads(path.read_text())["entries"]] if path.exists() else []


def on_a_terminal(aside: Aside, typed: bytes, *words: str) -> tuple[int, str]:
    """Run the command on a pseudo-terminal and type when it asks."""
    environment = os.environ | aside.environment
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "XDG_DATA_HOME": str(aside.path("data"))}
    terminal, inside = pty.openpty()
    line = [sys.executable, "-m", "assistant", "ask", *words]
    with subprocess.Popen(
        line, env=environment, start_new_session=True, stdin=inside, stdout=inside, stderr=inside
    ) as process:
        os.close(inside)
        shown, asked = b"", False
        while part := _read(terminal):
            shown += part
            if b"[y/N]" in shown and not asked:
                asked = True
                if typed == CTRL_C:
                    process.send_signal(signal.SIGINT)
                else:
                    os.write(terminal, typed)
    os.close(terminal)
    return process.returncode, shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the command has ended
        return b""


@pytest.mark.parametrize(
    ("typed", "code", "result", "entries"),
    [
        (b"y\n", 0, "→ set_timer(minutes=5): The timer rings in 5 minutes.", ["timer"]),
        (b"\n", 0, "→ set_timer(minutes=5): Not done: the person said no.", []),
        (b"yep\n", 0, "→ set_timer(minutes=5): Not done: the person said no.", []),
        (CTRL_C, 130, "→ set_timer(minutes=5): Not done: the answer was cut.", []),
    ],
    ids=["yes", "nothing", "another word", "Ctrl-C"],
)
def test_a_person_is_asked(nano: Aside, typed: bytes, code: int, result: str, entries: list[str]) -> None:
    ended, shown = on_a_terminal(nano, typed, "--tools", "run", TIMER)
    assert "Start a timer for 5 minutes. Allow it? [y/N]" in shown
    assert result in shown
    assert ended == code, shown
    assert kept(nano) == entries
    assert ("Nothing runs now that would ring" in shown) == bool(entries)


def test_without_a_terminal_nothing_has_an_effect(nano: Aside) -> None:
    result = nano("ask", "--tools", "run", TIMER, typed="y\n")
    assert result.code == 0
    assert "→ set_timer(minutes=5): Not done: nobody allowed it." in result.out
    assert "There is no terminal to ask on; --yes allows" in result.err
    assert kept(nano) == []
    result = nano("ask", "--tools", "run", "--json", "what is 12 times 12")
    [call] = result.json["tool_calls"]
    assert (call["state"], call["result"]) == ("done", "12 times 12 is 144.")


def test_yes_and_the_settings_allow_it(nano: Aside) -> None:
    result = nano("ask", "--tools", "run", "--yes", "--json", TIMER)
    [call] = result.json["tool_calls"]
    assert call == {
        "name": "set_timer",
        "arguments": {"minutes": 5},
        "state": "done",
        "result": "The timer rings in 5 minutes.",
    }
    assert kept(nano) == ["timer"]
    assert nano("settings", "set", "tools.without_asking", "set_timer").code == 0
    assert nano("ask", "--tools", "run", TIMER).out.startswith("→ set_timer(minutes=5): The timer rings")
    assert kept(nano) == ["timer", "timer"]


def test_a_conversation_rings(nano: Aside) -> None:
    assert nano("ask", "--tools", "run", "--yes", TIMER).code == 0
    timers: Path = nano.path("data/aside/tools/timers.json")
    document = json.loads(timers.read_text())
    document["entries"][0]["steady"] -= 299.9
    timers.write_text(json.dumps(document))
    with nano.start("ask", "--interactive", "--tools", "run") as process:
        assert process.stderr is not None
        assert process.stdin is not None
        lines = iter(process.stderr.readline, "")
        assert any("The timer of 5 min rings" in line for line in lines)
        process.stdin.close()
        assert process.wait(30) == 0
    assert kept(nano) == []


def test_yes_without_run_is_refused(nano: Aside) -> None:
    assert "--yes goes with --tools run" in nano("ask", "--yes", "Hello").complaint()


def test_what_is_set_is_shown_and_cancelled(aside: Aside) -> None:
    def timers(*words: str) -> str:
        done = aside("timers", *words)
        assert done.code == 0, done.err
        return done.out

    assert timers() == "Nothing is set.\n"
    schedule = Schedule(aside.path("data/aside/tools/timers.json"))
    timer = schedule.set_timer(5)
    schedule.set_alarm("07:30")
    schedule.set_alarm("17:30", "call Ann")
    listed = timers()
    assert len(listed.splitlines()) == 3
    assert f"{timer.id}  " in listed
    assert "17:30  reminder: call Ann\n" in listed
    assert {one["kind"] for one in json.loads(timers("--json"))} == {"timer", "alarm", "reminder"}
    assert timer.id not in timers("--cancel", timer.id)
    assert "Nothing is set that is called" in aside("timers", "--cancel", timer.id).err
    assert timers("--cancel", "all") == "Nothing is set.\n"
    assert schedule.pending() == []
