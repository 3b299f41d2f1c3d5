"""The thread that owns the engine: questions go in, events with the turn's number come out.

Everything that touches the session happens here, one job after another, so it needs no lock. A job can be
stopped from outside by its turn; what it had written stays in the conversation.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from assistant import detail, tuned
from assistant.engine import prompt
from assistant.engine.devices import CPU
from assistant.engine.opening import open_engine
from assistant.engine.process import EngineProcess, Patience
from assistant.engine.protocol import (
    Clip,
    Finished,
    GenerateOptions,
    Progress,
    Segment,
    Statistics,
)
from assistant.engine.windows import WINDOW_SAMPLES
from assistant.eyes import Eyes
from assistant.history.records import ToolCall
from assistant.history.replay import resume
from assistant.media.sound import Sound
from assistant.modes import Mode
from assistant.tools.kit import NO_TOOLS, Kit
from models import package
from models.errors import ContextError, EngineError, MediaError
from ui.gate import worded
from ui.work.ahead import Ahead
from ui.work.events import (
    Answered,
    Asks,
    BrainEvent,
    Called,
    Costs,
    Enough,
    Failed,
    Forgot,
    Limited,
    Loaded,
    LoadFailed,
    Loading,
    Prepared,
    Sized,
    Translated,
    Understood,
    Working,
    Wrote,
)
from ui.work.jobs import Jobs, Waiting
from ui.work.question import Question
from ui.work.reply import LONGEST, reply
from ui.work.writer import Writer

__all__ = [
    "Answered",
    "Asks",
    "Brain",
    "BrainEvent",
    "Called",
    "Costs",
    "Enough",
    "Failed",
    "Forgot",
    "Limited",
    "LoadFailed",
    "Loaded",
    "Loading",
    "Prepared",
    "Sized",
    "Translated",
    "Understood",
    "Working",
    "Wrote",
]

_PLAIN: Final = len(prompt.assistant()) + 1  # pieces of an answer that called no tool
_JOIN: Final = 5.0  # s; closing the engine takes two
_PATIENCE: Final = Patience(silence=3.5, cancel=3.5)  # s; with a new process, five at most

Exchange = Callable[[], Sequence[Segment]]
"""A question with its answer, made when it is needed."""


@dataclass(frozen=True)
class _Model:
    """A package that is loaded, a user's own adapter of it, and what computes."""

    path: Path
    name: str
    adapter: str | None
    device: str


@dataclass(frozen=True)
class _Wanted:
    """What is known of the next question: its first parts, the turn that it is spoken in, full windows."""

    parts: tuple[prompt.Part, ...] = ()
    turn: int = 0
    clips: tuple[Clip, ...] = ()


