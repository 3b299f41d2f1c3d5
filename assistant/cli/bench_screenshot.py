"""`aside bench screenshot`: a spoken question about the screen, its picture ready or not."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from assistant import packages
from assistant.cli import looking, options
from assistant.cli.console import STOPPED, Status, note, show


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    options.add_model(parser)
    parser.add_argument(
        "--rounds", type=options.number(1, 100, whole=True), default=3, metavar="N", help="default: 3"
    )
    parser.add_argument(
        "--detail",
        type=looking.level,
        default="fine",
        metavar="HOW",
        help="auto, quick, fine, or crops at most (default: fine)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found to a file as well")


def run(given: argparse.Namespace) -> int:
    """Run it; returns the exit code: 1 if the bar was missed."""
    from assistant.bench.screenshot import measure

    try:
        found = measure(
            packages.find_package(given.model),
            int(given.rounds),
            given.detail,
            lambda what, done: Status.show(f"{100 * done:.0f} %, {what}", rare=True),
        )
    except KeyboardInterrupt:
        Status.clear()
        note("Stopped.")
        return STOPPED
    finally:
        Status.clear()
    show(found.table())
    if given.json is not None:
        given.json.write_text(json.dumps(found.as_json(), indent=1) + "\n", encoding="utf-8")
    return 1 if any(one.verdict == "missed" for one in found.measures) else 0
