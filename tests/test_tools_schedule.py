"""Timers and alarms: by whatever the clock does, after a restart, and rung by one process."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from command import ROOT
from hypothesis import given
from hypothesis import strategies as st

from assistant.tools.ringer import Ring, Ringer, is_watched
from assistant.tools.schedule import Alarm, Now, Schedule, Timer
from models.errors import ToolError

START = Now(steady=1000.0, wall=1_800_000_000.0, local=datetime(2026, 11, 24, 22, 0), boot="first")
TIMER = Timer("t", 300.0, START.boot, START.steady + 300, START.wall + 300)


@pytest.fixture
def schedule(tmp_path: Path) -> Schedule:
    return Schedule(tmp_path / "tools" / "timers.json")


def later(now: Now, seconds: float, set_by: float = 0.0, boot: str = "") -> Now:
    """``seconds`` later, the wall clock set by ``set_by`` seconds; after a start of the machine, if named."""
    return Now(
        steady=seconds if boot else now.steady + seconds,
        wall=now.wall + seconds + set_by,
        local=now.local + timedelta(seconds=seconds + set_by),
        boot=boot or now.boot,
    )


@given(seconds=st.floats(0, 1e6), set_by=st.floats(-1e8, 1e8))
def test_setting_the_clock_changes_no_timer(seconds: float, set_by: float) -> None:
    assert TIMER.late(later(START, seconds, set_by)) == pytest.approx(seconds - 300, abs=1e-3)


@given(seconds=st.floats(0, 1e6), set_by=st.floats(-1e8, 1e8), more=st.floats(0, 1e6))
def test_a_restarted_machine_knows_the_timer_by_the_wall_clock(
    seconds: float, set_by: float, more: float
) -> None:
    restarted = later(START, seconds, set_by, boot="second")
    late = TIMER.late(restarted)
    assert late == pytest.approx(max(seconds + set_by - 300, -300), abs=1e-3), "never longer than it was"
    anchored = TIMER.anchored(restarted)
    assert anchored.late(restarted) == pytest.approx(late, abs=1e-3)
    again = later(restarted, more, 5e5)
    assert anchored.late(again) == pytest.approx(late + more, abs=1e-3), "from then on nobody can set it"


def test_a_system_that_does_not_tell_its_starts_uses_the_wall_clock() -> None:
    nameless = replace(TIMER, boot="")
    assert nameless.late(replace(later(START, 200), boot="")) == pytest.approx(-100)


@pytest.mark.parametrize(
    ("now", "late"),
    [
        (later(START, 9 * 3600 + 1799), -1), (later(START, 9 * 3600 + 1800), 0),
        (later(START, 60, set_by=10 * 3600), 31 * 60),
        (later(START, 60, set_by=-3600), -(10 * 3600 + 29 * 60)),
    ],
)  # fmt: skip
def test_an_alarm_follows_the_wall_clock(now: Now, late: float) -> None:
    assert Alarm("a", datetime(2026, 11, 25, 7, 30)).late(now) == late


def test_an_alarm_is_a_day_ahead_at_most() -> None:
    alarm = Alarm("a", datetime(2026, 11, 25, 7, 30))
    assert alarm.anchored(START) is alarm
    month_before = later(START, 0, set_by=-30 * 86400)
    assert alarm.anchored(month_before).at == datetime(2026, 10, 26, 7, 30)
    assert alarm.anchored(later(START, 0, set_by=30 * 86400)) is alarm, "it is late, and rings"


def test_what_is_set_is_pending_after_a_restart(schedule: Schedule) -> None:
    timer, alarm = schedule.set_timer(5), schedule.set_alarm("07:30")
    again = Schedule(schedule.path)
    assert again.pending() == [timer, alarm]
    now = Now.read()
    assert -300 <= timer.late(now) < -200
    assert timedelta(0) < alarm.at - now.local <= timedelta(days=1)
    assert (alarm.at.hour, alarm.at.minute) == (7, 30)
    again.cancel(timer.id, "nothing")
    reminder = schedule.set_alarm("17:30", "call “Ann”")
    assert again.pending() == [alarm, reminder]
    assert reminder.about == "call “Ann”"


@pytest.mark.parametrize("clock", ["29:00", "24:00", "12:60"])
def test_there_is_no_such_time(schedule: Schedule, clock: str) -> None:
    with pytest.raises(ToolError, match=f"There is no time {clock}"):
        schedule.set_alarm(clock)
    assert schedule.pending() == []


def test_there_is_an_end_to_them(schedule: Schedule) -> None:
    timer = schedule.set_timer(1)
    listed = json.loads(schedule.path.read_text())["entries"]
    schedule.path.write_text(json.dumps({"entries": [listed[0] | {"id": str(i)} for i in range(100)]}))
    with pytest.raises(ToolError, match="100 timers and alarms already"):
        schedule.set_alarm("07:30")
    schedule.cancel("5")
    assert schedule.set_timer(1) != timer


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", '{"entries": 3}', '{"entries": [3]}', '{"entries": [{"kind": "alarm", "id": "a"}]}',
        '{"entries": [{"kind": "timer", "id": "a", "seconds": NaN, "boot": "", "steady": 1, "wall": 1}]}',
        '{"entries": [{"kind": "alarm", "id": "a", "at": "tomorrow"}]}',
    ],
    ids=range(8),
)  # fmt: skip
def test_a_damaged_file_is_set_aside(schedule: Schedule, content: str) -> None:
    schedule.path.parent.mkdir()
    schedule.path.write_text(content)
    assert schedule.pending() == []
    assert (schedule.path.parent / "timers.damaged-1.json").read_text() == content
    timer = schedule.set_timer(5)
    assert schedule.pending() == [timer]


def test_a_full_disk_keeps_what_was_set(schedule: Schedule) -> None:
    timer = schedule.set_timer(5)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        with pytest.raises(ToolError, match="can't be kept: the disk is full"):
            schedule.set_timer(6)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert schedule.pending() == [timer]


# --- ringing


def due(schedule: Schedule, seconds: float, name: str = "t") -> None:
    """Write a timer that is over in ``seconds``."""
    now = Now.read()
    entry = {
        "kind": "timer", "id": name, "seconds": 60, "boot": now.boot,
        "steady": now.steady + seconds, "wall": now.wall + seconds,
    }  # fmt: skip
    schedule.path.parent.mkdir(exist_ok=True)
    schedule.path.write_text(json.dumps({"entries": [entry]}))


class Bell:
    """Remembers what rang."""

    def __init__(self, schedule: Schedule | None = None) -> None:
        self.rings: list[Ring] = []
        self.pending_then: list[int] = []
        self.heard = threading.Event()
        self._schedule = schedule

    def __call__(self, ring: Ring) -> None:
        if self._schedule:
            self.pending_then.append(len(self._schedule.pending()))
        self.rings.append(ring)
        self.heard.set()


def wait_for(condition: object, seconds: float = 20) -> None:
    assert callable(condition)
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_it_rings_in_time_and_once(schedule: Schedule) -> None:
    due(schedule, 0.4)
    bell = Bell(schedule)
    with Ringer(schedule, bell):
        assert bell.heard.wait(20)
        wait_for(lambda: not schedule.pending())
    assert [ring.entry.id for ring in bell.rings] == ["t"]
    assert 0 <= bell.rings[0].late < 10
    assert bell.pending_then == [1], "it goes only after it rang"
    with Ringer(schedule, bell):
        pass
    assert len(bell.rings) == 1


def test_what_was_missed_rings_at_the_start(schedule: Schedule) -> None:
    due(schedule, -500)
    bell = Bell()
    with Ringer(schedule, bell):
        assert bell.heard.wait(20)
    assert bell.rings[0].late >= 500


def test_one_process_rings_what_another_sets(schedule: Schedule) -> None:
    assert not is_watched(schedule)
    first, second = Bell(), Bell()
    with Ringer(schedule, first) as one:
        wait_for(lambda: is_watched(schedule))
        with Ringer(schedule, second):
            due(schedule, 0.1, "a")
            assert first.heard.wait(20)
            wait_for(lambda: not schedule.pending())
            assert not second.rings
            one.close()
            due(schedule, 0.1, "b")
            assert second.heard.wait(20), "another takes over"
    assert [ring.entry.id for ring in first.rings + second.rings] == ["a", "b"]
    assert not is_watched(schedule)


def test_a_bell_that_fails_silences_no_other(schedule: Schedule, caplog: pytest.LogCaptureFixture) -> None:
    rung: list[str] = []
    done = threading.Event()

    def fails(ring: Ring) -> None:
        rung.append(ring.entry.id)
        done.set()
        raise OSError("no sound")

    due(schedule, 0.0)
    with Ringer(schedule, fails):
        assert done.wait(20)
        wait_for(lambda: not schedule.pending())
        done.clear()
        due(schedule, 0.0, "next")
        assert done.wait(20)
    assert rung == ["t", "next"]
    assert "should ring t failed" in caplog.text


_SETTER = """
import sys
from pathlib import Path
from assistant.tools.notes import Notes
from assistant.tools.schedule import Schedule
schedule, notes = Schedule(Path(sys.argv[1]) / "timers.json"), Notes(Path(sys.argv[1]) / "notes.md")
print("ready", flush=True)
number = 0
while True:
    timer = schedule.set_timer(5)
    notes.add(f"note {timer.id}")
    schedule.cancel(*(e.id for e in schedule.pending()[:-3]))
    print(timer.id, flush=True)
"""


def test_a_killed_process_loses_nothing_it_told(schedule: Schedule) -> None:
    folder = schedule.path.parent
    acknowledged: list[str] = []
    for attempt in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", _SETTER, folder],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.004 * attempt)  # killed at another moment each time
            process.kill()
            told = process.stdout.read().split()
        acknowledged += told
        pending = [entry.id for entry in schedule.pending()]
        assert set(told[-1:]) <= set(pending)
        assert not list(folder.glob("*.damaged-*"))
    notes = folder / "notes.md"
    text = notes.read_text() if notes.exists() else ""
    assert all(f" note {name}\n" in text for name in acknowledged)
    assert acknowledged
