"""What the command line shows: the answer on stdout as it comes, progress and complaints on stderr."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, TextIO

from models.errors import AsideError

STOPPED: Final = 130  # exit code after Ctrl-C, as of any program ended by SIGINT
_EVERY: Final = 10.0  # s between lines of progress that no terminal shows
_REDRAW: Final = 0.1  # s


def put(text: str, stream: TextIO) -> None:
    """Write text as `printable` leaves it; everything but `Status` comes to the terminal through here."""
    Status.clear()
    stream.write(printable(text))
    stream.flush()


def complain(error: AsideError | str) -> None:
    """One sentence or two on stderr."""
    note(f"aside: {error}")


def note(text: str) -> None:
    """A remark on stderr that is no part of the output."""
    put(text + "\n", sys.stderr)


def show(text: str = "") -> None:
    """A line on stdout."""
    put(text + "\n", sys.stdout)


def show_json(value: object) -> None:
    """The machine-readable result on stdout; JSON's own escapes stand for what a terminal might obey."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    show("".join(c if _harmless(c) else _escaped(c) for c in text))


def printable(text: str) -> str:
    """Text without control characters, so that a model or a file can't drive the terminal."""
    return "".join(c if _harmless(c) else " " for c in text)


def _escaped(character: str) -> str:
    """A character in JSON's way: one or two units of UTF-16."""
    return re.sub("....", r"\\u\g<0>", character.encode("utf-16-be", "surrogatepass").hex())


def _harmless(character: str) -> bool:
    """Tell whether it is seen or parts what is seen; Unicode's joiners stand inside words and emoji."""
    return character.isprintable() or character in "\n\t\u200c\u200d"


class Output:
    """The answer on stdout, bit by bit; with ``as_json``, one object at the end instead."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._open = False  # whether the cursor is in the middle of a line

    def text(self, part: str) -> None:
        """The next bit of a streamed text."""
        if self.as_json or not part:
            return
        put(part, sys.stdout)
        self._open = not part.endswith("\n")

    def line(self, text: str = "") -> None:
        """A line of its own."""
        self.text(("\n" if self._open else "") + text + "\n")

    def end(self) -> None:
        """Finish a streamed text."""
        if self._open:
            self.text("\n")

    def json(self, value: object) -> None:
        """The machine-readable result."""
        if self.as_json:
            show_json(value)


class Status:
    """One line on stderr that tells what is going on; on a terminal it is overwritten and disappears."""

    _shown = ""
    _last = time.monotonic()

    @classmethod
    def show(cls, text: str, rare: bool = False) -> None:
        """Show ``text``; where there is no terminal, only if ``rare`` and not more often than every 10 s."""
        now = time.monotonic()
        if sys.stderr.isatty():
            if now - cls._last < _REDRAW and cls._shown:
                return
            width = shutil.get_terminal_size().columns - 1
            text = printable(text)[:width]
            sys.stderr.write("\r" + text.ljust(len(cls._shown)))
            sys.stderr.flush()
            cls._shown, cls._last = text, now
        elif rare and now - cls._last >= _EVERY:
            note(text)
            cls._last = now

    @classmethod
    def clear(cls) -> None:
        """Remove the line."""
        if cls._shown:
            sys.stderr.write("\r" + " " * len(cls._shown) + "\r")
            sys.stderr.flush()
            cls._shown = ""


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """Inside, the first Ctrl-C sets the event, for work that stops by itself; the second one interrupts."""
    cancel = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if cancel.is_set():
            raise KeyboardInterrupt
        cancel.set()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)
