"""Entry of the `aside` command: finds the subcommand, and turns each failure into one sentence and a code."""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from assistant import __version__
from assistant.cli import options
from assistant.cli.console import STOPPED, complain
from assistant.instance import REQUESTS
from models.errors import AsideError, Cancelled, EngineError

GROUPS: Final = {
    "ask from the terminal": {
        "ask": "ask about text, recordings and pictures, and hear the answer",
        "transcribe": "write down what is said in a recording or into the microphone",
        "translate": "the same, and translate it",
        "demo": "a spoken question about a picture, heard, answered and spoken",
    },
    "the window": {
        "desktop": "open it: speak, show, type, hear",
        "show": "bring it to the front",
        "listen": "let it listen, as its hotkey does",
        "handsfree": "have it listen again after each answer, or no longer",
        "screenshot": "ask it about the screen",
        "camera": "ask it about what the camera sees",
        "stop": "silence it",
        "quit": "end it",
    },
    "look and change": {
        "doctor": "look at devices, libraries, model and memory, and say what is missing",
        "settings": "show and change what a person can choose",
        "models": "list, describe, build and check model packages",
        "history": "list, search, export and delete the conversations that were kept",
        "timers": "show the timers, alarms and reminders that are set, and cancel them",
        "usage": "show when microphone, camera, screen and network were used",
        "bench": "measure how fast it is on this machine",
        "dev": "commands for those who work on Aside",
    },
}
COMMANDS: Final = {name: about for group in GROUPS.values() for name, about in group.items()}
_EXAMPLES: Final = """examples:
  aside ask "Set a timer for five minutes"
  aside ask --image photo.jpg "What is in this picture?"
  aside ask --audio question.wav --image photo.jpg --say
  aside transcribe interview.mp3
  aside translate --to German speech.ogg
  aside history search "train to Berlin"

exit codes:
  0    done
  1    a report missed a bar
  2    the words, a file, a device or the model package can't be used
  3    the engine failed, or `aside doctor` found something missing
  130  stopped with Ctrl-C; what was produced until then is kept

`aside COMMAND --help` tells more about each command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that can't show a character gets its number
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    if not words or words[0] not in COMMANDS:
        parser.parse_args(words)  # ends here with help, the version or a complaint
        parser.print_help()
        return 0
    try:
        return _run(words[0])(words[1:])
    except (KeyboardInterrupt, Cancelled):
        return STOPPED
    except EngineError as error:
        complain(error)
        return 3
    except AsideError as error:
        complain(error)
        return 2
    except BrokenPipeError:  # the reader of our output has gone, as in `aside … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the last resort: still one sentence
        if "ASIDE_DEBUG" in os.environ:
            traceback.print_exc()
        reason = f"{type(error).__name__}: {error}".strip().rstrip(".")
        complain(f"Something went wrong ({reason}). Run it again with ASIDE_DEBUG=1 for details.")
        return 3


def _open_closed_streams() -> None:
    """Standard streams that the caller closed become empty and endless; Python has None in their place.

    The lowest numbers are free then, so no other file gets the number of a standard stream.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, closefd=False))


def _run(command: str) -> Callable[[Sequence[str]], int]:
    """The function of a subcommand; only its module is imported, so that --help is quick."""
    if command in REQUESTS:
        request = importlib.import_module("assistant.cli.desktop").request
        return functools.partial(request, command)
    module, function = {
        "desktop": ("assistant.cli.desktop", "desktop"),
        "bench": ("assistant.cli.bench", "bench"),
        "dev": ("assistant.cli.development", "dev"),
        "ask": ("assistant.cli.ask", "ask"),
        "transcribe": ("assistant.cli.transcribe", "transcribe"),
        "translate": ("assistant.cli.transcribe", "translate"),
        "demo": ("assistant.cli.demo", "demo"),
        "doctor": ("assistant.cli.doctor", "doctor"),
        "settings": ("assistant.cli.settings", "settings"),
        "models": ("assistant.cli.packages", "models"),
        "timers": ("assistant.cli.timers", "timers"),
        "usage": ("assistant.cli.usage", "usage"),
        "history": ("assistant.cli.history", "history"),
    }[command]
    with _ended_by_interrupt():
        run: Callable[[Sequence[str]], int] = getattr(importlib.import_module(module), function)
    return run


@contextlib.contextmanager
def _ended_by_interrupt() -> Iterator[None]:
    """Ctrl-C ends the process at once: native modules swallow a KeyboardInterrupt while they are imported."""
    before = signal.signal(signal.SIGINT, lambda *_: os._exit(STOPPED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _listed() -> str:
    """All commands, by what they are for."""
    return "\n\n".join(
        "\n".join([f"{title}:", *(f"  {name:<11} {about}" for name, about in group.items())])
        for title, group in GROUPS.items()
    )


def _parser() -> argparse.ArgumentParser:
    parser = options.Parser(
        prog="aside",
        usage="aside COMMAND [OPTIONS] ...",
        description="Aside: a voice-and-vision assistant that runs on this machine alone.",
        epilog=f"{_listed()}\n\n{_EXAMPLES}",
        formatter_class=options.Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"aside {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", help=argparse.SUPPRESS)
    for name in COMMANDS:
        commands.add_parser(name, add_help=False, allow_abbrev=False)
    return parser
