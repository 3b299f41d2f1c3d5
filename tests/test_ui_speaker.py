"""The answer at the loudspeaker: silenced in the middle, and lost and found again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from place import Place, eventually
from PySide6.QtWidgets import QApplication
from real_window import desktop, load_nano, wait_until
from test_ui_window import idle
from virtual_audio import VirtualAudio, espeak, virtual_audio
from virtual_screen import VirtualScreen, virtual_screen

from assistant.bench.rig import Ear
from assistant.history.store import History
from models import package
from ui.app import Desktop
from ui.dev.robot import Robot
from ui.work.question import Question

QUESTION = "what can you do"  # its answer lasts several seconds
SILENT = 0.4  # s; the bench measures the bar, 0.1, on a quiet machine
QUEUED = 2.5  # s in which something that was queued would be heard


@pytest.fixture(scope="module")
def own_screen() -> Iterator[VirtualScreen]:
    with virtual_screen() as one:
        yield one


def test_esc_silences_the_answer_and_what_was_queued_is_dropped(
    own_screen: VirtualScreen, audio_server: VirtualAudio, tmp_path: Path
) -> None:
    espeak("What can you do?", tmp_path / "question.wav")
    place = Place(own_screen, audio_server, tmp_path, package.embedded())
    with (
        place.running(),
        Robot(own_screen.display) as robot,
        Ear("spk.monitor", audio_server.environment) as heard,
    ):
        robot.press("Control_L", "Alt_L", "space")
        own_screen.wait_for_window("Aside is listening")
        with audio_server.spoken_into_microphone(tmp_path / "question.wav"):
            eventually(lambda: place.told("phase", phase="speaking"))
        began = heard.wait_for_sound(0.0, 30.0)
        assert began is not None
        eventually(lambda: time.monotonic() - began > 0.7)  # in the middle of a sentence
        escaped = time.monotonic()
        robot.press("Escape")
        eventually(lambda: place.told("phase", phase="idle"))
        last = heard.wait_for_silence(QUEUED, 20.0)
        assert last is not None
        assert last - escaped < SILENT
        _, answer = eventually(lambda: len(one := place.turns()) == 2 and one[1].heard and one)
        assert answer.text.startswith(answer.heard)
        assert len(answer.heard) < len(answer.text) / 2, "too little was queued to tell"


def aloud(one: Desktop) -> None:
    """Ask, to be answered by voice."""
    one.conductor.ask(Question(QUESTION), aloud=True)


def test_a_speaker_that_is_lost_costs_no_text_and_is_heard_again(
    qt: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with virtual_audio() as audio:
        audio.use(monkeypatch)
        with desktop(qt, tmp_path) as one:
            load_nano(one)
            window = one.window
            with Ear("spk.monitor", audio.environment) as heard:
                aloud(one)
                wait_until(lambda: heard.first(0.0))
                audio.kill()  # of several speakers, PulseAudio itself takes another one
            wait_until(lambda: idle(one))
            assert window.banner.isVisible()
            assert "The speaker " in window.banner.text
            assert "stopped working" in window.banner.text
            (exchange,) = window.talk.exchanges
            answer = "".join(exchange.answer)
            wait_until(lambda: answer in window.transcript.toPlainText())
            audio.start()
            with Ear("spk.monitor", audio.environment) as heard:
                aloud(one)
                wait_until(lambda: heard.first(0.0))
                wait_until(lambda: idle(one))
    with History(tmp_path / "history") as history:
        turns = history.turns(history.conversations()[0].id)
    assert [turn.state for turn in turns] == ["complete"] * 4
    assert turns[1].text == answer
