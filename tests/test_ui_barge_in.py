"""A person speaks over an answer that is spoken, in a real window: silence, the question, what was heard.

With headphones: `test_voice_over_answer.py` has a loudspeaker, in a room without a clock.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication
from real_window import LIGHT, desktop, load_nano, wait_until
from virtual_audio import VirtualAudio, espeak

from assistant.engine.protocol import Text
from assistant.history.store import History
from assistant.media import sound
from assistant.media.sound import RATE, Sound
from assistant.turn import Phase
from ui.work.question import Question

WELCOMED = replace(
    LIGHT,
    interface=replace(LIGHT.interface, welcomed=True),
    privacy=replace(LIGHT.privacy, preroll=True),
)
ASKED = "Tell me a story."  # the answer, that it can't, takes twelve seconds
OVER = "What can you do?"
BEGINS = 5  # s after the question was asked
SILENT = 0.3  # s after it was noticed; the sound server holds a tenth


def test_speaking_over_an_answer_silences_it_and_is_the_next_question(
    qt: QApplication, tmp_path: Path, audio_server: VirtualAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PULSE_SERVER", "PULSE_COOKIE"):
        monkeypatch.setenv(name, audio_server.environment[name])
    said = sound.resample(espeak(OVER, tmp_path / "over.wav"), 22050, RATE)
    # silence before it, so that no process starts while the answer is spoken
    (tmp_path / "over.wav").write_bytes(sound.wav(Sound(np.pad(said, (BEGINS * RATE, 0)))))
    interrupted: list[tuple[int, str]] = []
    understood: list[str] = []
    drafts: list[int] = []
    with desktop(qt, tmp_path / "data", WELCOMED) as one:
        load_nano(one)
        one.conductor.interrupted.connect(lambda turn, heard: interrupted.append((turn, heard)))
        one.conductor.asked.connect(lambda *_: drafts.append(len(understood)))
        one.conductor.understood.connect(lambda _, words: understood.append(words))

        def phase() -> Phase:
            return one.conductor.state.phase

        with audio_server.recorded_speaker() as recorded:
            with audio_server.spoken_into_microphone(tmp_path / "over.wav"):
                one.conductor.ask(Question(ASKED), aloud=True)
                wait_until(lambda: phase() is Phase.SPEAKING)
                wait_until(lambda: interrupted, 20)
                noticed = time.monotonic()
                assert phase() is Phase.LISTENING
            wait_until(lambda: time.monotonic() > noticed + 1.0)
            stopped = time.monotonic()
            assert phase() is Phase.LISTENING, "else the next answer is recorded as well"

        wait_until(lambda: phase() is Phase.SPEAKING)
        wait_until(lambda: len(drafts) == 2 and len(understood) > drafts[1])  # what is kept, after the drafts
        one.conductor.stop()
        session = one.conductor.brain._session
        assert session is not None
        told = [segment.text for segment in session._log if isinstance(segment, Text)]
    with History(tmp_path / "data/history") as history:
        _, answer, question = history.turns(1)[:3]
    played = np.abs(sound.load(recorded).samples) > 0.01
    after = round((stopped - noticed - SILENT) * RATE)
    assert played[:-after].sum() > 0.3 * RATE
    assert not played[-after:].any(), "the speaker went on"
    assert (question.role, question.transcript) == ("user", understood[-1])
    assert understood[-1].split()[0] == "what"
    assert answer.heard
    assert answer.text.startswith(answer.heard)
    assert len(answer.heard) < len(answer.text)
    assert interrupted[0] == (1, answer.heard)
    assert answer.heard in told, "the model's conversation has the whole answer"
    assert answer.text not in told
