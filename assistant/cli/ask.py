"""`aside ask`: texts, recordings and pictures in any mix, and a streamed, perhaps spoken answer."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant import packages
from assistant.cli import conversation, inputs, looking, options, speaking, tooling
from assistant.cli.console import STOPPED, Output, complain, note, put, stoppable
from assistant.engine import prompt
from assistant.engine.process import EngineProcess
from assistant.engine.protocol import Clip, GenerateOptions
from assistant.eyes import Eyes
from assistant.tools.kit import offered
from models import package
from models.errors import AsideError, Cancelled, EngineError, MediaError
from models.prompts import SYSTEM_PROMPT, TOOLS

if TYPE_CHECKING:
    from assistant.voice.speech import Narrator

_USAGE = "aside ask [OPTIONS] [WORDS ...]"
_EXAMPLES = """  aside ask "What can you do?"
  aside ask --image chart.png "Which bar is the tallest?"
  aside ask --audio question.wav --image photo.jpg --say
  aside ask --document report.pdf --pages 2-3 "What does the table say?"
  aside ask --camera --frames 4 "What happened?"
  aside ask --interactive
  aside ask --tools run "Set a timer for five minutes"
  cat report.txt | aside ask --text - "Summarise this text."

Words without an option are the question and come after everything else."""
_CHAT_HELP = (
    "Type a question, or ask with /mic or /audio FILE; /image FILE or "
    "/camera adds a picture to the next one. "
    "/new begins anew, /quit or Ctrl-D ends."
)


@dataclass(frozen=True)
class _Chat:
    """What all turns of one conversation share."""

    session: EngineProcess
    generate: GenerateOptions
    offered: Sequence[dict[str, Any]]
    tooling: tooling.Tooling | None
    system: str
    transcribe: bool
    narrator: Callable[[], Narrator] | None
    output: Output
    eyes: Eyes


def ask(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    given = _read(arguments)
    parts = [*given.parts, *((("text", " ".join(given.words)),) if given.words else ())]
    if not parts and not given.interactive:
        raise MediaError(
            "There is no question.",
            "Give words, --text, --audio, --image, --document, --camera or --mic; see `aside ask --help`.",
        )
    if any(kind == "text" and not value.strip() for kind, value in parts):
        raise MediaError("The text is empty.", "Write a question.")
    output = Output(given.json)
    with ExitStack() as stack:
        path = packages.find_package(given.model)
        camera = inputs.Looking(given.source, int(given.frames), given.over)
        loaded = inputs.load(
            parts, camera, given.pages
        )  # before the model, so that a wrong name costs no wait
        narrator = speaking.narration(given, stack)
        session = stack.enter_context(conversation.open_model(path, given.adapter))
        chat = _Chat(
            session,
            GenerateOptions(
                max_tokens=int(given.max_tokens),
                temperature=given.temperature,
                top_p=given.top_p,
                seed=int(given.seed),
            ),
            () if given.tools == "off" else TOOLS if given.tools == "on" else offered(path),
            tooling.tooling(given.yes, package.check(path).retells) if given.tools == "run" else None,
            given.system,
            given.transcript,
            narrator,
            output,
            looking.open_eyes(package.check(path), given.detail),
        )
        session.append(*_system(chat))
        if chat.tooling is not None and given.interactive:
            stack.enter_context(chat.tooling.ring())
        code = 0
        if loaded:
            code = _turn(chat, loaded)
        if given.interactive and code != STOPPED:
            return _interactive(chat, answered=bool(loaded))
    if given.say_to and code == 0:
        note(f"Spoken into {given.say_to}")
    return code


def _turn(chat: _Chat, parts: list[prompt.Part]) -> int:
    """Ask and show the answer; returns the exit code. Raises Cancelled if the question was not even asked."""
    heard: list[str] = []
    answer, failure = conversation.Answer(), None
    started = time.monotonic()
    with stoppable() as cancel:
        for clip in (part for part in parts if chat.transcribe and isinstance(part, Clip)):
            if not cancel.is_set():
                heard.append(conversation.transcript(chat.session, clip, cancel).text)
                note(f"Heard: {heard[-1]}")
        unasked = cancel.is_set()
        if not unasked:
            answer, failure = _answer(chat, parts, cancel)
        stopped = answer.reason == "cancelled" or cancel.is_set()
    result = answer.summary() | ({"transcripts": heard} if chat.transcribe else {})
    result["statistics"]["wall"] = round(time.monotonic() - started, 4)
    chat.output.json(result)
    if unasked:
        raise Cancelled("Listening was stopped.")
    _explain(answer.reason)
    if failure is not None:
        complain(failure)
        return 2
    return STOPPED if stopped else 0


def _answer(
    chat: _Chat, parts: list[prompt.Part], cancel: threading.Event
) -> tuple[conversation.Answer, AsideError | None]:
    """Ask, and show and speak the answer; the failure to speak never spoils it."""
    chat.session.append(*conversation.question(*looking.sized(chat.eyes, parts)))
    with ExitStack() as stack:
        narrator = stack.enter_context(chat.narrator()) if chat.narrator else None

        def show(text: str) -> None:
            chat.output.text(text)
            if narrator is not None:
                narrator.push(text)

        if chat.tooling is not None:
            answer = chat.tooling.reply(chat.session, chat.generate, show, chat.output.line, cancel)
        else:
            answer = conversation.reply(chat.session, chat.generate, show, cancel)
            for call in answer.calls:
                chat.output.line(f"→ {conversation.describe_call(call)}")
        chat.output.end()
        chat.eyes.learn(answer.statistics)
        if chat.tooling is not None:
            chat.tooling.remind(answer)
        return answer, speaking.finish(narrator, cancel)


def _explain(reason: str) -> None:
    """Say why an answer ended before its end."""
    sentences = {
        "length": "(The answer was cut at --max-tokens.)",
        "repetition": "(The model went in circles and was stopped.)",
        "context": "(The model's context is full.)",
    }
    if reason in sentences:
        note(sentences[reason])


def _interactive(chat: _Chat, answered: bool) -> int:
    """Turns from standard input until it ends."""
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # a stray byte must not end the conversation
    shown = sys.stdin.isatty()
    if shown:
        note(_CHAT_HELP)
    waiting: list[prompt.Part] = []
    while True:
        if shown:
            put("> ", sys.stderr)
        line = sys.stdin.readline()
        if not line:
            return 0
        word, _, rest = line.strip().partition(" ")
        try:
            match word:
                case "/quit" | "/exit":
                    return 0
                case "/new":
                    chat.session.rewind(0)
                    chat.session.append(*_system(chat))
                    waiting, answered = [], False
                    continue
                case "/image":
                    waiting.append(inputs.picture(Path(rest.strip())))
                    continue
                case "/camera":
                    waiting += inputs.seen(inputs.Looking(rest.strip()))
                case "/audio":
                    waiting.append(inputs.recording(Path(rest.strip())))
                case "/mic":
                    waiting.append(inputs.spoken())
                case _ if word.startswith("/"):
                    raise MediaError(f"{word} is no command.", _CHAT_HELP)
                case "":
                    if not waiting:
                        continue
                case _:
                    waiting.append(line.strip())
            parts, waiting = waiting, []
            here = chat.session.mark()
            try:
                if answered:
                    chat.session.append(*prompt.end())
                _turn(chat, parts)
                answered = True
            except (AsideError, KeyboardInterrupt):
                with suppress(AsideError):  # the first failure is the one to tell
                    chat.session.rewind(min(here, chat.session.mark()))  # or half a turn would stay
                raise
        except (Cancelled, KeyboardInterrupt):  # stops what was going on, not the conversation
            note("")
        except EngineError as error:
            complain(error)
            chat.session.restart()
            note("The engine has been started again. Go on.")
        except AsideError as error:  # what was attached before stays
            complain(error)


def _system(chat: _Chat) -> list[Any]:
    return prompt.system(chat.offered, chat.system)


def _read(arguments: Sequence[str]) -> argparse.Namespace:
    parser = options.parser("ask", "Ask about text, recordings and pictures.", _EXAMPLES, _USAGE)
    parser.add_argument("words", nargs="*", metavar="WORDS", help="the question")
    ordered = parser.add_argument_group("what to ask about (each as often as you like, the order is kept)")
    ordered.add_argument(
        "--text", action=options.Ordered, metavar="TEXT", help="text; - reads standard input"
    )
    ordered.add_argument(
        "--audio", action=options.Ordered, metavar="FILE", help="a recording: WAV, FLAC, MP3, Ogg"
    )
    ordered.add_argument(
        "--image", action=options.Ordered, metavar="FILE", help="a picture: PNG, JPEG, WebP, BMP, TIFF"
    )
    ordered.add_argument("--document", action=options.Ordered, metavar="FILE", help="a PDF or a text file")
    ordered.add_argument("--camera", action=options.Ordered, nargs=0, help="what a camera sees")
    ordered.add_argument("--mic", action=options.Ordered, nargs=0, help="listen to the microphone")
    closer = parser.add_argument_group("more about camera and document")
    closer.add_argument(
        "--source",
        default="",
        metavar="SOURCE",
        help="the camera: its number, a video file or a stream's address (default: that of the settings)",
    )
    number = options.add_number
    number(closer, "--frames", (1, 16), 1, "pictures of the camera (default: 1)")
    number(closer, "--over", (0.0, 60.0), 2.0, "seconds from the first to the last of them (default: 2)")
    closer.add_argument(
        "--detail",
        type=looking.level,
        metavar="HOW",
        help="how closely pictures are looked at: auto, quick, fine, or crops of 448 pixels at most "
        "(default: that of the settings)",
    )
    closer.add_argument(
        "--pages",
        default="",
        metavar="PAGES",
        help="of the document, such as 1-3,7 (default: the first four)",
    )
    answer = parser.add_argument_group("the answer")
    speaking.add_say(answer, "it")
    answer.add_argument("--transcript", action="store_true", help="show what was understood of recordings")
    options.add_json(answer)
    number(answer, "--max-tokens", (1, 131072), 512, "its length (default: 512)")
    number(answer, "--temperature", (0.0, 10.0), 0.0, "0 is always the likeliest")
    likely = "sample among the likeliest words that together have this probability"
    number(answer, "--top-p", (1e-6, 1.0), 1.0, likely)
    number(answer, "--seed", (0, 2**32 - 1), 0, "of the sampling")
    talk = parser.add_argument_group("the conversation")
    talk.add_argument("--interactive", action="store_true", help="several turns, from standard input")
    talk.add_argument("--system", metavar="TEXT", default=SYSTEM_PROMPT, help="instead of the system prompt")
    talk.add_argument(
        "--tools",
        choices=("on", "off", "run"),
        default="on",
        help="show what the model calls (on), or run it and ask before anything has an effect (run)",
    )
    talk.add_argument("--yes", action="store_true", help="with --tools run: don't ask")
    options.add_model(talk)
    options.add_adapter(talk)
    parser.set_defaults(parts=[])
    given = options.words_after(parser, arguments)
    if given.interactive and given.json:
        parser.error("--json gives one object, --interactive has several turns")
    if given.yes and given.tools != "run":
        parser.error("--yes goes with --tools run")
    return given
