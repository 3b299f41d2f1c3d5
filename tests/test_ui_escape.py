"""Esc while another window has the keyboard: it stops what is spoken, and is that window's again."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import pytest
from place import Place, eventually
from PySide6.QtWidgets import QApplication
from real_window import wait_until
from virtual_audio import VirtualAudio, espeak
from virtual_screen import VirtualScreen

from assistant.turn import Phase, State
from assistant.voice.microphone import FileMicrophone
from models import package
from models.errors import Cancelled
from ui.outside.pill import Pill
from ui.work.ear import Recording


@pytest.fixture
def place(screen: VirtualScreen, audio_server: VirtualAudio, tmp_path: Path) -> Place:
    return Place(screen, audio_server, tmp_path, package.embedded())


def test_esc_stops_from_any_window_and_is_given_back(
    place: Place, audio_server: VirtualAudio, tmp_path: Path
) -> None:
    espeak("What can you do?", tmp_path / "said.wav")  # a long answer
    keys = tmp_path / "keys"
    with (
        keys.open("wb") as written,
        subprocess.Popen(
            ["xev", "-name", "other", "-event", "keyboard"], env=place.environment, stdout=written
        ) as other,
    ):
        try:
            with place.running():
                number = place.screen.wait_for_window("^other$")
                place.screen.xdotool("windowactivate", "--sync", number)
                for said in (True, False):
                    seen = keys.read_text().count("keysym 0xff1b, Escape")
                    done = len(place.told("phase", phase="idle"))
                    if said:
                        place.screen.xdotool("keydown", "ctrl", "keydown", "alt", "keydown", "space")
                        eventually(lambda: phase(place) == "listening")
                        with audio_server.spoken_into_microphone(tmp_path / "said.wav"):
                            pass
                        place.screen.xdotool("keyup", "space", "keyup", "alt", "keyup", "ctrl")
                        eventually(lambda: phase(place) == "speaking")
                    else:  # it listens until it is stopped
                        assert place.aside("listen").wait(20) == 0
                        eventually(lambda: phase(place) == "listening")
                    place.screen.xdotool("key", "Escape")
                    eventually(partial(idle_again, place, done), 5.0)
                    assert keys.read_text().count("keysym 0xff1b, Escape") == seen, (
                        "it was not for that window"
                    )
                    eventually(partial(_arrives, place, keys, seen))
        finally:
            other.kill()


def phase(place: Place) -> str:
    told = place.told("phase")
    return str(told[-1]["phase"]) if told else ""


def idle_again(place: Place, before: int) -> bool:
    return len(place.told("phase", phase="idle")) > before


def _arrives(place: Place, keys: Path, seen: int) -> bool:
    """Whether Esc reaches the other window again."""
    place.screen.xdotool("key", "Escape")
    return keys.read_text().count("keysym 0xff1b, Escape") > seen


def test_what_is_dropped_is_not_said_to_be_nothing(tmp_path: Path) -> None:
    """Whatever the recording is at when it is stopped."""
    espeak("Hello!", tmp_path / "said.wav")
    recording = Recording()
    with FileMicrophone(tmp_path / "said.wav") as source, pytest.raises(Cancelled):
        recording.listen(source, lambda _: recording.drop(), lambda *_: None)


def test_the_pill_has_nothing_of_the_turn_before(qt: QApplication) -> None:
    pill = Pill()
    pill.show_state(State(Phase.LISTENING, 1))
    pill.show_note("Nothing was heard.")
    pill.show_state(State(Phase.IDLE, 1))
    assert pill.isVisible()
    pill.show_state(State(Phase.THINKING, 2, writing=True))  # typed: the window shows it
    assert not pill.isVisible()
    pill.add_answer("blue")
    pill.show_state(State(Phase.IDLE, 2))
    pill.show_state(State(Phase.LISTENING, 3))
    pill.add_answer("circle")
    wait_until(lambda: "circle" in pill.said)
    assert pill.said == "circle"
    pill.show_state(State(Phase.LISTENING, 4, hands_free=True))
    assert pill.said == "circle"  # until something is said
    pill.show_question("what")
    assert pill.said == ""
    pill.hide()
    pill.deleteLater()