class Brain:
    """Start it with a callback for events, which its thread calls. `close` ends thread and engine."""

    def __init__(self, tell: Callable[[BrainEvent], None], patience: Patience = _PATIENCE) -> None:
        self._tell = tell
        self._patience = patience
        self._jobs = Jobs()
        self._session: EngineProcess | None = None
        self._kit, self._path = NO_TOOLS, Path()
        self._retells = True
        self._model: _Model | None = None
        self._answered = False  # the session ends with a reply that is still open
        self._ahead: Ahead | None = None  # or with a question that has only begun
        self._wanted = _Wanted()  # what it should hold
        self._windows = True  # the model can hear a recording window by window
        self._late = False  # not all of this is ready
        self._follows: tuple[int, threading.Event] | None = None  # the question that waits for it
        self._marks: list[tuple[int, bool]] = []  # session and `_answered` before each exchange
        self._detail = "auto"
        self._eyes: Eyes | None = None
        self._writer = Writer(lambda: self._session, self._jobs, tell, self._give_up_ahead, self._mend)
        self._replied = (0, 0)  # the turn that was answered last, and the place of its answer
        self._room = 0  # tokens left free for what is asked next
        self._lock = threading.Lock()
        self._cancels: dict[int, threading.Event] = {}
        self.keep: Callable[[int, ToolCall], None] = lambda *_: None
        """Called by the brain's thread with a turn and its tool call, before it runs and after; keeps it."""
        self._thread = threading.Thread(target=self._run, name="brain")
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The engine's process, for tests and for `aside doctor`."""
        return None if self._session is None else self._session.pid

    def load(self, path: Path, name: str, adapter: str | None = None, device: str = CPU) -> None:
        """Check and load a package in place of the present one, with a user's own adapter of it.

        Tells `Loading`, then `Loaded`. If it can't be loaded: `LoadFailed`, and `Loaded` for the one before.
        """
        self._jobs.put(lambda: self._load(_Model(path, name, adapter, device)))

    def use(self, kit: Kit) -> None:
        """Have these tools from now on; the model is told of them when a conversation begins."""
        self._jobs.put(lambda: self._use(kit))

    def ask(self, turn: int, question: Question) -> None:
        """Answer; tells `Working`, `Wrote`, `Asks`, `Called` and at last `Answered` or `Failed`.

        A question about what is being prepared lets that come to its end; any other one interrupts it.
        """
        cancel = self._cancels[turn] = threading.Event()
        with self._lock:
            parts, spoken = list(self._wanted.parts), self._wanted.turn == turn
            ready = bool(parts or spoken) and question.parts[: len(parts)] == parts
            self._wanted = _Wanted()
            self._follows = (turn, cancel) if ready else None
        self._jobs.put(lambda: self._ask(turn, question, cancel), patient=ready)

    def prepare(self, parts: Sequence[prompt.Part]) -> None:
        """Encode and prefill the pictures and texts that the next question will begin with; none: no longer.

        Tells `Sized`, and `Prepared` when it is done; whatever else is to be done goes before.
        """
        with self._lock:
            wanted = self._wanted = replace(self._wanted, parts=tuple(parts))
            self._jobs.put(lambda: self._prepare(wanted))

    def look(self, closely: str) -> None:
        """How closely pictures are looked at from now on: auto, quick or fine."""
        self._jobs.put(lambda: self._look(closely))

    def listen(self, turn: int) -> None:
        """The person begins to speak: prefill everything that comes before their words."""
        with self._lock:
            wanted = self._wanted = replace(self._wanted, turn=turn, clips=())
            self._jobs.put(lambda: self._prepare(wanted), patient=True)

    def hear(self, turn: int, window: Clip) -> None:
        """Encode and prefill a window of a question that is still being spoken.

        Tells `Enough` if the model has no room for more.
        """
        with self._lock:
            if self._wanted.turn != turn or not self._windows:
                return
            wanted = self._wanted = replace(self._wanted, clips=(*self._wanted.clips, window))
            self._jobs.put(lambda: self._prepare(wanted), patient=True)

    def drop(self, turn: int) -> None:
        """What was spoken is no question."""
        with self._lock:
            if self._wanted.turn != turn:
                return
            wanted = self._wanted = replace(self._wanted, turn=0, clips=())
            self._jobs.put(lambda: self._prepare(wanted), patient=True)

    def understand(self, turn: int, sound: Sound, final: bool, later: bool = False) -> None:
        """Write down what is said, without leaving a trace in the conversation; tells `Understood`.

        A draft is given up as soon as anything else is wanted. ``later``: its beginning is left out.
        """
        self._writer.understand(turn, sound, final, later)

    def caption(self, turn: int, sound: Sound, mode: Mode) -> None:
        """Write down one piece of a dictation; tells `Wrote` and, of a translation, `Translated`."""
        self._writer.caption(turn, sound, mode)

    @property
    def behind(self) -> float:
        """Seconds of dictations that wait to be written down."""
        return self._writer.behind

    def end_captions(self, turn: int) -> None:
        """That was the last piece; tells `Answered`."""
        self._jobs.put(lambda: self._tell(Answered(turn, "stop")))

    def begin_captions(self, turn: int, mode: Mode) -> None:
        """A dictation begins; tells `Limited` if the model can't do what this mode wants."""
        self._jobs.put(lambda: self._begin_captions(turn, mode))

    def heard(self, turn: int, text: str) -> None:
        """The answer of this turn was interrupted: of what it said, this is what counts."""
        self._jobs.put(lambda: self._heard(turn, text))

    def begin(self, earlier: Sequence[Exchange] = ()) -> None:
        """Start a conversation anew, or go on with an earlier one; tells `Forgot` if it is too long."""
        self._jobs.put(lambda: self._begin(list(earlier)))

    def rewind(self, exchange: int) -> None:
        """Forget the conversation from this exchange on, counted from 0."""
        self._jobs.put(lambda: self._rewind(exchange))

    def stop(self, turn: int) -> None:
        """Stop writing the answer of this turn; what the model wants to do in it is not done."""
        cancel = self._cancels.get(turn)
        if cancel is not None:
            cancel.set()

    def close(self) -> None:
        """Stop what is under way and end the process."""
        self._jobs.end()
        for cancel in list(self._cancels.values()):
            cancel.set()
        self._thread.join(_JOIN)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
                if self._late and not self._jobs.any.is_set():
                    self._prepare(self._wanted)
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
            settings = replace(tuned.settings(info), adapter=model.adapter, device=model.device)
            self._session, problem = open_engine(model.path, settings, self._patience)
            self._eyes, self._windows = Eyes(info, self._detail), True
            self._writer.limits, self._writer.clip_seconds = info.limits, info.clip_seconds
            self._room = room
            self._retells = info.retells
            self._path = model.path
            self._begin([])
            self._model = model
        except Exception as error:  # whatever it was, the window lives
            self._tell(LoadFailed(worded(error)))
            if self._model is not None:
                self._tell(Loaded(self._model.name, 0.0, self._model.device))
            elif before is not None:
                self._load(before)
        else:
            device = CPU if problem is not None else model.device
            self._tell(Loaded(model.name, time.monotonic() - started, device, problem))

    def _look(self, closely: str) -> None:
        if closely != self._detail:
            self._detail, self._late = closely, True
            if self._eyes is not None:
                self._eyes.choose(closely)

    def _resized(self, exchange: Exchange) -> Exchange:
        eyes = self._eyes
        return exchange if eyes is None else lambda: eyes.sized(exchange())[0]

    def _use(self, kit: Kit) -> None:
        self._kit = kit

    def _begin(self, earlier: Sequence[Exchange]) -> None:
        self._marks, self._ahead = [(0, False)] * len(earlier), None
        session = self._session
        if session is None:
            return
        session.rewind(0)
        session.append(*prompt.system(self._kit.offered(self._path)))
        self._answered = False
        resumed = resume(session, [self._resized(one) for one in earlier], self._room)
        start = [session.mark() if not resumed.marks else resumed.marks[0]] * resumed.forgotten
        self._marks = [(mark, False) for mark in (*start, *resumed.marks)]
        if resumed.forgotten:
            self._tell(Forgot(resumed.forgotten))
        self._catch_up(session)
        self._prepare(self._wanted)

    def _rewind(self, exchange: int) -> None:
        if exchange >= len(self._marks):
            return
        mark, answered = self._marks[exchange]
        del self._marks[exchange:]
        self._ahead, self._late = None, True
        if self._session is not None:
            self._mend(self._session, mark)
            self._answered = answered

    def _prepare(self, wanted: _Wanted) -> None:
        """Have the session end with a question's beginning. What goes wrong, the question will tell."""
        session, turn = self._session, wanted.turn
        self._late = False
        if session is None:
            return
        if not wanted.parts and not turn:
            self._give_up_ahead(session)
            return
        try:
            if self._ahead is None:
                self._ahead = Ahead.begin(session, self._answered)
                self._answered = False
            seen, looks = (wanted.parts, []) if self._eyes is None else self._eyes.sized(wanted.parts)
            if looks:
                self._tell(Sized(tuple(looks)))
            self._ahead.hold(session, [*seen, *wanted.clips])
            self._compute(session, bool(turn), len(looks), seen)
        except ContextError:
            heard = 0 if self._ahead is None else self._ahead.clips
            if turn and heard:
                keep = max(1, heard - 1)  # the answer needs room as well
                self._tell(Enough(turn, keep * WINDOW_SAMPLES))
        except Exception as error:  # as the process died
            if isinstance(error, MediaError) and wanted.clips:
                self._windows = False
            self._give_up_ahead(session)

    def _compute(
        self, session: EngineProcess, before_sound: bool, pictures: int, parts: Sequence[prompt.Part]
    ) -> None:
        """Encode and prefill what there is, as long as nothing else is to be done."""

        def given_up() -> bool:
            follows = self._follows
            return self._jobs.urgent.is_set() or (follows is not None and follows[1].is_set())

        told = 0  # the turn whose cost was said
        options = GenerateOptions(max_tokens=0, before_sound=before_sound)
        for event in session.generate(options, Waiting(threading.Event(), given_up)):
            follows = self._follows
            if isinstance(event, Progress) and follows is not None:
                if told != follows[0]:
                    told = follows[0]
                    self._tell_cost(told, parts)
                self._tell(Working(follows[0], event))
            if isinstance(event, Finished):
                self._learn(event.statistics)
                self._late = event.reason == "cancelled"
                if pictures and not self._late:
                    self._tell(Prepared(pictures))

    def _give_up_ahead(self, session: EngineProcess) -> None:
        ahead = self._ahead
        if ahead is not None:
            self._ahead, self._answered = None, ahead.answered
            self._mend(session, ahead.mark)

    def _ask(self, turn: int, question: Question, cancel: threading.Event) -> None:
        session, ahead = self._session, self._ahead
        if session is None:
            self._marks.append((0, False))
            self._tell(
                Failed(turn, EngineError("There is no model to ask.", "Choose one that can be loaded."))
            )
            return
        here, answered = (session.mark(), self._answered) if ahead is None else (ahead.mark, ahead.answered)
        self._marks.append((here, answered))
        parts = question.parts if self._eyes is None else self._eyes.sized(question.parts)[0]
        try:
            if question.mode.name != "chat" and question.sounds:
                self._tell(self._writer.written(turn, question, cancel))
                return
            if ahead is not None:
                rest = ahead.rest(session, parts)
                self._tell_cost(turn, rest)
                session.append(*prompt.end_user(*rest), *prompt.assistant())
            else:
                self._tell_cost(turn, parts)
                before = prompt.end() if answered else []
                session.append(*before, *prompt.user(*parts), *prompt.assistant())
            self._ahead = None
            self._answered = True
            self._replied = (turn, session.mark() - len(prompt.assistant()))
            kit = replace(self._kit, policy=replace(self._kit.policy, retell=self._retells))
            said = reply(session, kit, turn, cancel, self._tell, keep=self.keep)
            self._learn(said.statistics)
            self._tell(said)
        except Exception as error:  # the turn failed, the conversation goes on
            self._tell(Failed(turn, worded(error)))
            self._mend(session, here)
            self._ahead, self._answered = None, answered
        finally:
            self._cancels.pop(turn, None)
            self._follows = None if self._follows and self._follows[0] == turn else self._follows

    def _learn(self, statistics: Statistics) -> None:
        if self._eyes is not None:
            self._eyes.learn(statistics)

    def _tell_cost(self, turn: int, parts: Sequence[prompt.Part]) -> None:
        """What takes long is said before it starts."""
        seconds = 0.0 if self._eyes is None else self._eyes.seconds(parts)
        if seconds > detail.LONG:
            self._tell(Costs(turn, seconds))

    def _heard(self, turn: int, text: str) -> None:
        """Have the conversation hold what was heard, unless tools were called or it went on since."""
        session, (last, mark) = self._session, self._replied
        if session is None or last != turn or not self._answered or session.mark() > mark + _PLAIN:
            return
        try:
            session.rewind(mark)
            session.append(*prompt.assistant(text or "…"))
        except EngineError:
            self._mend(session, mark)
        self._answered = False

    def _begin_captions(self, turn: int, mode: Mode) -> None:
        session, ahead = self._session, self._ahead
        if ahead is not None:
            self._marks.append((ahead.mark, ahead.answered))
        else:
            self._marks.append((0 if session is None else session.mark(), self._answered))
        self._writer.limit(turn, mode)

    def _catch_up(self, session: EngineProcess) -> None:
        """Prefill what there is, so that the next question has only itself to compute."""
        for _ in session.generate(GenerateOptions(max_tokens=0), self._jobs.urgent):
            pass

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
