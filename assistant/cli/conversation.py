"""One conversation with the engine from the command line: opening it, a turn, and what came of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from assistant import tuned
from assistant.cli.console import Status, note
from assistant.engine import prompt
from assistant.engine.opening import open_engine
from assistant.engine.process import EngineProcess
from assistant.engine.protocol import (
    Clip,
    Finished,
    GenerateOptions,
    Progress,
    Reason,
    Segment,
    Session,
    Statistics,
    Token,
)
from assistant.settings import SettingsFile, default_path
from models import package
from models.prompts import TRANSCRIBE

_STAGES = {"start": "Starting", "vision": "Looking", "speech": "Listening", "prefill": "Reading"}
_WORDS = {"vision": "picture", "speech": "recording", "prefill": "token"}


@dataclass
class Answer:
    """A reply: its text, the tools it calls, and what it cost.

    ``first_token`` is None if there was none; like ``seconds``, it counts from the call on.
    """

    text: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    reason: Reason = "cancelled"
    statistics: Statistics = field(default_factory=Statistics)
    first_token: float | None = None
    seconds: float = 0.0

    def summary(self) -> dict[str, Any]:
        """For --json."""
        cost = self.statistics
        return {
            "answer": self.text,
            "tool_calls": self.calls,
            "reason": self.reason,
            "statistics": {
                "prefilled": cost.prefilled,
                "reused": cost.reused,
                "recomputed": cost.recomputed,
                "crops": cost.crops,
                "generated": cost.generated,
                "seconds": {stage: round(value, 4) for stage, value in cost.seconds.items()},
                "first_token": None if self.first_token is None else round(self.first_token, 4),
                "total": round(self.seconds, 4),
            },
        }


def open_model(path: Path, adapter: str | None = None) -> EngineProcess:
    """Start the engine on the device of the settings, with a user's own adapter of the package.

    Raises PackageError, EngineError.
    """
    Status.show("Starting the model …")
    device = SettingsFile(default_path()).load().settings.model.computed_by
    settings = replace(tuned.settings(package.check(path)), adapter=adapter, device=device)
    try:
        engine, problem = open_engine(path, settings)
    finally:
        Status.clear()
    if problem is not None:
        note(str(problem))
    return engine


def reply(
    session: Session,
    options: GenerateOptions,
    on_text: Callable[[str], None],
    cancel: threading.Event,
) -> Answer:
    """Let the model answer what was appended. A cancelled answer is an answer too, as far as it got."""
    answer = Answer()
    started = time.monotonic()
    call: list[str] | None = None
    for event in session.generate(options, cancel):
        match event:
            case Progress():
                show_progress(event)
            case Token(_, text, control):
                if answer.first_token is None:
                    answer.first_token = time.monotonic() - started
                    Status.clear()
                if control == prompt.TOOL_CALL:
                    call = []
                elif control == prompt.TOOL_CALL_END:
                    answer.calls += _calls(call)
                    call = None
                elif call is not None:
                    call.append(text)
                else:
                    answer.text += text
                    on_text(text)
            case Finished(reason, statistics):
                answer.reason, answer.statistics = reason, statistics
    answer.calls += _calls(call)
    answer.seconds = time.monotonic() - started
    Status.clear()
    return answer


def show_progress(event: Progress) -> None:
    """What the model does before its first word."""
    thing = _WORDS.get(event.stage, "step") + ("s" if event.total != 1 else "")
    Status.show(f"{_STAGES.get(event.stage, event.stage)} … {event.done:,} of {event.total:,} {thing}")


def transcript(session: Session, clip: Clip, cancel: threading.Event) -> Answer:
    """What is said in a clip, found out in a turn that the conversation then forgets."""
    here = session.mark()
    session.append(*prompt.user(clip, TRANSCRIBE), *prompt.assistant())
    heard = reply(session, transcribing(clip), lambda _: None, cancel)
    session.rewind(here)
    heard.text = heard.text.strip()
    return heard


def transcribing(clip: Clip) -> GenerateOptions:
    """Greedy decoding with a cap that no speaker reaches: twelve tokens a second."""
    return GenerateOptions(max_tokens=32 + round(12 * clip.samples.size / clip.rate))


def question(*parts: prompt.Part) -> list[Segment]:
    """A user's turn and the beginning of the reply."""
    return [*prompt.user(*parts), *prompt.assistant()]


def describe_call(call: dict[str, Any]) -> str:
    """A tool call for people: ``set_timer(minutes=5)``."""
    arguments = call.get("arguments")
    if not isinstance(arguments, dict):
        return str(call.get("name", call))
    listed = ", ".join(f"{name}={json.dumps(v, ensure_ascii=False)}" for name, v in arguments.items())
    return f"{call.get('name')}({listed})"


def _calls(parts: list[str] | None) -> list[dict[str, Any]]:
    """The calls in the JSON that a model wrote; what can't be read is given as it is."""
    if parts is None:
        return []
    text = "".join(parts).strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return [{"name": "", "unreadable": text}]
    found = value if isinstance(value, list) else [value]
    return [c if isinstance(c, dict) else {"name": "", "unreadable": text} for c in found]
