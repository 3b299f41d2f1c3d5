"""One turn with tools: the model writes, calls, gets results, and writes again.

    for event in answer(session, toolbox, confirm):
        match event:
            case Token(): ...          # of the answer; what is written inside a call is no token here
            case CallProposed() | CallRefused() | CallDone(): ...
            case Finished(): ...       # once, at the end

Only what the model wrote between its own special tokens is a call. Text from a picture, a document or a
tool's result can make a model write one, so a call with an effect needs a person's yes, to a sentence that is
made of the checked arguments and nothing else.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from assistant.engine import prompt
from assistant.engine.protocol import Finished, GenerateOptions, Progress, Reason, Session, Statistics, Token
from assistant.tools import calls
from assistant.tools.calls import Call
from assistant.tools.toolbox import Result, Toolbox, as_json
from models.errors import ContextError

_LOOK: Final = 0.05  # s between looks whether to stop, while a person is asked


class Confirm(Protocol):
    """Asks a person."""

    def __call__(self, call: Call, intent: str, answer: Callable[[bool], None], /) -> None:
        """Show ``intent`` and give the answer to ``answer``: now or later, from any thread.

        The first answer counts, and so does what runs out: silence is a no.
        """


Why = Literal["invalid", "no", "silence", "limit", "cut"]


@dataclass(frozen=True)
class CallProposed:
    """The model asks for this. With an ``intent``, a person has been or is asked, unless it runs without."""

    call: Call
    intent: str
    asks: bool


@dataclass(frozen=True)
class CallRefused:
    """It was not run.

    invalid   there is no such tool, or its arguments are wrong (`Call.problem`).
    no        the person said no, to this one or to one of the same tool in this turn.
    silence   the person did not answer in time, to this one or before.
    limit     the turn had its calls.
    cut       the reply was stopped or cut, so the call may be half of what was meant.
    """

    call: Call
    why: Why
    text: str


@dataclass(frozen=True)
class CallDone:
    """It was run."""

    call: Call
    result: Result


ToolEvent = CallProposed | CallRefused | CallDone
TurnEvent = Progress | Token | ToolEvent | Finished


@dataclass(frozen=True)
class Policy:
    """What may happen in one turn.

    most        calls at most, those refused included.
    unasked     names of tools with an effect that need no yes.
    patience    seconds that a person has for an answer; None is no end.
    retell      whether the model says what came of its calls. If not, the turn ends with them.
    """

    most: int = 6
    unasked: frozenset[str] = frozenset()
    patience: float | None = 60.0
    retell: bool = True


_SENTENCES: Final[dict[Why, str]] = {
    "no": "Not done: the person said no.",
    "silence": "Not done: nobody allowed it.",
    "limit": "Not done: there were too many calls.",
    "cut": "Not done: the answer was cut.",
}
_DEFAULT: Final = Policy()
_GREEDY: Final = GenerateOptions()


@dataclass
class _Turn:
    """What a turn stands on, and remembers."""

    toolbox: Toolbox
    confirm: Confirm
    policy: Policy
    cancel: threading.Event
    calls: int = 0
    refused: set[str] = field(default_factory=set)
    silent: bool = False
    spent: list[Statistics] = field(default_factory=list)

    def finished(self, reason: Reason) -> Finished:
        """The end of the turn, with the cost of all its replies."""
        seconds: Counter[str] = Counter()
        for one in self.spent:
            seconds.update(one.seconds)
        return Finished(
            reason,
            Statistics(
                prefilled=sum(one.prefilled for one in self.spent),
                reused=sum(one.reused for one in self.spent),
                recomputed=sum(one.recomputed for one in self.spent),
                crops=sum(one.crops for one in self.spent),
                generated=sum(one.generated for one in self.spent),
                seconds=dict(sorted(seconds.items())),
            ),
        )


def answer(
    session: Session,
    toolbox: Toolbox,
    confirm: Confirm,
    policy: Policy = _DEFAULT,
    *,
    options: GenerateOptions = _GREEDY,
    cancel: threading.Event | None = None,
) -> Generator[TurnEvent, None, None]:
    """Let the model answer what was appended, and run what it calls. Raises as `Session.generate` does.

    The statistics at the end are those of all replies together. If a result finds no room in the context, the
    turn ends for the reason ``context``; what ran has been told by then.
    """
    cancel = cancel or threading.Event()
    turn = _Turn(toolbox, confirm, policy, cancel)
    while True:
        found, finished = yield from _reply(session, options, cancel)
        turn.spent.append(finished.statistics)
        cut = finished.reason != "stop"
        over = turn.calls > policy.most  # the model was told, and goes on
        results = []
        for call in found:
            result = yield from _call(turn, call, cut)
            if not over:
                results.append(result)
            over = over or turn.calls > policy.most
        if cancel.is_set():
            finished = Finished("cancelled", finished.statistics)
        if cut or not results or not policy.retell or cancel.is_set():
            yield turn.finished(finished.reason)
            return
        responses = [segment for text in results for segment in prompt.tool_response(as_json(text))]
        try:
            session.append(*prompt.end(), *responses, *prompt.assistant())
        except ContextError:
            yield turn.finished("context")
            return


def _reply(
    session: Session, options: GenerateOptions, cancel: threading.Event
) -> Generator[Progress | Token, None, tuple[list[Call], Finished]]:
    """One reply: what is said in it is yielded, what it calls returned."""
    found: list[Call] = []
    call: list[str] | None = None
    finished: Finished | None = None
    for event in session.generate(options, cancel):
        match event:
            case Progress():
                yield event
            case Finished():
                finished = event
            case Token(control=prompt.TOOL_CALL):
                found += _unended(call)
                call = []
            case Token(control=prompt.TOOL_CALL_END):
                found += calls.read("".join(call)) if call is not None else []
                call = None
            case Token(text=text) if call is not None:
                call.append(text)
            case Token():
                yield event
    assert finished is not None, "a session ends each reply with it"
    return found + _unended(call), finished


def _unended(call: list[str] | None) -> list[Call]:
    return [] if call is None else [Call("", written="".join(call), problem="The call has no end.")]


def _call(turn: _Turn, call: Call, cut: bool) -> Generator[ToolEvent, None, str]:
    """Run one call, or refuse it; returns what the model is told."""
    turn.calls += 1
    call = turn.toolbox.checked(call)
    if cut or turn.cancel.is_set():
        return (yield from _refuse(call, "cut"))
    if turn.calls > turn.policy.most:
        return (yield from _refuse(call, "limit"))
    if call.problem:
        return (yield from _refuse(call, "invalid"))
    intent = turn.toolbox.intent(call)
    asks = bool(intent) and call.name not in turn.policy.unasked
    if asks and (call.name in turn.refused or turn.silent):
        return (yield from _refuse(call, "no" if call.name in turn.refused else "silence"))
    yield CallProposed(call, intent, asks)
    if asks:
        why = _ask(turn, call, intent)
        if why is not None:
            return (yield from _refuse(call, why))
    result = turn.toolbox.run(call)
    yield CallDone(call, result)
    return result.text


def _refuse(call: Call, why: Why) -> Generator[ToolEvent, None, str]:
    text = f"Not done: {call.problem}" if why == "invalid" else _SENTENCES[why]
    yield CallRefused(call, why, text)
    return text


def _ask(turn: _Turn, call: Call, intent: str) -> Why | None:
    """Ask the person; None is a yes."""
    answered = threading.Event()
    answers: list[bool] = []

    def take(yes: bool) -> None:
        answers.append(yes is True)
        answered.set()

    patience = turn.policy.patience
    until = math.inf if patience is None else time.monotonic() + patience
    turn.confirm(call, intent, take)
    while not answered.wait(_LOOK):
        if turn.cancel.is_set():
            return "cut"
        if time.monotonic() > until:
            turn.silent = True
            return "silence"
    if turn.cancel.is_set():
        return "cut"
    if not answers[0]:
        turn.refused.add(call.name)
        return "no"
    return None
