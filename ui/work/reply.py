"""One answer of the model, with the tools that it calls, as events of its turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from assistant.engine.protocol import Finished, GenerateOptions, Progress, Session, Token
from assistant.history.records import CallState
from assistant.tools.calls import Call
from assistant.tools.kit import Kit
from assistant.tools.loop import CallDone, CallProposed, CallRefused, answer
from ui.work.events import Answered, Asks, BrainEvent, Called, Working, Wrote

LONGEST: Final = 4096  # tokens


def reply(
    session: Session,
    kit: Kit,
    turn: int,
    cancel: threading.Event,
    tell: Callable[[BrainEvent], None],
) -> Answered:
    """Answer what was appended; ``tell`` gets what happens until then. Raises EngineError."""
    started = time.monotonic()
    first: float | None = None
    wrote = called = False
    options = GenerateOptions(max_tokens=LONGEST)

    def ask(call: Call, intent: str, yes: Callable[[bool], None]) -> None:
        tell(Asks(turn, call.name, intent, kit.policy.patience or 0.0, yes, call.arguments))

    for event in answer(session, kit.toolbox, ask, kit.policy, options=options, cancel=cancel):
        if first is None and not isinstance(event, Progress):
            first = time.monotonic() - started
        match event:
            case Progress():
                tell(Working(turn, event))
            case Token(text=text) if text:
                tell(Wrote(turn, "\n" * (wrote and called) + text))
                wrote, called = True, False
            case CallProposed():
                called = True
            case CallDone(call, result):
                tell(_called(turn, call, "failed" if result.failed else "done", result.text))
            case CallRefused(call, _, text):
                called = True
                tell(_called(turn, call, "refused", text))
            case Finished(reason, statistics):
                return Answered(turn, reason, statistics, first, time.monotonic() - started)
    return Answered(turn, "cancelled", first=first, seconds=time.monotonic() - started)


def _called(turn: int, call: Call, state: CallState, result: str) -> Called:
    """What can't be read is told as it is."""
    arguments = call.arguments if call.name else {"unreadable": call.written}
    return Called(turn, call.name, arguments, state, result)
