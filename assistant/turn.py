"""A turn, from the first word to the last sound, as a pure state machine: event in, state and commands out.

    idle ──Listen──▶ listening ──Heard──▶ thinking ──Began──▶ speaking ──Written and Silent──▶ idle
      └─────────────────Ask──────────────────▲

`Listen`, `Ask`, `Play` and `Stop` interrupt whatever is going on. No thread, clock or device is in here: who
drives it carries the commands out and reports what came of them, with the turn's number. A report of an
earlier turn is stale and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

HOLD: Final = 0.35
"""Seconds: a key pressed for longer is held to talk, and its release ends the question."""


class Phase(Enum):
    """What a person sees of it."""

    IDLE = "idle"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"


@dataclass(frozen=True)
class State:
    """Where the turn stands.

    turn      its number; grows with each turn, and never shrinks.
    writing   whether the model still writes.
    voice     whether the answer is spoken and has not been heard to its end.
    closing   listening only: the recording was told to end, and what was heard is on its way.
    hands_free  whether it listens again instead of being idle, until it hears nothing or is stopped twice.
    """

    phase: Phase = Phase.IDLE
    turn: int = 0
    writing: bool = False
    voice: bool = False
    closing: bool = False
    hands_free: bool = False


@dataclass(frozen=True)
class Listen:
    """The key or the button: start to listen; a second time, that was all."""


@dataclass(frozen=True)
class Release:
    """The key was let go after ``held`` seconds."""

    held: float


@dataclass(frozen=True)
class Ask:
    """A question that needs no listening: typed, or asked again. ``aloud``: speak the answer."""

    question: Any
    aloud: bool = False


@dataclass(frozen=True)
class Play:
    """Something to hear that needs no model: an answer once more, a recording."""

    what: Any


@dataclass(frozen=True)
class Stop:
    """Be quiet and wait."""


@dataclass(frozen=True)
class HandsFree:
    """Listen again after each answer, or no longer."""

    on: bool


@dataclass(frozen=True)
class Heard:
    """The recording ended with something in it."""

    turn: int
    question: Any


@dataclass(frozen=True)
class HeardNothing:
    """The recording ended with silence, or could not be made."""

    turn: int


@dataclass(frozen=True)
class Began:
    """The first word of the answer is there."""

    turn: int


@dataclass(frozen=True)
class Written:
    """The answer is complete, or failed: nothing more will be written."""

    turn: int


@dataclass(frozen=True)
class Silent:
    """All that was written has been spoken, or can't be."""

    turn: int


@dataclass(frozen=True)
class SpokenTo:
    """The person began to speak while the answer is spoken."""

    turn: int


Report = Heard | HeardNothing | Began | Written | Silent | SpokenTo
Event = Listen | Release | Ask | Play | Stop | HandsFree | Report


@dataclass(frozen=True)
class Record:
    """Open the microphone. Answered by `Heard` or `HeardNothing`."""

    turn: int


@dataclass(frozen=True)
class EndRecording:
    """Close the microphone. ``keep``: what was said until now is the question; else it is dropped."""

    turn: int
    keep: bool


@dataclass(frozen=True)
class Answer:
    """Write an answer. Answered by `Began`, `Written` and, if it is spoken ``aloud``, `Silent`."""

    turn: int
    question: Any
    aloud: bool


@dataclass(frozen=True)
class Perform:
    """Let something be heard. Answered by `Silent`."""

    turn: int
    what: Any


@dataclass(frozen=True)
class Cancel:
    """Stop writing; what was written stays."""

    turn: int


@dataclass(frozen=True)
class Hush:
    """Be silent within 100 ms."""

    turn: int


Command = Record | EndRecording | Answer | Perform | Cancel | Hush
Step = tuple[State, list[Command]]


def step(state: State, event: Event) -> Step:
    """The next state, and what is to be done, in this order."""
    after, commands = _step(state, event)
    waiting = state.phase in (Phase.IDLE, Phase.LISTENING)
    match event:
        case HandsFree(on):
            hands_free = on
        case Stop():
            hands_free = state.hands_free and not waiting
        case HeardNothing(turn):
            hands_free = state.hands_free and turn != state.turn
        case _:
            hands_free = state.hands_free
    after = replace(after, hands_free=hands_free)
    if hands_free and after.phase is Phase.IDLE:
        after, again = _listen(after)
        commands = [*commands, *again]
        after = replace(after, hands_free=True)
    return after, commands


def _step(state: State, event: Event) -> Step:
    """The same without hands-free."""
    match event:
        case HandsFree(on):
            ends = state.hands_free and not on and state.phase is Phase.LISTENING
            return (State(Phase.IDLE, state.turn), _interrupt(state)) if ends else (state, [])
        case Listen():
            return _listen(state)
        case Ask(question, aloud):
            turn = state.turn + 1
            return _thinking(turn, aloud), [*_interrupt(state), Answer(turn, question, aloud)]
        case Play(what):
            turn = state.turn + 1
            return State(Phase.SPEAKING, turn, voice=True), [*_interrupt(state), Perform(turn, what)]
        case Stop():
            return State(Phase.IDLE, state.turn), _interrupt(state)
        case Release(held):
            if state.phase is Phase.LISTENING and held >= HOLD:
                return _end_recording(state)
            return state, []
    return _report(state, event) if event.turn == state.turn else (state, [])


def _listen(state: State) -> Step:
    if state.phase is Phase.LISTENING:
        return _end_recording(state)
    turn = state.turn + 1
    return State(Phase.LISTENING, turn), [*_interrupt(state), Record(turn)]


def _end_recording(state: State) -> Step:
    if state.closing:
        return state, []
    return replace(state, closing=True), [EndRecording(state.turn, keep=True)]


def _interrupt(state: State) -> list[Command]:
    """What stops the present turn; the sound first, because that is what people hear."""
    if state.phase is Phase.LISTENING:
        return [EndRecording(state.turn, keep=False)]
    stop: list[Command] = []
    if state.voice:
        stop.append(Hush(state.turn))
    if state.writing:
        stop.append(Cancel(state.turn))
    return stop


def _report(state: State, event: Report) -> Step:
    """A report about the present turn."""
    turn = state.turn
    match event, state.phase:
        case Heard(_, question), Phase.LISTENING:
            return _thinking(turn, aloud=True), [Answer(turn, question, aloud=True)]
        case HeardNothing(), Phase.LISTENING:
            return State(Phase.IDLE, turn), []
        case Began(), Phase.THINKING if state.writing:
            return replace(state, phase=Phase.SPEAKING), []
        case Written(), Phase.THINKING | Phase.SPEAKING:
            return _rest(replace(state, writing=False)), []
        case Silent(), Phase.THINKING | Phase.SPEAKING:
            return _rest(replace(state, voice=False)), []
        case SpokenTo(), Phase.SPEAKING if state.voice:
            return _listen(state)
    return state, []


def _thinking(turn: int, aloud: bool) -> State:
    return State(Phase.THINKING, turn, writing=True, voice=aloud)


def _rest(state: State) -> State:
    """Idle, when neither pen nor voice is busy any more."""
    return state if state.writing or state.voice else State(Phase.IDLE, state.turn)
