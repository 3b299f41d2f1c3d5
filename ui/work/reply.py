"""One answer of the model, with the tools that it calls, as events of its turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from assistant.engine.protocol import Finished, GenerateOptions, Progress, Session, Token
from assistant.history.records import CallState, ToolCall
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
    *,
    keep: Callable[[int, ToolCall], None] = lambda *_: None,
) -> Answered:
    """Answer what was appended; ``tell`` gets what happens until then. Raises EngineError.

    ``keep`` gets the turn and a tool call before it is run, and again with what came of it, before the model
    is told.
    """
    started = time.monotonic()
    first: float | None = None
    wrote = again = False
    options = GenerateOptions(max_tokens=LONGEST)

    def ask(call: Call, intent: str, yes: Callable[[bool], None]) -> None:
        tell(Asks(turn, call.name, intent, kit.policy.patience or 0.0, yes, call.arguments))

    def called(call: Call, state: CallState, result: str) -> None:
        event = Called(turn, call.name, _arguments(call), state, result)
        keep(turn, event.call)
        tell(event)

    for event in answer(session, kit.toolbox, ask, kit.policy, options=options, cancel=cancel):
        if first is None and not isinstance(event, Progress):
            first = time.monotonic() - started
        match event:
            case Progress():
                tell(Working(turn, event))
            case Token(text=text) if text:
                tell(Wrote(turn, "\n" * (wrote and again) + text))
                wrote, again = True, False
            case CallProposed(call):
                again = True
                keep(turn, ToolCall(call.name, _arguments(call)))
            case CallDone(call, result):
                called(call, "failed" if result.failed else "done", result.text)
            case CallRefused(call, _, text):
                again = True
                called(call, "refused", text)
            case Finished(reason, statistics):
                return Answered(turn, reason, statistics, first, time.monotonic() - started)
    return Answered(turn, "cancelled", first=first, seconds=time.monotonic() - started)


def _arguments(call: Call) -> Mapping[str, Any]:
    """What can't be read, as it is."""
    return call.arguments if call.name else {"unreadable": call.written}
