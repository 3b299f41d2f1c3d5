"""The whole application as people start it: a hotkey, a spoken question, an answer that is heard."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from place import Place, eventually
from virtual_audio import VirtualAudio, espeak
from virtual_screen import VirtualScreen, virtual_screen

from assistant.bench.rig import Ear
from assistant.history.records import Turn
from assistant.settings import SettingsFile
from models import package

QUESTION = "Set a timer for five minutes."


@pytest.fixture(scope="module")
def screen() -> Iterator[VirtualScreen]:
    with virtual_screen() as one:
        yield one


@pytest.fixture
def place(screen: VirtualScreen, audio_server: VirtualAudio, tmp_path: Path) -> Place:
    return Place(screen, audio_server, tmp_path, package.embedded())


def answer(place: Place) -> Turn:
    """The first answer, when it is complete."""

    def look() -> list[Turn]:
        return [turn for turn in place.turns() if turn.role == "assistant" and turn.state != "open"]

    found: list[Turn] = eventually(look, 90.0)
    return found[0]


def test_a_spoken_question_is_heard_answered_and_kept(
    place: Place, audio_server: VirtualAudio, tmp_path: Path
) -> None:
    espeak(QUESTION, tmp_path / "said.wav")
    SettingsFile(tmp_path / "config/aside/settings.json").change({"tools.without_asking": ["set_timer"]})
    with place.used():
        place.tell("desktop")  # a second one raises the first
        eventually(audio_server.recording)
        place.tell("listen")
        place.screen.wait_for_window("Aside is listening")
        with audio_server.spoken_into_microphone(tmp_path / "said.wav"):
            asked = eventually(lambda: [t for t in place.turns() if t.role == "user" and t.transcript])[0]
        assert "timer" in asked.transcript
        assert asked.media[0].media_type == "audio/wav"
        answered = answer(place)
        assert answered.state == "complete"
        assert answered.calls[0].name == "set_timer"
        assert answered.calls[0].arguments == {"minutes": 5}
        assert answered.calls[0].result == "The timer rings in 5 minutes."
        place.tell("stop")


def test_a_held_hotkey_listens_while_another_window_has_the_focus(
    place: Place, audio_server: VirtualAudio, tmp_path: Path
) -> None:
    espeak("Hello!", tmp_path / "said.wav")
    screen = place.screen
    other = subprocess.Popen(["xev", "-name", "other"], env=screen.environment, stdout=subprocess.DEVNULL)
    try:
        number = screen.wait_for_window("^other$")
        with place.used(), Ear("spk.monitor", audio_server.environment) as heard:
            screen.xdotool("windowactivate", "--sync", number)
            eventually(audio_server.recording)
            screen.xdotool("keydown", "ctrl", "keydown", "alt", "keydown", "space")
            screen.wait_for_window("Aside is listening")
            assert screen.xdotool("getactivewindow") == number
            with audio_server.spoken_into_microphone(tmp_path / "said.wav"):
                time.sleep(2.5)  # longer than silence would have taken to end it
                assert not [t for t in place.turns() if t.role == "assistant"]
            let_go = time.monotonic()
            screen.xdotool("keyup", "space", "keyup", "alt", "keyup", "ctrl")
            assert answer(place).text.strip()
            assert heard.wait_for_sound(let_go, 30.0)
    finally:
        other.kill()
        other.wait()


def test_hands_free_listens_again_and_stops_when_told_twice(
    place: Place, audio_server: VirtualAudio, tmp_path: Path
) -> None:
    """Two questions and no key; Aside is loud at the microphone as well, and doesn't answer itself."""
    espeak("Hello!", tmp_path / "first.wav")  # a short answer
    espeak("What can you do?", tmp_path / "second.wav")  # nothing that a person must allow first

    def words() -> list[str]:
        return [turn.transcript for turn in place.turns() if turn.transcript]

    with place.used(), audio_server.loudspeaker():
        place.tell("handsfree")
        place.screen.wait_for_window("Aside is listening")
        with audio_server.spoken_into_microphone(tmp_path / "first.wav"):
            eventually(lambda: len(words()) == 1)
        answer(place)
        # it is spoken, and listens again
        eventually(lambda: len(place.told("phase", phase="listening")) > 1)
        time.sleep(1.0)  # in which it could answer what it heard of itself
        assert len(place.turns()) == 2
        with audio_server.spoken_into_microphone(tmp_path / "second.wav"):
            eventually(lambda: len(words()) == 2)
        place.tell("stop")
        place.tell("stop")
