"""`aside desktop` opens the window; `aside show`, `listen`, `camera`, `quit` and others talk to it."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, cast

from assistant import instance, menu, packages
from assistant.cli import options
from models.errors import DeviceError

_EXAMPLES: Final = """  aside desktop
  aside listen        bind this to a key in the settings of a Wayland desktop
  aside quit"""
_SAID: Final = {
    "show": "bring the window of the running Aside to the front",
    "listen": "let the running Aside listen, as its hotkey does",
    "listen-transcribe": "let the running Aside write down what is said, until it is told so again",
    "listen-translate": "let the running Aside translate what is said, until it is told so again",
    "screenshot": "let the running Aside ask about the screen",
    "handsfree": "let the running Aside listen again after each answer, or no longer",
    "camera": "let the running Aside look through the camera, and take a picture if it does",
    "stop": "let the running Aside be silent and stop what it is doing",
    "quit": "end the running Aside",
}


def need_display() -> None:
    """Raises DeviceError where no window can be shown; Qt would end the process."""
    named = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))
    if not named and sys.platform not in ("win32", "darwin"):
        raise DeviceError(
            "There is no display to open a window on.",
            'Set DISPLAY or WAYLAND_DISPLAY, or use the terminal: `aside ask "Hello!"`',
        )


def desktop(arguments: Sequence[str]) -> int:
    """Open the window, or raise that of the instance that runs; returns the exit code."""
    words = options.parser(
        "desktop", "Open Aside's window, or bring the one that is open to the front.", _EXAMPLES
    )
    words.add_argument("--model", metavar="PATH", help="a model package in place of the one in the settings")
    words.add_argument("--hidden", action="store_true", help="start in the tray, as at login")
    words.add_argument("--install", action="store_true", help="put Aside into the desktop's menu, and end")
    words.add_argument("--trace", type=Path, metavar="FILE", help=argparse.SUPPRESS)  # for `aside bench`
    given = words.parse_args(list(arguments))
    if given.install:
        print(*menu.install(), sep="\n")
        return 0
    need_display()
    place = instance.claim()
    while place is None:
        if instance.tell("show"):
            return 0
        place = instance.claim()  # the other one has just ended
    with place:
        path = packages.find_package(given.model) if given.model else None
        run: Callable[..., int] = importlib.import_module("ui.start").run  # Qt is only loaded here
        name = Path(given.model or "").name
        return run(place, path, name, packages.data_folder(), hidden=given.hidden, trace=given.trace)


def request(word: str, arguments: Sequence[str]) -> int:
    """Give one request to the running instance; returns the exit code."""
    parser = options.parser(word, f"{_SAID[word][0].upper()}{_SAID[word][1:]}.", "")
    if word == "listen":
        modes = ("chat", "transcribe", "translate")
        parser.add_argument("--mode", choices=modes, default="chat", help="what is done with what is said")
    mode = getattr(parser.parse_args(list(arguments)), "mode", "chat")
    word = word if mode == "chat" else f"{word}-{mode}"
    if not instance.tell(cast("instance.Request", word)):
        if word in ("stop", "quit"):
            return 0  # as it was asked
        raise DeviceError("Aside is not running.", "Start it: `aside desktop`")
    return 0
