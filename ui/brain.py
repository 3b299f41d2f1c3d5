"""The thread that owns the engine: questions go in, events with the turn's number come out.

Everything that touches the session happens here, one job after another, so it needs no lock. A job can be
stopped from outside by its turn; what it had written stays in the conversation.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from assistant import tuned
from assistant.engine import prompt
from assistant.engine.process import EngineProcess
from assistant.engine.protocol import (
    Clip,
    Finished,
    GenerateOptions,
    Progress,
    Reason,
    Segment,
    Statistics,
    Token,
)
from assistant.history.replay import resume
from assistant.media.sound import Sound
from models import package
from models.errors import AsideError, EngineError
from models.prompts import TOOLS, TRANSCRIBE
from ui.gate import worded
from ui.question import Question

LONGEST: Final = 4096  # tokens of an answer
_JOIN: Final = 5.0  # s; closing the engine takes two


@dataclass(frozen=True)
class Loading:
    """The model is being checked and loaded."""

    name: str


@dataclass(frozen=True)
class Loaded:
    """The model is ready."""

    name: str
    seconds: float


@dataclass(frozen=True)
class LoadFailed:
    """There is no model to ask."""

    error: AsideError


@dataclass(frozen=True)
class Working:
    """Before the first word: ``done`` of ``total`` pictures, clips or tokens."""

    turn: int
    progress: Progress


@dataclass(frozen=True)
class Wrote:
    """Some more of the answer."""

    turn: int
    text: str


@dataclass(frozen=True)
class Called:
    """The model calls a tool. ``arguments`` are as it wrote them: nothing has been checked."""

    turn: int
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Answered:
    """The answer is complete, or was stopped; ``first`` is in seconds from the question to the first word."""

    turn: int
    reason: Reason
    statistics: Statistics = field(default_factory=Statistics)
    first: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Failed:
    """There is no answer, or only part of one."""

    turn: int
    error: AsideError


@dataclass(frozen=True)
class Understood:
    """What is said in a recording. ``final``: nothing more of it will come."""

    turn: int
    text: str
    final: bool


@dataclass(frozen=True)
class _Model:
    """A package that is loaded, and a user's own adapter of it."""

    path: Path
    name: str
    adapter: str | None


@dataclass(frozen=True)
class Forgot:
    """Of a conversation that was opened, the first ``exchanges`` don't fit into the model's context."""

    exchanges: int


Exchange = Callable[[], Sequence[Segment]]
"""A question with its answer, made when it is needed."""
BrainEvent = (
    Loading | Loaded | LoadFailed | Forgot | Working | Wrote | Called | Answered | Failed | Understood
)


