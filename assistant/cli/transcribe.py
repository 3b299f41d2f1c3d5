"""`aside transcribe` and `aside translate`: what is said, piece by piece, however long it is."""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from assistant import packages
from assistant.cli import conversation, inputs, options, speaking
from assistant.cli.console import STOPPED, Output, Status, complain, note, stoppable
from assistant.engine import prompt
from assistant.engine.protocol import Clip, Session
from assistant.modes import Mode, write_down
from assistant.voice.endpoint import trimmed
from models import package
from models.errors import AsideError, MediaError
from models.prompts import LANGUAGES

_TRANSCRIBE = """  aside transcribe interview.mp3
  aside transcribe --mic
  aside transcribe lecture.flac --json > lecture.json"""
_TRANSLATE = """  aside translate --to German speech.ogg
  aside translate --to French --mic
  aside translate --to Spanish speech.ogg --say"""


@dataclass
class _Piece:
    """What became of one piece of a recording; times in seconds from its beginning."""

    start: float
    end: float
    transcript: str = ""
    translation: str = ""


@dataclass
class _Result:
    pieces: list[_Piece] = field(default_factory=list)
    stopped: bool = False
    failure: AsideError | None = None  # to speak


@dataclass(frozen=True)
class _Work:
    session: Session
    beginning: int  # a mark after the system message
    output: Output
    cancel: Event


_Handle = Callable[[_Work, Clip, _Piece], bool]
_Finish = Callable[[Event], AsideError | None]


def transcribe(arguments: Sequence[str]) -> int:
    """Run `aside transcribe`; returns the exit code."""
    given = _read("transcribe", "Write down what is said.", _TRANSCRIBE, arguments)
    output = Output(given.json)
    result = _run(given, output, partial(_written, Mode("transcribe"), output.text))
    output.json(
        {
            "transcript": " ".join(p.transcript for p in result.pieces if p.transcript),
            "pieces": [{"start": p.start, "end": p.end, "transcript": p.transcript} for p in result.pieces],
            "stopped": result.stopped,
        }
    )
    return STOPPED if result.stopped else 0


def translate(arguments: Sequence[str]) -> int:
    """Run `aside translate`; returns the exit code."""
    given = _read("translate", "Write down what is said, and translate it.", _TRANSLATE, arguments)
    output = Output(given.json)
    with ExitStack() as stack:
        narration = speaking.narration(given, stack, given.to)
        narrator = stack.enter_context(narration()) if narration else None

        def show(text: str) -> None:
            output.text(text)
            if narrator is not None:
                narrator.push(text)

        handle = partial(_written, Mode("translate", given.to), show)

        def finish(cancel: Event) -> AsideError | None:
            return speaking.finish(narrator, cancel)

        result = _run(given, output, handle, finish)
    output.json(
        {
            "to": given.to,
            "transcript": " ".join(p.transcript for p in result.pieces if p.transcript),
            "translation": " ".join(p.translation for p in result.pieces if p.translation),
            "pieces": [vars(p) for p in result.pieces],
            "stopped": result.stopped,
        }
    )
    if result.failure is not None:
        complain(result.failure)
        return 2
    if given.say_to and not result.stopped:
        note(f"Spoken into {given.say_to}")
    return STOPPED if result.stopped else 0


def _run(
    given: argparse.Namespace, output: Output, handle: _Handle, finish: _Finish = lambda _: None
) -> _Result:
    """Give every piece that is not silent to ``handle``; it returns False when it was stopped."""
    path = packages.find_package(given.model)
    result = _Result()
    pieces = _pieces(given, package.check(path).clip_seconds)
    first = next(pieces)  # before the model, so that a wrong name costs no wait
    at, began = 0.0, time.monotonic()
    with conversation.open_model(path, given.adapter) as session, stoppable() as cancel:
        session.append(*prompt.system())
        beginning = session.mark()
        work = _Work(session, beginning, output, cancel)
        for clip in itertools.chain([first], pieces):
            piece = _Piece(round(at, 2), round(at + clip.samples.size / clip.rate, 2))
            at = piece.end
            if inputs.is_silent(clip):
                continue
            result.pieces.append(piece)
            done = handle(work, Clip(trimmed(clip.samples), clip.rate), piece)
            if not done or cancel.is_set():
                result.stopped = True
                break
            speed = at / (time.monotonic() - began)
            Status.show(f"{_clock(at)} heard, {speed:.1f} times as fast as spoken", rare=True)
        Status.clear()
        result.failure = finish(cancel)
    Status.clear()
    if not result.pieces:
        name = Path(given.file).name if given.file else "the microphone"
        raise MediaError(f"There is nothing to hear in {name}: it is silent.", "Record it again.")
    return result


def _written(mode: Mode, show: Callable[[str], None], work: _Work, clip: Clip, piece: _Piece) -> bool:
    """``show`` gets the translation."""

    def reply(task: str, on_text: Callable[[str], None]) -> tuple[str, bool]:
        return _answer(work, clip, task, on_text)

    found = write_down(reply, mode, work.output.text, show)
    piece.transcript, piece.translation = found.transcript, found.translation
    return found.whole


def _answer(work: _Work, clip: Clip, task: str, show: Callable[[str], None]) -> tuple[str, bool]:
    """The reply to a task about a clip in a conversation of its own, and whether it came to its end."""
    work.session.rewind(work.beginning)
    work.session.append(*conversation.question(clip, task))
    answer = conversation.reply(work.session, conversation.transcribing(clip), show, work.cancel)
    work.output.end()
    return answer.text.strip(), answer.reason != "cancelled"


def _pieces(given: argparse.Namespace, longest: float) -> Iterator[Clip]:
    if given.mic:
        yield inputs.spoken()
        return
    from assistant.media import sound

    for piece in sound.pieces(Path(given.file), given.piece or longest):
        yield Clip(piece.samples, piece.rate)


def _clock(seconds: float) -> str:
    minutes, left = divmod(int(seconds), 60)
    return f"{minutes}:{left:02}"


def _language(text: str) -> str:
    for language in LANGUAGES:
        if text.strip().lower() == language.lower():
            return language
    raise argparse.ArgumentTypeError(f"{text!r} is none of the languages: {', '.join(LANGUAGES)}")


def _read(command: str, description: str, examples: str, arguments: Sequence[str]) -> Any:
    parser = options.parser(command, description, examples)
    parser.add_argument("file", nargs="?", metavar="FILE", help="a recording: WAV, FLAC, MP3 or Ogg")
    parser.add_argument("--mic", action="store_true", help="listen to the microphone until it is silent")
    if command == "translate":
        parser.add_argument(
            "--to", required=True, type=_language, metavar="LANGUAGE", help=", ".join(LANGUAGES)
        )
        speaking.add_say(parser, "the translation")
    parser.add_argument(
        "--piece",
        type=options.number(1, 1800),
        metavar="SECONDS",
        help="how much the model hears at once; cut in pauses (default: what suits the model)",
    )
    options.add_json(parser)
    options.add_model(parser)
    options.add_adapter(parser)
    given = parser.parse_args(list(arguments))
    if bool(given.file) == given.mic:
        parser.error("give either a file or --mic")
    return given
