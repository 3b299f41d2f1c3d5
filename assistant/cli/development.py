"""`aside dev`: commands for those who work on Aside."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

from assistant import packages
from assistant.cli import options
from assistant.cli.desktop import need_display

_FILES = Path(__file__).parent / "demo_files"


def dev(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    words = options.parser("dev", "Commands for those who work on Aside.", "  aside dev screenshots gallery")
    commands = words.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
    shots = commands.add_parser("screenshots", help="write every screen, light and dark, as PNG files")
    shots.add_argument("folder", type=Path)
    shots.add_argument("--language", choices=("en", "zh"), default="en")
    options.add_model(shots)
    given = words.parse_args(list(arguments))
    need_display()
    screenshots: Callable[..., list[Path]] = importlib.import_module("ui.dev.gallery").screenshots
    package = packages.find_package(given.model)
    files = _FILES / "shapes.png", _FILES / "question.wav"
    for path in screenshots(given.folder, package, *files, given.language):
        print(path)
    return 0
