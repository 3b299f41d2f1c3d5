"""The conversation that is shown: keeps transcript, history and engine in step, and does what is asked of it.

Exchanges are counted from 0; each has the number of its turn, which is negative if it was there before the
conversation was opened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QApplication

from assistant.engine import prompt
from assistant.engine.protocol import Segment
from assistant.history.media import MediaFolder
from assistant.history.records import Conversation, Media, NewTurn, ToolCall, Turn
from assistant.history.replay import figures_of, replied
from assistant.media import sound
from assistant.media.sound import Sound
from assistant.modes import Mode
from assistant.timing import Times
from assistant.turn import Phase, State
from models.errors import AsideError, ContextError, HistoryError
from ui.conversation.message_bar import Act
from ui.conversation.notes import call, cost, notes_of, outcome, steps
from ui.conversation.sheet import Message
from ui.conversation.thumbs import Thumb, kept_question, kept_segments, said, thumbs
from ui.conversation.transcript import Past, Transcript
from ui.gate import Gate
from ui.look import error_words
from ui.look.nano_words import spoken
from ui.work import brain
from ui.work.archive import Archive, Kept, Opened
from ui.work.brain import Answered, BrainEvent
from ui.work.conductor import Conductor
from ui.work.mouth import Performance
from ui.work.question import Question

_CHUNK: Final = 3  # exchanges put into the transcript at once, to begin with: between two, the window answers
_MOST: Final = 12  # exchanges at once
_TAKES: Final = 0.008  # s that a chunk may take


@dataclass
class Exchange:
    """What is known of an exchange: its ``question`` if it was asked in this window, or what was kept."""

    turn: int
    question: Question | None = None
    kept: Kept | None = None
    words: str = ""
    answer: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    pieces: list[Media] = field(default_factory=list)  # of a dictation, its recordings

    @property
    def said(self) -> str:
        """The answer, and what came of the tools that it called."""
        kept = [] if self.kept is None or self.kept.reply is None else self.kept.reply.calls
        results = [outcome(one) for one in self.calls or kept]
        return "\n".join(filter(None, ("".join(self.answer), *results)))

    def segments(self, media: MediaFolder) -> Sequence[Segment]:
        """For the engine. Takes time."""
        if self.question is None and self.kept is not None:
            return kept_segments(self.kept, media)
        parts: list[prompt.Part] = [] if self.question is None else self.question.parts
        if self.question is not None and self.question.is_dictation:
            parts = [self.question.text]  # its name: what was said is the answer
        return [*prompt.user(*parts), *replied("".join(self.answer), self.calls)]


class Talk(QObject):
    """Belongs to the GUI thread."""

    titled = Signal(object)
    """The `Conversation` that is shown; None for one that has not begun or is not kept."""
    begun = Signal()
    """There is something to read."""
    edited = Signal(object)
    """A `Question` that the person wants to change, sending it replaces what follows; None: no longer."""
    problem = Signal(AsideError)

    def __init__(self, gate: Gate, conductor: Conductor, archive: Archive, transcript: Transcript) -> None:
        super().__init__()
        self._gate, self._conductor, self._archive = gate, conductor, archive
        self._transcript = transcript
        self.exchanges: list[Exchange] = []
        self._replaced: int | None = None  # the exchange in whose place the next question comes
        self._filling = 0  # which filling of the transcript is under way
        self._target: tuple[int | None, str] = None, ""  # a turn of the history to show, and words in it
        self._times: dict[int, Times] = {}  # of the turn that is being answered
        self._costs: dict[int, tuple[Answered, str]] = {}  # of the turn that was, and its note
        self._spoken = 0, 0  # a turn in which the answer of another is spoken again
        self._played = 0, (0, 0)  # a turn in which a recording is played: that of a turn and a number
        transcript.wanted.connect(self.do)
        transcript.opened.connect(self.open_medium)
        conductor.changed.connect(self._show_state)
        conductor.asked.connect(self._asked)
        conductor.dictated.connect(self._dictated)
        conductor.interrupted.connect(self.set_heard)
        conductor.understood.connect(self._understood)
        conductor.told.connect(self._told)
        conductor.timed.connect(self._timed)
        self.show_picture: Callable[[bytes], object] = lambda _: None

    @property
    def empty(self) -> bool:
        """Whether nothing was said yet."""
        return not self.exchanges

    def begin(self) -> None:
        """A new conversation."""
        self._conductor.stop()
        self._conductor.brain.begin()
        self._archive.begin()
        self._clear()
        self.titled.emit(None)

    def open(self, number: int, turn: int | None = None, words: str = "") -> None:
        """Go on with a conversation that was kept, and show where words were found, in a turn of it."""
        self._conductor.stop()
        self._archive.open(number, partial(self._opened, turn, words))

    def stop_editing(self) -> None:
        """The next question follows the last one, as usual."""
        self._replaced = None
        self.edited.emit(None)

    def do(self, act: Act, message: Message) -> None:
        """Carry out what a person wants with a message."""
        place = self._place(message.turn)
        if place is None:
            return
        one = self.exchanges[place]
        match act:
            case Act.COPY:
                QApplication.clipboard().setText(one.said if message.answer else one.words)
            case Act.STOP:
                self._conductor.stop()
            case Act.SPEAK:
                self._conductor.play(one.said)
                self._spoken = self._conductor.state.turn, one.turn
                self._show_state(self._conductor.state)
            case Act.AGAIN:
                self._with_question(one, partial(self._ask_again, one.turn))
            case Act.EDIT:
                self._with_question(one, partial(self._edit, one.turn))

    def copy_answer(self) -> None:
        """Put the last answer on the clipboard."""
        if self.exchanges:
            self.do(Act.COPY, Message(self.exchanges[-1].turn, True))

    def copy_all(self) -> None:
        """Put the whole conversation on the clipboard."""
        parts = [f"{one.words}\n\n{one.said}".strip() for one in self.exchanges]
        QApplication.clipboard().setText("\n\n".join(parts))

    def turns(self) -> Callable[[], list[NewTurn]]:
        """Gives this conversation for an export, though it is not kept; takes time, in any thread."""
        return partial(_new_turns, [*self.exchanges])

    def open_medium(self, turn: int, number: int) -> None:
        """Show a picture, play a recording, or stop it."""
        place = self._place(turn)
        if self._transcript.playing == (turn, number):
            self._conductor.stop()
        elif place is not None:
            one = self.exchanges[place]
            if one.pieces:
                media = self._archive.media
                self._play(one, number, (sound.load(media.checked(piece)) for piece in [*one.pieces]))
            else:
                self._with_question(one, partial(self._open_medium, one, number))

    # --- inside

    def _clear(self) -> None:
        self._filling += 1
        self._target = None, ""
        self.exchanges = []
        self.stop_editing()
        self._transcript.reset()

    def _place(self, turn: int) -> int | None:
        return next((place for place, one in enumerate(self.exchanges) if one.turn == turn), None)

    def _with_question(self, one: Exchange, then: Callable[[Question], None]) -> None:
        """Call with the question of an exchange, which may have to be read first."""
        question, kept, pieces, media = one.question, one.kept, [*one.pieces], self._archive.media

        def read() -> Question:
            asked = question
            if asked is None:
                asked = Question(one.words) if kept is None else kept_question(kept.asked, media)
            if not pieces:
                return asked
            mode = asked.mode if asked.is_dictation else Mode("transcribe")
            return replace(asked, sounds=tuple(sound.load(media.checked(p)) for p in pieces), mode=mode)

        if pieces or (question is None and kept is not None):
            self._gate.run(read, then, self.problem.emit)
        else:
            then(read())

    def _ask_again(self, turn: int, question: Question) -> None:
        place = self._place(turn)
        if place is not None and self._can_repeat(question):
            self._replaced = place
            self._conductor.ask(question)

    def _edit(self, turn: int, question: Question) -> None:
        place = self._place(turn)
        if place is not None and self._can_repeat(question):
            self._replaced = place
            self.edited.emit(question)

    def _can_repeat(self, question: Question) -> bool:
        if question.is_dictation and not question.sounds:
            self.problem.emit(
                HistoryError("The recordings of this dictation were not kept.", "Dictate it again.")
            )
            return False
        return True

    def _open_medium(self, one: Exchange, number: int, question: Question) -> None:
        seen, sounds = question.seen, question.sounds
        if number < len(seen):
            self.show_picture(seen[number])
        elif question.is_dictation and sounds:
            self._play(one, number, sounds)
        elif number - len(seen) < len(sounds):
            self._play(one, number, sounds[number - len(seen)])

    def _play(self, one: Exchange, number: int, what: Performance) -> None:
        self._conductor.play(what)
        self._played = self._conductor.state.turn, (one.turn, number)
        self._show_state(self._conductor.state)

    def _opened(self, turn: int | None, words: str, opened: Opened) -> None:
        self._clear()
        self._target = turn, words
        for place, kept in enumerate(opened.exchanges):
            asked = kept.asked.transcript or kept.asked.text
            answer = [] if kept.reply is None else [kept.reply.text]
            pieces = [] if kept.reply is None else [*kept.reply.media]
            self.exchanges.append(Exchange(-1 - place, None, kept, asked, answer, pieces=pieces))
        self.remember()
        if self.exchanges:
            self.begun.emit()
        self.titled.emit(opened.conversation)
        self._fill(self._filling, [*self.exchanges])

    def remember(self) -> None:
        """Tell the engine what was said."""
        media = self._archive.media
        self._conductor.brain.begin([partial(one.segments, media) for one in self.exchanges])

    def _fill(self, filling: int, left: list[Exchange], size: int = _CHUNK) -> None:
        """Put what is left into the transcript, the last first, a few at once."""
        if filling != self._filling or not left:
            return
        chunk = left[-size:]
        media, ratio = self._archive.media, self._transcript.devicePixelRatioF()

        def read() -> list[list[Thumb]]:
            asked = [(one.kept.asked, one.pieces) for one in chunk if one.kept is not None]
            return [
                [*(thumbs(kept_question(turn, media), ratio) if turn.media else []), *said(pieces)]
                for turn, pieces in asked
            ]

        def show(drawn: list[list[Thumb]]) -> None:
            if filling != self._filling:
                return
            began = time.monotonic()
            there = [(o, s) for o, s in zip(chunk, drawn, strict=True) if self._place(o.turn) is not None]
            self._transcript.add_earlier([_past(one, small) for one, small in there])
            for one, _ in there:
                self._show_target(one)
            took = time.monotonic() - began
            bigger = size + 1 if took < _TAKES / 2 else size
            self._fill(
                filling, left[: -len(chunk)], max(1, size // 2) if took > _TAKES else min(_MOST, bigger)
            )

        self._gate.run(read, show, self.problem.emit)

    def _show_target(self, one: Exchange) -> None:
        turn, words = self._target
        if turn is None or one.kept is None:
            return
        if turn in (one.kept.asked.id, None if one.kept.reply is None else one.kept.reply.id):
            self._transcript.show_found(Message(one.turn, turn != one.kept.asked.id), words)

    def _asked(self, turn: int, question: Question) -> None:
        place = self._replaced
        self.stop_editing()
        if place is not None and place < len(self.exchanges):
            self._transcript.cut_from(self.exchanges[place].turn)
            del self.exchanges[place:]
            self._conductor.brain.rewind(place)
        words = question.text or (self.tr("Listening back …") if question.sounds else "")
        self._transcript.add_question(turn, words)
        if question.seen or question.sounds or question.documents:
            ratio = self._transcript.devicePixelRatioF()
            self._gate.run(lambda: thumbs(question, ratio), partial(self._transcript.set_thumbs, turn))
        self.exchanges.append(Exchange(turn, question, None, question.text))
        self.begun.emit()
        self._archive.asked(turn, question, len(self.exchanges) - 1, partial(self._title, turn))

    def _dictated(self, turn: int, piece: Sound) -> None:
        def kept(media: Media) -> None:
            place = self._place(turn)
            if place is not None:
                self.exchanges[place].pieces.append(media)

        self._archive.said(turn, piece, kept)

    def _show_pieces(self, turn: int) -> None:
        """What was said in a dictation can be heard again."""
        place = self._place(turn)
        if place is not None and self.exchanges[place].pieces:
            self._transcript.set_thumbs(turn, said(self.exchanges[place].pieces))

    def _understood(self, turn: int, text: str) -> None:
        place = self._place(turn)
        if place is not None:
            self.exchanges[place].words = text
            self._transcript.set_question(turn, text)
        self._archive.understood(turn, text, partial(self._title, turn))

    def _title(self, turn: int, conversation: Conversation | None) -> None:
        """What the archive says of a turn's conversation, unless another one is shown by now."""
        if self._place(turn) is not None:
            self.titled.emit(conversation)

    def set_heard(self, turn: int, heard: str) -> None:
        """The answer was interrupted while it was spoken, after ``heard``."""
        place = self._place(turn)
        if place is not None:
            self._transcript.set_heard(turn, length_of("".join(self.exchanges[place].answer), heard))
        self._archive.heard(turn, heard)

    def _told(self, event: BrainEvent) -> None:
        match event:
            case brain.Loaded(name):
                self._archive.model = name
                if self.exchanges:
                    self.remember()
            case brain.Forgot(exchanges):
                text = self.tr("The model no longer knows the first {n} questions: the conversation is long.")
                self._transcript.add_note(text.replace("{n}", str(exchanges)))
            case brain.Wrote(turn, text):
                place = self._place(turn)
                if place is not None:
                    self.exchanges[place].answer.append(text)
                    self._transcript.append_answer(text)
                self._archive.told(event)
            case brain.Limited(turn, text):
                self._transcript.add_note(spoken(text), turn)
            case brain.Called(turn):
                place = self._place(turn)
                if place is not None:
                    self.exchanges[place].calls.append(event.call)
                    self._transcript.add_result(call(event.call), turn)
            case brain.Answered(turn):
                self._costs[turn] = event, ""
                times = self._times.pop(turn, Times())
                self._show_cost(turn, times)
                self._archive.told(event)
                self._archive.timed(turn, times)
                self._archive.named(turn, partial(self._title, turn))
                self._archive.then(partial(self._show_pieces, turn))
            case brain.Failed(turn, error):
                self._transcript.add_note(error_words.told(error), turn)
                self._archive.told(event)
                if isinstance(error, ContextError):
                    self.remember()  # less of it, so that it can be asked again

    def _timed(self, turn: int, times: Times) -> None:
        """The first sound may come before the last word or after it."""
        if turn in self._costs:
            self._show_cost(turn, times)
            self._archive.timed(turn, times)
        else:
            self._times = {turn: times}

    def _show_cost(self, turn: int, times: Times) -> None:
        event, shown = self._costs[turn]
        text = cost(event, times)
        self._transcript.set_note(turn, shown, text, steps(times))
        self._costs = {turn: (event, text)}

    def _show_state(self, state: State) -> None:
        number, turn = self._spoken
        live = turn if state.turn == number else state.turn
        idle = state.phase is Phase.IDLE
        self._transcript.live = 0 if idle else live
        number, recording = self._played
        self._transcript.show_playing(None if idle or state.turn != number else recording)


