"""The history, in a thread of its own: no click waits for a disk, and turns are kept in their order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from assistant.history.records import Conversation, Hit, NewMedia, NewTurn, ToolCall, Turn
from assistant.history.store import History
from assistant.history.streaming import StreamedTurn
from assistant.media import sound
from assistant.media.sound import Sound
from models.errors import AsideError
from ui.brain import Answered, Called, Failed, Said, Wrote
from ui.gate import Gate, worded
from ui.question import Question

_MOST: Final = 500  # conversations in the list

T = TypeVar("T")


@dataclass(frozen=True)
class Exchange:
    """A question with its answer, as the history has it."""

    question: Question
    words: str
    answer: str
    note: str = ""

    @property
    def said(self) -> Said:
        """For the engine, which hears a recording again rather than reads what was understood of it."""
        return Said(self.question, self.answer)


@dataclass(frozen=True)
class Opened:
    """A conversation with all that was said in it."""

    conversation: Conversation
    exchanges: tuple[Exchange, ...]


@dataclass
class _Kept:
    """A turn that is being kept: the rows of its question and its answer."""

    question: int
    reply: StreamedTurn
    calls: list[ToolCall] = field(default_factory=list)


class Archive:
    """Belongs to the GUI thread; answers come back through the gate. `close` waits for what is to be kept."""

    def __init__(self, gate: Gate, folder: Path, complain: Callable[[AsideError], None]) -> None:
        self._gate = gate
        self._folder = folder
        self._complain = complain
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._history: History | None = None
        self._current: int | None = None  # the conversation; None: the next question begins one
        self._kept: dict[int, _Kept] = {}
        self._closed = threading.Event()
        self.model = ""

    def close(self) -> None:
        """Write what is waiting; an answer that is being written is kept as far as it got."""
        self._closed.set()
        self._pool.submit(self._shut)
        self._pool.shutdown(wait=True)

    def begin(self) -> None:
        """The next question begins a new conversation."""
        self._do(lambda _: self._set_current(None))

    def open(self, number: int, done: Callable[[Opened], None]) -> None:
        """Go on with a conversation."""
        self._do(partial(self._open, number), done)

    def list(self, done: Callable[[Sequence[Conversation]], None]) -> None:
        """All conversations, the last used first."""
        self._do(lambda history: history.conversations(_MOST), done)

    def search(self, words: str, done: Callable[[Sequence[Hit]], None]) -> None:
        """Where these words were said."""
        self._do(lambda history: history.search(words), done)

    def rename(self, number: int, title: str, done: Callable[[Conversation], None]) -> None:
        """Give a conversation another title."""
        self._do(lambda history: history.rename(number, title), done)

    def delete(self, number: int, done: Callable[[None], None]) -> None:
        """Remove a conversation, really."""
        self._do(partial(self._delete, number), done)

    def asked(self, turn: int, question: Question, done: Callable[[Conversation], None]) -> None:
        """Keep a question, and begin to keep its answer."""
        self._do(partial(self._ask, turn, question), done)

    def told(self, event: Wrote | Called | Answered | Failed) -> None:
        """Keep what the model says."""
        self._do(partial(self._tell, event))

    def understood(self, turn: int, words: str, done: Callable[[Conversation], None]) -> None:
        """Keep what was understood of a spoken question."""

        def told(kept: Conversation | None) -> None:
            if kept is not None:
                done(kept)

        self._do(partial(self._understood, turn, words), told)

    def _do(self, work: Callable[[History], T], done: Callable[[T], Any] = lambda _: None) -> None:
        def carry_out() -> None:
            try:
                if self._history is None:
                    self._history = History(self._folder)
                result = work(self._history)
            except Exception as error:  # what can't be kept must not end what can be said
                problem = worded(error)
                self._gate.post(lambda: self._complain(problem))
            else:
                self._gate.post(lambda: done(result))

        if not self._closed.is_set():
            self._pool.submit(carry_out)

    def _set_current(self, number: int | None) -> None:
        self._current = number

    def _ask(self, turn: int, question: Question, history: History) -> Conversation:
        if self._current is None:
            self._current = history.create().id
        media = [NewMedia(data, "image/png") for data in question.pictures]
        media += [NewMedia(data, "audio/wav") for data in question.recordings]
        kept = history.append(self._current, NewTurn("user", question.text, media=tuple(media)))
        self._kept[turn] = _Kept(kept.id, history.stream(self._current, self.model))
        return history.conversation(self._current)

    def _tell(self, event: Wrote | Called | Answered | Failed, _history: History) -> None:
        kept = self._kept.get(event.turn)
        if kept is None:
            return
        match event:
            case Wrote(_, text):
                kept.reply.add(text)
            case Called(_, name, arguments):
                kept.calls.append(ToolCall(name, arguments))
            case Answered():
                state: Any = "stopped" if event.reason == "cancelled" else "complete"
                kept.reply.finish(state, calls=kept.calls, figures=figures(event))
            case Failed(_, error):
                kept.reply.finish("failed", problem=str(error), calls=kept.calls)

    def _understood(self, turn: int, words: str, history: History) -> Conversation | None:
        kept = self._kept.get(turn)
        if kept is None:
            return None
        history.set_transcript(kept.question, words)
        return history.conversation(history.turn(kept.question).conversation)

    def _open(self, number: int, history: History) -> Opened:
        conversation = history.conversation(number)
        exchanges: list[Exchange] = []
        asked: Turn | None = None
        for turn in history.turns(number):
            if turn.role == "user":
                asked = turn
            elif asked is not None:
                question = _question(asked, history)
                words = asked.transcript or asked.text
                exchanges.append(Exchange(question, words, turn.heard or turn.text, turn.problem))
                asked = None
        self._current = number
        return Opened(conversation, tuple(exchanges))

    def _delete(self, number: int, history: History) -> None:
        history.delete(number)
        if self._current == number:
            self._current = None

    def _shut(self) -> None:
        for kept in self._kept.values():
            kept.reply.__exit__(None, None, None)  # stopped, unless it was finished
        if self._history is not None:
            self._history.close()


def figures(event: Answered) -> Mapping[str, Any]:
    """What an answer cost, for the history and the window."""
    cost = event.statistics
    return {
        "first_token": event.first,
        "seconds": event.seconds,
        "generated": cost.generated,
        "prefilled": cost.prefilled,
        "reused": cost.reused,
    }


def _question(turn: Turn, history: History) -> Question:
    """A kept question with its pictures and recordings; what can't be read is left out."""
    pictures: list[bytes] = []
    sounds: list[Sound] = []
    for media in turn.media:
        try:
            if media.media_type.startswith("image/"):
                pictures.append(history.media.read(media))
            elif media.media_type.startswith("audio/"):
                sounds.append(sound.load(history.media.checked(media)))
        except (AsideError, OSError):
            continue
    text = turn.text if pictures or sounds or turn.text else (turn.transcript or "…")
    return Question(text, tuple(pictures), tuple(sounds))
