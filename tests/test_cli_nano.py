"""The main job with the model that is shipped: what a newcomer sees first, as the commands give it."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from command import Aside

from assistant.media.sound import RATE, Sound, load, wav
from models import package

QUESTION = package.embedded().parents[2] / "assistant/cli/demo_files/question.wav"


def nano(aside: Aside) -> Aside:
    return Aside(aside.folder, package.embedded())


def test_the_demonstration_hears_sees_and_speaks(aside: Aside) -> None:
    result = nano(aside)("demo", "--json", "--out", "made")
    assert result.code == 0, result.err
    assert result.json["transcript"] == "what colour is the circle"
    assert result.json["answer"].strip() == "circle blue"
    assert soundfile.info(aside.path("made/answer.wav")).duration > 0.2


def test_a_typed_command_calls_its_tool(aside: Aside) -> None:
    result = nano(aside)("ask", "Set a timer for five minutes")
    assert result.code == 0, result.err
    assert result.out == "→ set_timer(minutes=5)\n"


def test_transcription(aside: Aside) -> None:
    result = nano(aside)("transcribe", QUESTION)
    assert result.out == "what colour is the circle\n"


@pytest.mark.parametrize("before", [5, 28])
def test_silence_around_what_is_said_hides_nothing(aside: Aside, before: int) -> None:
    """Nano writes nothing at all for some recordings that are mostly silence."""
    silence, said = np.zeros(RATE, np.float32), load(QUESTION).samples
    aside.path("said.wav").write_bytes(
        wav(Sound(np.concatenate([*[silence] * before, said, *[silence] * 4])))
    )
    assert nano(aside)("transcribe", "said.wav").out == "what colour is the circle\n"
