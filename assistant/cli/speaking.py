"""Spoken replies on the command line: their options, and a narrator whose failure never spoils the text."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.options import Options
from models.errors import AsideError, Cancelled

if TYPE_CHECKING:
    from assistant.voice.speech import Narrator


def add_say(options: Options, what: str) -> None:
    """--say and --say-to."""
    one = options.add_mutually_exclusive_group()
    one.add_argument("--say", action="store_true", help=f"speak {what}")
    one.add_argument("--say-to", metavar="FILE", help=f"speak {what} into a WAV file")


def narration(
    given: argparse.Namespace, stack: ExitStack, language: str = ""
) -> Callable[[], Narrator] | None:
    """How to speak, if it was asked for. Starts the voice in the background.

    Raises DeviceError without a speaker, MediaError if the file can't be written.
    """
    if not given.say and not given.say_to:
        return None
    from assistant.voice.speaker import FileSpeaker, SoundSink, Speaker
    from assistant.voice.speech import Narrator, Voice

    sink: SoundSink
    if given.say_to:
        sink = stack.enter_context(FileSpeaker(Path(given.say_to)))
    else:
        sink = stack.enter_context(Speaker())
    voice = stack.enter_context(Voice(language))
    return lambda: Narrator(voice, sink)


def finish(narrator: Narrator | None, cancel: threading.Event) -> AsideError | None:
    """Wait until all is spoken, or somebody asked to stop; the failure to speak."""
    if narrator is None or cancel.is_set():
        return None
    try:
        narrator.finish(cancel)
    except Cancelled:
        return None
    except AsideError as error:
        return error
    return None
