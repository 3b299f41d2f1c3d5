"""`aside demo`: a spoken question about a picture is heard, answered and spoken into a WAV file.

Both are shipped. The picture is `models.nano.pictures.render(random.Random(69), "scene", 1)`; the question is
espeak-ng's voice en-us+f3 at 150 words a minute, a voice that training never hears.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from assistant import packages
from assistant.cli import conversation, inputs, options, speaking
from assistant.cli.console import STOPPED, Output, complain, stoppable
from assistant.engine import prompt
from assistant.engine.protocol import GenerateOptions
from models import package
from models.errors import AsideError, MediaError

FILES: Final = Path(__file__).parent / "demo_files"
PICTURE: Final = FILES / "shapes.png"
QUESTION: Final = FILES / "question.wav"


def demo(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    given = _read(arguments)
    out = Path(given.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(
            f"{out} can't be made: {error.strerror}.", "Choose another folder: --out."
        ) from error
    path = packages.find_package(given.model)
    info = package.check(path)
    picture, clip = inputs.picture(PICTURE), inputs.recording(QUESTION)
    output = Output(given.json)
    output.line("A spoken question about a picture:")
    _show(output, "picture", str(PICTURE))
    _show(output, "question", f"{QUESTION} ({clip.samples.size / clip.rate:.1f} s)")
    _show(output, "model", f"{info.name} ({info.bytes / 1e6:,.0f} MB), on this machine's processor")
    output.line()
    times: dict[str, float] = {}
    started = time.monotonic()
    answer, spoken = conversation.Answer(), None
    with conversation.open_model(path) as session, stoppable() as cancel:
        times["start"] = time.monotonic() - started
        heard = conversation.transcript(session, clip, cancel)
        times["listen"] = heard.seconds
        _show(output, "heard", heard.text, heard.seconds)
        if not cancel.is_set():
            output.text(f"  {'answer':<10}")
            session.append(*prompt.system(), *conversation.question(picture, clip))
            answer = conversation.reply(session, GenerateOptions(max_tokens=200), output.text, cancel)
            times["answer"] = answer.seconds
            took = f"({_seconds(answer.seconds)}, first word after {_seconds(answer.first_token)})"
            output.line(f"  {'':<10}{took}")
        if not cancel.is_set():
            started = time.monotonic()
            spoken = _spoken(answer.text, out / "answer.wav", cancel)
            times["speak"] = time.monotonic() - started
    if isinstance(spoken, AsideError):
        complain(spoken)
    elif spoken:
        _show(output, "spoken", f"{out / 'answer.wav'} ({spoken:.1f} s of sound)", times["speak"])
    if not cancel.is_set():
        output.line()
        output.line(f"Starting the model took {_seconds(times['start'])}. Ask it yourself:")
        output.line(f'  aside ask --image {PICTURE} "What colour is the circle?"')
    output.json(
        answer.summary()
        | {
            "model": given.model,
            "transcript": heard.text,
            "picture": str(PICTURE),
            "question": str(QUESTION),
            "spoken": str(out / "answer.wav") if isinstance(spoken, float) and spoken else None,
            "seconds": {stage: round(value, 3) for stage, value in times.items()},
        }
    )
    if cancel.is_set():
        return STOPPED
    return 2 if isinstance(spoken, AsideError) else 0


def _spoken(text: str, path: Path, cancel: threading.Event) -> float | AsideError:
    """Speak into a file; the seconds of sound, or why it failed."""
    from assistant.voice.speaker import FileSpeaker
    from assistant.voice.speech import Narrator, Voice

    try:
        with FileSpeaker(path) as sink, Voice() as voice, Narrator(voice, sink) as narrator:
            narrator.push(text)
            failure = speaking.finish(narrator, cancel)
            if failure is not None:
                raise failure
            return sink.seconds
    except AsideError as error:
        return error


def _show(output: Output, name: str, text: str, seconds: float | None = None) -> None:
    output.line(f"  {name:<10}{text}" + (f"  ({_seconds(seconds)})" if seconds is not None else ""))


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _read(arguments: Sequence[str]) -> Any:
    parser = options.parser(
        "demo", "A spoken question about a picture, heard, answered and spoken.", "  aside demo"
    )
    parser.add_argument(
        "--out", metavar="FOLDER", default="output", help="for the spoken answer (default: output)"
    )
    options.add_json(parser)
    options.add_model(parser)
    return parser.parse_args(list(arguments))
