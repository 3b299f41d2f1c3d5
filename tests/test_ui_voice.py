"""The whole application as people start it: a hotkey, a spoken question, an answer that is heard."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from virtual_audio import VirtualAudio, espeak
from virtual_screen import VirtualScreen, virtual_screen

from assistant.history.records import Turn
from assistant.history.store import History
from assistant.media import sound
from assistant.media.sound import RATE
from assistant.settings import SettingsFile

ROOT = Path(__file__).parent.parent
QUESTION = "Set a timer for five minutes."


class Running:
    """`aside desktop` on its own screen, sound server and folders."""

    def __init__(self, screen: VirtualScreen, audio: VirtualAudio, folder: Path) -> None:
        (folder / "run").mkdir(mode=0o700)
        self.data = folder / "data"
        self.screen = screen
        self.environment = screen.environment | {
            "PULSE_SERVER": audio.environment["PULSE_SERVER"],
            "PULSE_COOKIE": audio.environment["PULSE_COOKIE"],
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "XDG_DATA_HOME": str(self.data),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "LANG": "en_US.UTF-8",
        }
        SettingsFile(folder / "config/aside/settings.json").change({"interface.welcomed": True})
        self.process = self.aside("desktop")

    def aside(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "assistant", *words],
            cwd=ROOT,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def tell(self, *words: str) -> None:
        with self.aside(*words) as process:
            out, _ = process.communicate(timeout=60)
            assert process.returncode == 0, out
            assert out == ""

    def turns(self) -> list[Turn]:
        if not (self.data / "aside/history").is_dir():
            return []
        with History(self.data / "aside/history") as history:
            return [turn for one in history.conversations() for turn in history.turns(one.id)]


def eventually(look: Callable[[], Any], seconds: float = 90.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return found


@contextmanager
def running(screen: VirtualScreen, audio: VirtualAudio, folder: Path) -> Iterator[Running]:
    one = Running(screen, audio, folder)
    try:
        screen.wait_for_window("^Aside$")
        yield one
        one.tell("quit")
        out, _ = one.process.communicate(timeout=30)
        assert one.process.returncode == 0
        # a loaded machine is late for the sound card, and ALSA says so on standard error
        assert not [line for line in out.splitlines() if not line.startswith("ALSA lib")]
    finally:
        one.process.kill()
        one.process.communicate()


@pytest.fixture(scope="module")
def screen() -> Iterator[VirtualScreen]:
    with virtual_screen() as one:
        yield one


def test_a_spoken_question_is_heard_answered_and_kept(
    screen: VirtualScreen, audio_server: VirtualAudio, tmp_path: Path
) -> None:
    espeak(QUESTION, tmp_path / "said.wav")
    (tmp_path / "config/aside").mkdir(parents=True)
    (tmp_path / "config/aside/settings.json").write_text('{"tools": {"without_asking": ["set_timer"]}}')
    with running(screen, audio_server, tmp_path) as one, audio_server.recorded_speaker() as heard:
        one.tell("desktop")  # a second one raises the first
        one.tell("listen")
        screen.wait_for_window("Aside is listening")
        time.sleep(0.5)  # the microphone opens; nothing outside tells when
        with audio_server.spoken_into_microphone(tmp_path / "said.wav"):
            asked = eventually(lambda: [t for t in one.turns() if t.role == "user" and t.transcript])[0]
        assert "timer" in asked.transcript
        assert asked.media[0].media_type == "audio/wav"
        answer = eventually(lambda: [t for t in one.turns() if t.role == "assistant" and t.state != "open"])[
            0
        ]
        assert answer.state == "complete"
        assert answer.calls[0].name == "set_timer"
        assert answer.calls[0].arguments == {"minutes": 5}
        assert answer.calls[0].result == "The timer rings in 5 minutes."
        one.tell("stop")
    del heard


def test_a_held_hotkey_listens_while_another_window_has_the_focus(
    screen: VirtualScreen, audio_server: VirtualAudio, tmp_path: Path
) -> None:
    espeak("Hello!", tmp_path / "said.wav")
    other = subprocess.Popen(["xev", "-name", "other"], env=screen.environment, stdout=subprocess.DEVNULL)
    try:
        screen.wait_for_window("^other$")
        with running(screen, audio_server, tmp_path) as one, audio_server.recorded_speaker() as heard:
            number = screen.wait_for_window("^other$")
            time.sleep(2.0)  # the model loads in the background, and the window has taken the focus once
            screen.xdotool("windowactivate", "--sync", screen.wait_for_window("^Aside$"))
            screen.xdotool("windowactivate", "--sync", number)
            screen.xdotool("keydown", "ctrl", "keydown", "alt", "keydown", "space")
            screen.wait_for_window("Aside is listening")
            assert screen.xdotool("getactivewindow") == number
            time.sleep(0.5)  # the microphone opens
            with audio_server.spoken_into_microphone(tmp_path / "said.wav"):
                time.sleep(2.5)  # longer than silence would have taken to end it
                assert not [t for t in one.turns() if t.role == "assistant"]
            screen.xdotool("keyup", "space", "keyup", "alt", "keyup", "ctrl")
            answer = eventually(
                lambda: [t for t in one.turns() if t.role == "assistant" and t.state != "open"]
            )[0]
            assert answer.text.strip()
            time.sleep(4.0)  # it is spoken
        loud = np.abs(sound.load(heard).samples) > 0.02
        assert loud.sum() / RATE > 0.1
    finally:
        other.kill()
        other.wait()


def test_hands_free_listens_again_and_stops_when_told_twice(
    screen: VirtualScreen, audio_server: VirtualAudio, tmp_path: Path
) -> None:
    """Two questions and no key; Aside is loud at the microphone as well, and doesn't answer itself."""
    espeak("Hello!", tmp_path / "first.wav")  # a short answer
    espeak("What can you do?", tmp_path / "second.wav")  # nothing that a person must allow first

    def words(one: Running) -> list[str]:
        return [turn.transcript for turn in one.turns() if turn.transcript]

    with running(screen, audio_server, tmp_path) as one, audio_server.loudspeaker():
        one.tell("handsfree")
        screen.wait_for_window("Aside is listening")
        with audio_server.spoken_into_microphone(tmp_path / "first.wav"):
            eventually(lambda: len(words(one)) == 1)
        eventually(lambda: one.turns()[-1].state != "open")
        time.sleep(4.0)  # it is spoken, and heard at the microphone
        assert len(one.turns()) == 2
        with audio_server.spoken_into_microphone(tmp_path / "second.wav"):
            eventually(lambda: len(words(one)) == 2)
        one.tell("stop")
        one.tell("stop")
