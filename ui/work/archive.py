"""The history, in a thread of its own: no click waits for a disk, and turns are kept in their order."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from PySide6.QtCore import QTimer

from assistant.history import replay
from assistant.history.export import Exported, Format, export, export_turns
from assistant.history.media import MediaFolder
from assistant.history.records import Conversation, Hit, Media, NewMedia, NewTurn, ToolCall, Turn
from assistant.history.schema import MEDIA
from assistant.history.store import History, erase
from assistant.history.streaming import StreamedTurn
from assistant.media.sound import Sound, wav
from assistant.settings import Privacy
from assistant.timing import Times
from models.errors import AsideError, HistoryError
from ui.gate import Gate, worded
from ui.work.brain import Answered, Failed, Wrote
from ui.work.question import Question

_DAY: Final = 24 * 3600 * 1000  # ms
_WAIT: Final = 6.0  # s; longer than the history is patient with another program

T = TypeVar("T")


@dataclass(frozen=True)
class Kept:
    """An exchange as the history has it; ``reply`` is None if Aside ended before there was any."""

    asked: Turn
    reply: Turn | None = None


@dataclass(frozen=True)
class Opened:
    """A conversation with all that was said in it."""

    conversation: Conversation
    exchanges: tuple[Kept, ...]


@dataclass(frozen=True)
class Unkept:
    """A conversation that is not in the history; making its ``turns`` takes time."""

    title: str
    turns: Callable[[], Sequence[NewTurn]]


@dataclass
class _Keeping:
    """A turn that is being kept: the rows of its conversation, its question and its answer."""

    conversation: int
    question: int
    reply: StreamedTurn
    heard: str | None = None
    called: str | None = None  # what a dictation is called, until something was said in it
    end: Callable[[], Any] | None = None  # what is to be written yet, when there is room for it


class Archive:
    """Belongs to the GUI thread; answers come back through the gate. `close` waits for what is to be kept."""

    def __init__(self, gate: Gate, folder: Path, complain: Callable[[AsideError], None]) -> None:
        self._gate = gate
        self._folder = folder
        self._complain = complain
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._history: History | None = None
        self._current: int | None = None  # the conversation; None: the next question begins one
        self._places: list[int | None] = []  # its questions' rows; None for one that was not kept
        self._keeping: dict[int, _Keeping] = {}
        self._closed = threading.Event()
        self._privacy = Privacy()
        self._daily = QTimer()
        self._daily.setInterval(_DAY)
        self._daily.timeout.connect(self._expire)
        self.media = MediaFolder(folder / MEDIA)
        """The files of the history; any thread may read them."""
        self.model = ""
        self.changed: Callable[[], Any] = lambda: None
        """Called when conversations went without anybody having asked for it."""
        self.problem: HistoryError | None = None
        """Why the history can only be read, or None."""
        self.damaged: Callable[[HistoryError], Any] = lambda _: None
        """Called when that is found out."""

    @property
    def keeps(self) -> bool:
        """Whether what is said next is kept."""
        return self._privacy.keep_history and self.problem is None

    def apply(self, privacy: Privacy) -> None:
        """What is kept from now on, and for how long."""
        self._privacy = privacy
        self._expire()
        self._daily.start()

    def close(self) -> None:
        """Write what is waiting; an answer that is being written is kept as far as it got."""
        self._daily.stop()
        self._closed.set()
        self._pool.submit(self._shut)
        self._pool.shutdown(wait=True)

    def begin(self) -> None:
        """The next question begins a new conversation."""
        self._do(lambda _: self._set_current(None, []))

    def open(self, number: int, done: Callable[[Opened], None]) -> None:
        """Go on with a conversation."""
        self._do(partial(self._open, number), done)

    def list(
        self, done: Callable[[Sequence[Conversation]], None], limit: int, before: int | None = None
    ) -> None:
        """Conversations, the last used first; see `History.conversations`."""
        self._do(lambda history: history.conversations(limit, before), done)

    def search(self, words: str, done: Callable[[Sequence[Hit]], None], limit: int, offset: int) -> None:
        """Where these words were said; see `History.search`."""
        self._do(lambda history: history.search(words, limit, offset), done)

    def rename(self, number: int, title: str, done: Callable[[Conversation], None]) -> None:
        """Give a conversation another title."""
        self._do(lambda history: history.rename(number, title), done)

    def delete(self, number: int, done: Callable[[None], None]) -> None:
        """Remove a conversation, really."""
        self._do(partial(self._delete, number), done)

    def export(
        self,
        what: int | Unkept | None,
        target: Path,
        form: Format,
        done: Callable[[Exported], Any],
        failed: Callable[[AsideError], Any],
    ) -> None:
        """Write a conversation, or all, with its media into a zip file, in place of one that is there."""
        if isinstance(what, Unkept):
            title, turns = what.title, what.turns
            write_it = partial(_in_place, target, lambda made: export_turns(title, turns(), made, [form]))
            self._gate.run(write_it, done, failed)
            return

        def write(history: History, made: Path) -> Exported:
            listed = history.conversations(-1) if what is None else [history.conversation(what)]
            return export(history, [one.id for one in listed], made, [form])

        def go(history: History) -> None:
            self._gate.run(partial(_in_place, target, partial(write, history)), done, failed)

        self._do(lambda history: history, go)

    def wipe(self, done: Callable[[None], None]) -> None:
        """Remove all conversations, really."""
        self._do(self._wipe, done)

    def asked(
        self, turn: int, question: Question, place: int, done: Callable[[Conversation | None], None]
    ) -> None:
        """Keep a question, and begin to keep its answer; tells None if it isn't kept.

        It takes the place of the conversation's exchange of that number, from 0, and of all later ones.
        """
        self._do(partial(self._ask, turn, question, place, self._privacy), done)

    def told(self, event: Wrote | Answered | Failed) -> None:
        """Keep what the model says."""
        self._do(partial(self._tell, event))

    def named(self, turn: int, done: Callable[[Conversation], None]) -> None:
        """Call a conversation that is a dictation by what was said in it; tells if it is one."""

        def told(kept: Conversation | None) -> None:
            if kept is not None:
                done(kept)

        self._do(partial(self._named, turn), told)

    def called(self, turn: int, call: ToolCall) -> None:
        """Keep a tool call before it is run, or what came of it. In any thread; it is kept on return."""
        if (kept := self._do(partial(self._call, turn, call))) is not None:
            with contextlib.suppress(TimeoutError):
                kept.result(_WAIT)

    def said(self, turn: int, sound: Sound, done: Callable[[Media], None]) -> None:
        """Keep a piece of a dictation with its text, if recordings are kept."""

        def told(kept: Media | None) -> None:
            if kept is not None:
                done(kept)

        if self._privacy.keep_media:
            self._do(partial(self._said, turn, sound), told)

    def then(self, done: Callable[[], Any]) -> None:
        """Call back when all that was told until now is kept."""
        self._do(lambda _: None, lambda _: done())

    def heard(self, turn: int, heard: str) -> None:
        """Keep how much of a spoken answer was heard before it was interrupted."""
        self._do(partial(self._heard, turn, heard))

    def timed(self, turn: int, times: Times) -> None:
        """Keep how long a person waited for an answer that is written, as far as it is known."""
        waits = {"first_token": times.waited("token"), "first_sound": times.waited("sound")}
        known = {name: wait for name, wait in waits.items() if wait is not None}
        if known:
            self._do(partial(self._timed, turn, known))

    def understood(self, turn: int, words: str, done: Callable[[Conversation], None]) -> None:
        """Keep what was understood of a spoken question."""

        def told(kept: Conversation | None) -> None:
            if kept is not None:
                done(kept)

        self._do(partial(self._understood, turn, words), told)

    def _do(
        self, work: Callable[[History], T], done: Callable[[T], Any] = lambda _: None
    ) -> Future[None] | None:
        def carry_out() -> None:
            try:
                if self._history is None:
                    self._history = History(self._folder)
                    if self._history.problem is not None:
                        self._gate.post(partial(self._cannot_keep, self._history.problem))
                result = work(self._history)
            except Exception as error:  # what can't be kept must not end what can be said
                problem = worded(error)
                self._gate.post(lambda: self._complain(problem))
            else:
                self._gate.post(lambda: done(result))

        return None if self._closed.is_set() else self._pool.submit(carry_out)

    def _cannot_keep(self, problem: HistoryError) -> None:
        self.problem = problem
        self.damaged(problem)

    def _begin_anew(self) -> None:
        self.problem = None

    def _set_current(self, number: int | None, places: Sequence[int | None]) -> None:
        self._current, self._places = number, [*places]

    def _ask(
        self, turn: int, question: Question, place: int, privacy: Privacy, history: History
    ) -> Conversation | None:
        replaced = next((row for row in self._places[place:] if row is not None), None)
        del self._places[place:]
        self._places += [None] * (place + 1 - len(self._places))
        self._end_all()
        if not privacy.keep_history or history.problem is not None:
            return None
        if self._current is None:
            self._current = history.create(mode=question.mode.name).id
        media = question.media if privacy.keep_media else ()
        asked = NewTurn("user", question.text, media=media, figures=replay.figures_of(question.mode))
        kept = history.append(self._current, asked, instead_of=replaced)
        self._places[place] = kept.id
        reply = history.stream(self._current, self.model)
        called = None if question.mode.name == "chat" else question.text
        self._keeping[turn] = _Keeping(self._current, kept.id, reply, called=called)
        return history.conversation(self._current)

    def _tell(self, event: Wrote | Answered | Failed, _history: History) -> None:
        kept = self._keeping.get(event.turn)
        if kept is None:
            return
        match event:
            case Wrote(_, text):
                self._write(kept.reply, lambda reply: reply.add(text))
            case Answered():
                state: Any = "stopped" if event.reason == "cancelled" else "complete"
                self._end(kept, state, figures=figures(event))
            case Failed(_, error):
                self._end(kept, "failed", problem=str(error))

    def _named(self, turn: int, history: History) -> Conversation | None:
        kept = self._keeping.get(turn)
        if kept is None or kept.called is None:
            return None
        return history.name_after(kept.conversation, history.turn(kept.reply.id).text, kept.called)

    def _said(self, turn: int, sound: Sound, history: History) -> Media | None:
        kept = self._keeping.get(turn)
        if kept is None:
            return None
        return history.attach(kept.reply.id, NewMedia(wav(sound), "audio/wav"))

    def _call(self, turn: int, call: ToolCall, _history: History) -> None:
        kept = self._keeping.get(turn)
        if kept is not None:
            self._write(kept.reply, lambda reply: reply.call(call))

    @staticmethod
    def _write(reply: StreamedTurn, write: Callable[[StreamedTurn], None]) -> None:
        before = reply.problem
        write(reply)
        if reply.problem is not None and before is None:
            raise reply.problem  # once; it is kept for the next try

    @staticmethod
    def _end(kept: _Keeping, state: Any, **how: Any) -> None:
        kept.end = partial(kept.reply.finish, state, heard=kept.heard, **how)
        kept.end()
        kept.end = None

    def _end_all(self) -> None:
        """Try once more to end answers for which there was no room."""
        for kept in self._keeping.values():
            if kept.end is not None:
                with contextlib.suppress(HistoryError):
                    kept.end()
                    kept.end = None

    def _heard(self, turn: int, heard: str, history: History) -> None:
        kept = self._keeping.get(turn)
        if kept is not None:
            kept.heard = heard
            history.set_heard(kept.reply.id, heard)

    def _timed(self, turn: int, waits: Mapping[str, float], history: History) -> None:
        kept = self._keeping.get(turn)
        if kept is not None and kept.end is None:
            history.add_figures(kept.reply.id, waits)

    def _understood(self, turn: int, words: str, history: History) -> Conversation | None:
        kept = self._keeping.get(turn)
        if kept is None:
            return None
        history.set_transcript(kept.question, words)
        return history.conversation(history.turn(kept.question).conversation)

    def _open(self, number: int, history: History) -> Opened:
        conversation = history.conversation(number)
        exchanges: list[Kept] = []
        for turn in history.turns(number):
            if turn.role == "user":
                exchanges.append(Kept(turn))
            elif exchanges and exchanges[-1].reply is None:
                exchanges[-1] = Kept(exchanges[-1].asked, turn)
        self._set_current(number, [one.asked.id for one in exchanges])
        return Opened(conversation, tuple(exchanges))

    def _delete(self, number: int, history: History) -> None:
        history.delete(number)
        self._keeping = {turn: one for turn, one in self._keeping.items() if one.conversation != number}
        if self._current == number:
            self._set_current(None, [])

    def _expire(self) -> None:
        days = self._privacy.keep_days

        def delete(history: History) -> int:
            gone = history.delete_older(days) if days and not history.problem else 0
            if gone and self._current is not None:
                try:
                    history.conversation(self._current)
                except HistoryError:
                    self._set_current(None, [])
            return gone

        def tell(gone: int) -> None:
            if gone:
                self.changed()

        if days:
            self._do(delete, tell)

    def _wipe(self, history: History) -> None:
        if history.problem is None:
            history.wipe()
        else:  # it can only be read, and salvaged
            history.close()
            self._history = None
            erase(self._folder)
            self._gate.post(self._begin_anew)
        self._keeping.clear()
        self._set_current(None, [])

    def _shut(self) -> None:
        self._end_all()
        for kept in self._keeping.values():
            with contextlib.suppress(HistoryError):  # as on a full disk; nobody is there to be told
                kept.reply.__exit__(None, None, None)  # stopped, unless it was finished
        if self._history is not None:
            self._history.close()


def _in_place(target: Path, write: Callable[[Path], Exported]) -> Exported:
    """Have a file written beside its place, then put it there."""
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder:
        made = Path(folder) / target.name
        exported = write(made)
        made.replace(target)
    return exported


def figures(event: Answered) -> Mapping[str, Any]:
    """What an answer cost, for the history and the window."""
    cost = event.statistics
    return {
        "first_token": event.first,
        "seconds": event.seconds,
        "generated": cost.generated,
        "decode": cost.seconds.get("decode", 0.0),
        "prefilled": cost.prefilled,
        "reused": cost.reused,
    }
