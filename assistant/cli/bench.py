"""`aside bench`: how fast it is on this machine."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from assistant import packages
from assistant.bench.report import Report
from assistant.cli import bench_engine, bench_screenshot, bench_tune, options
from models.errors import MediaError

_EXAMPLES: Final = """  aside bench desktop --virtual
  aside bench desktop --runs 3 --json found.json
  aside bench engine --quick --json found.json --plot found.svg
  aside bench screenshot --model phi4mm --rounds 5
  aside bench tune --model phi4mm"""


def bench(arguments: Sequence[str]) -> int:
    """Run the benchmark; returns the exit code: 1 if a bar was missed."""
    words = options.parser("bench", "Measure how fast Aside is on this machine.", _EXAMPLES)
    commands = words.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
    desktop = commands.add_parser(
        "desktop", help="the window: start, hotkey to sound, interruption, gaps in its event loop"
    )
    desktop.add_argument(
        "--runs", type=options.number(1, 1000, whole=True), default=10, metavar="N", help="default: 10"
    )
    desktop.add_argument(
        "--virtual", action="store_true", help="on an X server and window manager of its own (Xvfb, openbox)"
    )
    desktop.add_argument("--json", type=Path, metavar="FILE", help="write what was found to a file as well")
    options.add_model(desktop)
    desktop.set_defaults(run=_desktop)
    engine = commands.add_parser(
        "engine", help="the model's engine beside onnxruntime-genai and llama.cpp", allow_abbrev=False
    )
    bench_engine.add(engine)
    engine.set_defaults(run=bench_engine.run)
    screenshot = commands.add_parser(
        "screenshot", help="a spoken question about the screen, its picture ready or not", allow_abbrev=False
    )
    bench_screenshot.add(screenshot)
    screenshot.set_defaults(run=bench_screenshot.run)
    tune = commands.add_parser(
        "tune", help="choose the engine's settings for this machine by measurement", allow_abbrev=False
    )
    bench_tune.add(tune)
    tune.set_defaults(run=bench_tune.run)
    given = words.parse_args(list(arguments))
    for file in (given.json, getattr(given, "plot", None)):
        if file is not None and not (file.parent.is_dir() and os.access(file.parent, os.W_OK)):
            raise MediaError(f"{file} can't be written.", "Give a file in a folder that there is.")
    run: Callable[[argparse.Namespace], int] = given.run
    return run(given)


def _desktop(given: argparse.Namespace) -> int:
    found = _measured(given)
    print(found.table())
    if given.json is not None:
        given.json.write_text(json.dumps(found.as_json(), indent=1) + "\n", encoding="utf-8")
    return 1 if any(measure.verdict == "missed" for measure in found.measures) else 0


def _measured(given: argparse.Namespace) -> Report:
    driver = importlib.import_module("ui.dev.bench")
    measure: Callable[..., Report] = driver.measure
    setting = driver.Setting(
        packages.find_package(given.model), Path(given.model).name, int(given.runs), given.virtual
    )
    return measure(setting, lambda text: print(text, file=sys.stderr))
