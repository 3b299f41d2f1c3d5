"""The main job with the model that is shipped: what a newcomer sees first, as the commands give it."""

from __future__ import annotations

import soundfile
from command import Aside

from models import package


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
    question = package.embedded().parents[2] / "assistant/cli/demo_files/question.wav"
    result = nano(aside)("transcribe", question)
    assert result.out == "what colour is the circle\n"
