"""The turn's state machine: the ways through it by table, its promises by random events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.turn import (
    HOLD,
    Answer,
    Ask,
    Began,
    Cancel,
    Command,
    EndRecording,
    Event,
    HandsFree,
    Heard,
    HeardNothing,
    Hush,
    Listen,
    Phase,
    Record,
    Release,
    Silent,
    SpokenTo,
    State,
    Stop,
    Written,
    step,
)


def play(*events: Event) -> tuple[State, list[Command]]:
    """The state and all commands after these events."""
    state, done = State(), []
    for event in events:
        state, commands = step(state, event)
        done += commands
    return state, done


SPOKEN: list[Event] = [Listen(), Heard(1, "why?"), Began(1)]

WAYS: dict[str, tuple[list[Event], Phase, list[Command]]] = {
    "hold to talk": (
        [Listen(), Release(HOLD), Heard(1, "q")],
        Phase.THINKING,
        [Record(1), EndRecording(1, True), Answer(1, "q", True)],
    ),
    "tap, and silence ends it": (
        [Listen(), Release(0.1), Heard(1, "q")],
        Phase.THINKING,
        [Record(1), Answer(1, "q", True)],
    ),
    "a second tap ends it": ([Listen(), Listen()], Phase.LISTENING, [Record(1), EndRecording(1, True)]),
    "a third tap changes nothing": (
        [Listen(), Listen(), Listen(), Release(1.0)],
        Phase.LISTENING,
        [Record(1), EndRecording(1, True)],
    ),
    "nothing heard": ([Listen(), HeardNothing(1)], Phase.IDLE, [Record(1)]),
    "listening is stopped": ([Listen(), Stop()], Phase.IDLE, [Record(1), EndRecording(1, False)]),
    "a typed question is silent": (
        [Ask("q"), Began(1), Written(1)],
        Phase.IDLE,
        [Answer(1, "q", False)],
    ),
    "written, but still to be heard": (
        [*SPOKEN, Written(1)],
        Phase.SPEAKING,
        [Record(1), Answer(1, "why?", True)],
    ),
    "heard to its end": ([*SPOKEN, Written(1), Silent(1)], Phase.IDLE, [Record(1), Answer(1, "why?", True)]),
    "the voice fails first": (
        [*SPOKEN, Silent(1)],
        Phase.SPEAKING,
        [Record(1), Answer(1, "why?", True)],
    ),
    "an answer without words": ([Ask("q"), Written(1)], Phase.IDLE, [Answer(1, "q", False)]),
    "spoken to while it speaks": (
        [*SPOKEN, Listen()],
        Phase.LISTENING,
        [Record(1), Answer(1, "why?", True), Hush(1), Cancel(1), Record(2)],
    ),
    "hands-free listens again after each answer": (
        [HandsFree(True), Heard(1, "q"), Began(1), Written(1), Silent(1)],
        Phase.LISTENING,
        [Record(1), Answer(1, "q", True), Record(2)],
    ),
    "hands-free ends with silence": (
        [HandsFree(True), Heard(1, "q"), Written(1), Silent(1), HeardNothing(2)],
        Phase.IDLE,
        [Record(1), Answer(1, "q", True), Record(2)],
    ),
    "hands-free, stopped once": (
        [HandsFree(True), Heard(1, "q"), Began(1), Stop()],
        Phase.LISTENING,
        [Record(1), Answer(1, "q", True), Hush(1), Cancel(1), Record(2)],
    ),
    "hands-free, stopped twice": (
        [HandsFree(True), Heard(1, "q"), Began(1), Stop(), Stop()],
        Phase.IDLE,
        [Record(1), Answer(1, "q", True), Hush(1), Cancel(1), Record(2), EndRecording(2, False)],
    ),
    "hands-free is switched off while it listens": (
        [HandsFree(True), HandsFree(False)],
        Phase.IDLE,
        [Record(1), EndRecording(1, False)],
    ),
    "hands-free is switched on and off while it answers": (
        [Ask("q"), HandsFree(True), HandsFree(False), Written(1)],
        Phase.IDLE,
        [Answer(1, "q", False)],
    ),
    "hands-free after a typed question": (
        [Ask("q"), HandsFree(True), Written(1)],
        Phase.LISTENING,
        [Answer(1, "q", False), Record(2)],
    ),
    "interrupted by voice": (
        [*SPOKEN, SpokenTo(1)],
        Phase.LISTENING,
        [Record(1), Answer(1, "why?", True), Hush(1), Cancel(1), Record(2)],
    ),
    "interrupted by voice, too late": (
        [*SPOKEN, Written(1), Silent(1), SpokenTo(1)],
        Phase.IDLE,
        [Record(1), Answer(1, "why?", True)],
    ),
    "spoken to while the key was pressed": (
        [*SPOKEN, Listen(), SpokenTo(1), SpokenTo(2)],
        Phase.LISTENING,
        [Record(1), Answer(1, "why?", True), Hush(1), Cancel(1), Record(2)],
    ),
    "stopped while only the voice goes on": (
        [*SPOKEN, Written(1), Stop()],
        Phase.IDLE,
        [Record(1), Answer(1, "why?", True), Hush(1)],
    ),
    "typed while it listens": (
        [Listen(), Ask("q")],
        Phase.THINKING,
        [Record(1), EndRecording(1, False), Answer(2, "q", False)],
    ),
    "late words of a stopped turn": (
        [Ask("q"), Stop(), Began(1), Written(1)],
        Phase.IDLE,
        [Answer(1, "q", False), Cancel(1)],
    ),
    "what an old turn heard": (
        [Listen(), Stop(), Listen(), Heard(1, "old")],
        Phase.LISTENING,
        [Record(1), EndRecording(1, False), Record(2)],
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_ways_through_a_turn(way: str) -> None:
    events, phase, commands = WAYS[way]
    state, done = play(*events)
    assert state.phase is phase
    assert done == commands


TURNS = st.integers(0, 12)
EVENTS = st.one_of(
    st.just(Listen()),
    st.just(Stop()),
    st.builds(HandsFree, st.booleans()),
    st.builds(Release, st.floats(0, 2)),
    st.builds(Ask, st.just("q"), st.booleans()),
    st.builds(Heard, TURNS, st.just("h")),
    st.builds(HeardNothing, TURNS),
    st.builds(Began, TURNS),
    st.builds(Written, TURNS),
    st.builds(Silent, TURNS),
    st.builds(SpokenTo, TURNS),
)


@given(st.lists(EVENTS, max_size=40))
def test_one_microphone_and_one_answer_at_a_time(events: list[Event]) -> None:
    """Whatever happens, what is open is what the state says, and Stop ends all of it."""
    state = State()
    recording = writing = speaking = 0  # the turn that has it; 0: none
    for event in [*events, Stop(), Stop()]:  # hands-free listens again after the first one
        before = state
        state, commands = step(state, event)
        assert state.turn >= before.turn
        if isinstance(event, HeardNothing | Heard) and event.turn == before.turn:
            recording = 0
        if isinstance(event, Written) and event.turn == before.turn:
            writing = 0
        if isinstance(event, Silent) and event.turn == before.turn:
            speaking = 0
        for command in commands:
            match command:
                case Record(turn):
                    assert not recording
                    assert not writing
                    assert not speaking
                    recording = turn
                case EndRecording(turn, keep):
                    assert turn == recording
                    recording = recording if keep else 0
                case Answer(turn, _, aloud):
                    assert not writing
                    assert not speaking
                    recording, writing, speaking = 0, turn, turn if aloud else 0
                case Cancel(turn):
                    assert turn == writing
                    writing = 0
                case Hush(turn):
                    assert turn == speaking
                    speaking = 0
        assert (state.phase is Phase.LISTENING) == bool(recording)
        assert (state.phase in (Phase.THINKING, Phase.SPEAKING)) == bool(writing or speaking)
        assert state.writing == bool(writing)
        assert state.voice == bool(speaking)
    assert state.phase is Phase.IDLE