class Brain:
    """Start it with a callback for events, which its thread calls. `close` ends thread and engine."""

    def __init__(self, tell: Callable[[BrainEvent], None]) -> None:
        self._tell = tell
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._session: EngineProcess | None = None
        self._answered = False  # the session ends with a reply that is still open
        self._marks: list[tuple[int, bool]] = []  # session and `_answered` before each exchange
        self._room = 0  # tokens left free for what is asked next
        self._cancels: dict[int, threading.Event] = {}
        self._closing = threading.Event()
        self._model: _Model | None = None
        self._thread = threading.Thread(target=self._run, name="brain")
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The engine's process, for tests and for `aside doctor`."""
        return None if self._session is None else self._session.pid

    def load(self, path: Path, name: str, adapter: str | None = None) -> None:
        """Check and load a package in place of the present one, with a user's own adapter of it.

        Tells `Loading`, then `Loaded`. If it can't be loaded: `LoadFailed`, and `Loaded` for the one before.
        """
        self._jobs.put(lambda: self._load(_Model(path, name, adapter)))

    def ask(self, turn: int, question: Question) -> None:
        """Answer; tells `Working`, `Wrote`, `Called` and at last `Answered` or `Failed`."""
        cancel = self._cancels[turn] = threading.Event()
        self._jobs.put(lambda: self._ask(turn, question, cancel))

    def understand(self, turn: int, sound: Sound, final: bool) -> None:
        """Write down what is said, without leaving a trace in the conversation; tells `Understood`.

        A draft is given up as soon as anything else is wanted.
        """
        self._jobs.put(lambda: self._understand(turn, sound, final))

    def begin(self, earlier: Sequence[Exchange] = ()) -> None:
        """Start a conversation anew, or go on with an earlier one; tells `Forgot` if it is too long."""
        self._jobs.put(lambda: self._begin(list(earlier)))

    def rewind(self, exchange: int) -> None:
        """Forget the conversation from this exchange on, counted from 0."""
        self._jobs.put(lambda: self._rewind(exchange))

    def stop(self, turn: int) -> None:
        """Stop writing the answer of this turn."""
        cancel = self._cancels.get(turn)
        if cancel is not None:
            cancel.set()

    def close(self) -> None:
        """Stop what is under way and end the process."""
        self._closing.set()
        for cancel in list(self._cancels.values()):
            cancel.set()
        self._jobs.put(None)
        self._thread.join(_JOIN)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._closing.is_set():
                continue
            try:
                job()
            except Exception as error:  # the thread must outlive whatever a job meets
                self._tell(LoadFailed(worded(error)))
        if self._session is not None:
            self._session.close()

    def _load(self, model: _Model) -> None:
        before = self._model
        self._tell(Loading(model.name))
        started = time.monotonic()
        try:
            info = package.check(model.path)
            room = min(LONGEST, info.context_length // 4)
            if self._session is not None:
                self._session.close()  # there may be no room for two
            self._session = self._model = None
            self._session = EngineProcess(model.path, replace(tuned.settings(info), adapter=model.adapter))
            self._room = room
            self._begin([])
            self._model = model
        except Exception as error:  # whatever it was, the window lives
            self._tell(LoadFailed(worded(error)))
            if self._model is not None:
                self._tell(Loaded(self._model.name, 0.0))
            elif before is not None:
                self._load(before)
        else:
            self._tell(Loaded(model.name, time.monotonic() - started))

    def _begin(self, earlier: Sequence[Exchange]) -> None:
        self._marks = [(0, False)] * len(earlier)
        session = self._session
        if session is None:
            return
        session.rewind(0)
        session.append(*prompt.system(TOOLS))
        self._answered = False
        resumed = resume(session, earlier, self._room)
        start = [session.mark() if not resumed.marks else resumed.marks[0]] * resumed.forgotten
        self._marks = [(mark, False) for mark in (*start, *resumed.marks)]
        if resumed.forgotten:
            self._tell(Forgot(resumed.forgotten))
        for _ in session.generate(GenerateOptions(max_tokens=0), _Either(self._closing, self._jobs)):
            pass  # the first question then has only itself to compute

    def _rewind(self, exchange: int) -> None:
        if exchange >= len(self._marks):
            return
        mark, answered = self._marks[exchange]
        del self._marks[exchange:]
        if self._session is not None:
            self._mend(self._session, mark)
            self._answered = answered

    def _ask(self, turn: int, question: Question, cancel: threading.Event) -> None:
        session = self._session
        self._marks.append((0 if session is None else session.mark(), self._answered))
        if session is None:
            self._tell(
                Failed(turn, EngineError("There is no model to ask.", "Choose one that can be loaded."))
            )
            return
        here, answered = session.mark(), self._answered
        try:
            if answered:
                session.append(*prompt.end())
            session.append(*prompt.user(*question.parts), *prompt.assistant())
            self._answered = True
            self._tell(self._reply(session, turn, cancel))
        except Exception as error:  # the turn failed, the conversation goes on
            self._tell(Failed(turn, worded(error)))
            self._mend(session, here)
            self._answered = answered
        finally:
            self._cancels.pop(turn, None)

    def _reply(self, session: EngineProcess, turn: int, cancel: threading.Event) -> Answered:
        started = time.monotonic()
        first: float | None = None
        call: list[str] | None = None
        for event in session.generate(GenerateOptions(max_tokens=LONGEST), cancel):
            match event:
                case Progress():
                    self._tell(Working(turn, event))
                case Token(_, text, control):
                    if first is None:
                        first = time.monotonic() - started
                    if control == prompt.TOOL_CALL:
                        call = []
                    elif control == prompt.TOOL_CALL_END:
                        self._called(turn, call)
                        call = None
                    elif call is not None:
                        call.append(text)
                    elif text:
                        self._tell(Wrote(turn, text))
                case Finished(reason, statistics):
                    self._called(turn, call)
                    return Answered(turn, reason, statistics, first, time.monotonic() - started)
        return Answered(turn, "cancelled", first=first, seconds=time.monotonic() - started)

    def _called(self, turn: int, parts: list[str] | None) -> None:
        """Tell the tools that a model's JSON calls; what can't be read is told as it is."""
        if parts is None:
            return
        text = "".join(parts).strip()
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        for call in found if isinstance(found, list) else [found]:
            if isinstance(call, dict) and isinstance(call.get("arguments"), dict):
                self._tell(Called(turn, str(call.get("name", "")), call["arguments"]))
            else:
                self._tell(Called(turn, "", {"unreadable": text}))

    def _understand(self, turn: int, sound: Sound, final: bool) -> None:
        session = self._session
        if session is None or (not final and not self._jobs.empty()):
            return
        clip = Clip(sound.samples, sound.rate)
        cancel = _Either(self._closing, None if final else self._jobs)
        here = session.mark()
        parts: list[str] = []
        try:
            if self._answered:
                session.append(*prompt.end())
            session.append(*prompt.user(clip, TRANSCRIBE), *prompt.assistant())
            most = 32 + round(12 * sound.seconds)  # tokens; no speaker is faster
            reply = session.generate(GenerateOptions(max_tokens=most), cancel)
            parts.extend(event.text for event in reply if isinstance(event, Token))
            session.rewind(here)
        except Exception as error:
            self._mend(session, here)
            if final:
                self._tell(Failed(turn, worded(error)))
            return
        if final or not cancel.is_set():
            self._tell(Understood(turn, "".join(parts).strip(), final))

    def _mend(self, session: EngineProcess, here: int) -> None:
        """Bring the session back to where it was before a job failed, in a new process if need be."""
        try:
            try:
                session.rewind(min(here, session.mark()))
            except EngineError:
                session.restart()
                session.rewind(min(here, session.mark()))
        except Exception as error:
            self._tell(LoadFailed(worded(error)))


class _Either(threading.Event):
    """Set when the first event is, or when there is something in the queue."""

    def __init__(self, event: threading.Event, jobs: queue.Queue[Any] | None) -> None:
        super().__init__()
        self._event = event
        self._jobs = jobs

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._event.is_set() or (self._jobs is not None and not self._jobs.empty())
