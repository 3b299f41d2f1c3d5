"""The real application as processes, started and ended in every way that there is."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from engine_package import small_package
from place import Place, eventually, family
from virtual_audio import VirtualAudio, virtual_audio
from virtual_screen import VirtualScreen, virtual_screen

from models import package

ENDS = 3.0  # s, by the fault table
LATE = 3.0  # s more, for a machine that other tests use as well


@pytest.fixture(scope="module")
def screen() -> Iterator[VirtualScreen]:
    with virtual_screen() as one:
        yield one


@pytest.fixture
def place(screen: VirtualScreen, audio_server: VirtualAudio, tmp_path: Path) -> Place:
    return Place(screen, audio_server, tmp_path, package.embedded())


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that never comes to an end."""
    return small_package(tmp_path_factory.mktemp("endless") / "small", endless=True)


@pytest.fixture
def talkative(screen: VirtualScreen, audio_server: VirtualAudio, tmp_path: Path, endless: Path) -> Place:
    return Place(screen, audio_server, tmp_path, endless)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def ends(process: subprocess.Popen[bytes], children: list[psutil.Process]) -> int:
    """The exit code; nobody is left behind."""
    code = process.wait(ENDS + LATE)
    eventually(lambda: gone(children), LATE)
    return code


def test_of_twenty_started_at_once_one_has_a_window(place: Place) -> None:
    started = [place.aside("desktop") for _ in range(20)]
    try:
        left = eventually(lambda: len(one := [p for p in started if p.poll() is None]) == 1 and one)
        others = [p for p in started if p is not left[0]]
        assert [p.returncode for p in others] == [0] * 19
        eventually(place.windows)
        assert len(place.windows()) == 1
        assert place.aside("quit").wait(20) == 0
        assert left[0].wait(20) == 0
    finally:
        for process in started:
            process.kill()
            process.wait(10)


def test_a_storm_of_a_hotkey_is_one_action(place: Place) -> None:
    with place.running():
        place.screen.xdotool("key", "--delay", "5", *["ctrl+alt+space"] * 100)  # 100 a second
        eventually(lambda: place.told("phase", phase="listening"))
        time.sleep(0.5)  # whatever else would come of it
        assert len(place.told("phase", phase="listening")) == 1
        place.screen.xdotool("key", "Escape")
        eventually(lambda: place.told("phase", phase="idle"))


def test_closed_in_mid_answer_it_ends_and_keeps_what_was_written(talkative: Place) -> None:
    with talkative.running() as process:
        children = family(process)
        talkative.ask("go on")
        eventually(lambda: talkative.told("phase", phase="speaking"))
        talkative.screen.xdotool("key", "alt+F4")
        assert ends(process, children) == 0
        asked, answered = talkative.turns()
        assert asked.text == "go on"
        assert answered.state == "stopped"
        assert answered.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_mid_answer_ends_it(talkative: Place, number: signal.Signals) -> None:
    with talkative.running() as process:
        children = family(process)
        talkative.ask("go on")
        eventually(lambda: talkative.told("phase", phase="speaking"))
        process.send_signal(number)
        assert ends(process, children) == 0
        assert [turn.state for turn in talkative.turns()] == ["complete", "stopped"]


def test_killed_it_leaves_nobody_and_starts_again(talkative: Place) -> None:
    with talkative.running() as process:
        children = family(process)
        talkative.ask("go on")
        eventually(lambda: talkative.told("phase", phase="speaking"))
        eventually(talkative.turns)  # what is kept by now stays
        process.kill()
        process.wait(10)
        eventually(lambda: gone(children), 10.0)
    with talkative.running() as process:  # no lock and no socket is in the way
        assert talkative.turns()[0].text == "go on"
        children = family(process)
        assert talkative.aside("quit").wait(20) == 0
        assert ends(process, children) == 0


def test_without_screen_and_sound_it_ends_and_keeps_what_was_written(tmp_path: Path, endless: Path) -> None:
    """As when the session of a person ends: both servers are gone at once."""
    with virtual_screen() as screen, virtual_audio() as audio:
        talkative = Place(screen, audio, tmp_path, endless)
        with talkative.running() as process:
            children = family(process)
            talkative.ask("go on")
            eventually(lambda: talkative.told("phase", phase="speaking"))
            audio.kill()
            screen.kill()
            assert ends(process, children) == 1
            assert [turn.state for turn in talkative.turns()] == ["complete", "stopped"]
            assert "Something went wrong" not in talkative.log.read_text()


def test_an_engine_that_is_stopped_is_replaced_while_the_window_lives(place: Place) -> None:
    with place.running() as process:
        place.ask("hello")
        eventually(lambda: place.told("answered"))
        engine = min(family(process), key=lambda one: one.create_time())
        engine.suspend()
        stopped = time.monotonic()
        place.ask("hello")
        eventually(lambda: [turn for turn in place.turns() if turn.state == "failed"])
        beats = [line for line in place.told("beats") if line["t"] > stopped]
        assert sum(line["n"] for line in beats) > 1000  # the window did not wait
        assert max((gap for line in beats for _, gap in line["slow"]), default=0.0) < 1.0
        answered = len(place.told("answered"))
        place.ask("hello")
        eventually(lambda: len(place.told("answered")) > answered, 20.0)
        assert not engine.is_running()
        assert [turn.state for turn in place.turns()][1::2] == ["complete", "failed", "complete"]
