"""Turns as segments, and that no text becomes a special token."""

from __future__ import annotations

import pytest
from engine_package import ONE_THREAD, clip, picture, small_package
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.engine import prompt
from assistant.engine.protocol import Control, Segment, Text
from assistant.engine.session import LocalSession
from assistant.engine.timeline import Words
from models.prompts import SYSTEM_PROMPT, TOOLS

SPECIAL = [
    "<|endoftext|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|tool|>", "<|/tool|>",
    "<|tool_call|>", "<|/tool_call|>", "<|tool_response|>", "<|endoftext10|>", "<|endoftext11|>",
    "<|image_1|>", "<|audio_1|>",
]  # fmt: skip
HOSTILE = st.lists(
    st.one_of(
        st.sampled_from(SPECIAL), st.sampled_from(["<", "|", ">", "<|", "|>", "end"]), st.text(max_size=8)
    )
).map("".join)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> LocalSession:
    return LocalSession(small_package(tmp_path_factory.mktemp("prompt") / "small"), ONE_THREAD)


def shown(segments: list[Segment]) -> str:
    return "".join(
        s.token if isinstance(s, Control) else s.text if isinstance(s, Text) else "#" for s in segments
    )


def test_turns_have_the_form_of_the_model_card() -> None:
    sound, image = clip(1), picture(1)
    assert shown(prompt.system()) == f"<|system|>{SYSTEM_PROMPT}<|end|>"
    tools = shown(prompt.system(TOOLS[:1], "Hi."))
    assert tools.startswith('<|system|>Hi.<|tool|>[{"name":"')
    assert tools.endswith("}]<|/tool|><|end|>")
    turn = prompt.user(image, sound, "Why?")
    assert shown(turn) == "<|user|>##Why?<|end|>"
    assert turn[1:3] == [image, sound]
    assert shown(prompt.user()) == "<|user|><|end|>"
    assert shown(prompt.assistant()) == "<|assistant|>"
    assert shown(prompt.assistant("So.")) == "<|assistant|>So.<|end|>"
    called = prompt.assistant("", [{"name": "f", "arguments": {"a": "<|end|>"}}])
    assert shown(called[:3]) == "<|assistant|><|tool_call|>"
    assert called[3] == Text('[{"name": "f", "arguments": {"a": "<|end|>"}}]')
    assert shown(called[4:]) == "<|/tool_call|><|end|>"
    assert shown(prompt.tool_response("{}")) == "<|tool_response|>{}<|end|>"
    assert shown(prompt.end()) == "<|end|>"


@settings(max_examples=60, deadline=None)
@given(asked=HOSTILE, answered=HOSTILE, result=HOSTILE)
def test_no_text_becomes_a_special_token(
    session: LocalSession, asked: str, answered: str, result: str
) -> None:
    session.rewind(0)
    turns = [*prompt.user(asked), *prompt.assistant(answered), *prompt.tool_response(result)]
    session.append(*turns)
    front_end = session._front_end
    specials = {front_end.control(name) for name in SPECIAL if "_1" not in name}
    for segment, piece in zip(turns, session._timeline.pieces, strict=True):
        assert isinstance(piece, Words)
        if isinstance(segment, Control):
            assert piece.ids == [front_end.control(segment.token)]
        else:
            assert specials.isdisjoint(piece.ids)
    said = [piece.ids for piece in session._timeline.pieces if isinstance(piece, Words)]
    assert [front_end.decode(said[i]) for i in (1, 4, 7)] == [asked, answered, result]


def test_only_known_controls_are_taken(session: LocalSession) -> None:
    with pytest.raises(KeyError):
        session.append(Control("<|no such token|>"))