def _new_turns(exchanges: Sequence[Exchange]) -> list[NewTurn]:
    turns: list[NewTurn] = []
    for one in exchanges:
        question = one.question or Question(one.words)
        spoken = one.words if question.sounds and one.words != question.text else None
        figures = figures_of(question.mode)
        turns.append(NewTurn("user", question.text, spoken, media=question.media, figures=figures))
        answer, calls = "".join(one.answer), tuple(one.calls)
        if answer or calls:
            turns.append(NewTurn("assistant", answer, calls=calls))
    return turns


def _past(one: Exchange, small: list[Thumb]) -> Past:
    answer, reply = "".join(one.answer), None if one.kept is None else one.kept.reply
    results = [] if reply is None else [*map(call, reply.calls)]
    return Past(one.turn, one.words, small, answer, notes_of(reply), heard_length(answer, reply), results)


def heard_length(answer: str, reply: Turn | None) -> int:
    """How many characters of a spoken answer were heard; all, if it was not interrupted."""
    return len(answer) if reply is None or reply.heard is None else length_of(answer, reply.heard)


def length_of(answer: str, heard: str) -> int:
    """Where in an answer what was heard of it ends, whatever was done to the spaces."""
    left = sum(not c.isspace() for c in heard)
    for place, c in enumerate(answer):
        if not left:
            return place
        left -= not c.isspace()
    return len(answer)
