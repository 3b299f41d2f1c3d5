"""`aside bench tune`: chooses the engine's settings by measurement, for this machine and one package."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assistant import packages, tuned
from assistant.cli import options
from assistant.cli.console import STOPPED, Status, note, show

if TYPE_CHECKING:  # the benchmark's modules load onnx, which the command must not wait for
    from assistant.bench.engine.tune import Trial

_LAYERS: Final = 2
"""Of the real widths, with the same share of the vocabulary."""


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    options.add_model(parser)
    parser.add_argument(
        "--rounds", type=options.number(1, 100, whole=True), default=3, metavar="N", help="default: 3"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found to a file as well")
    parser.add_argument(
        "--blocks",
        action="store_true",
        help="the block size for packages that are built on this machine instead (2 minutes)",
    )
    parser.add_argument("--forget", action="store_true", help="go back to the defaults instead")


def run(given: argparse.Namespace) -> int:
    """Run it; returns the exit code."""
    from assistant.bench.report import machine

    conditions = machine()
    try:
        found = _blocks(given) if given.blocks else _settings(given)
    except KeyboardInterrupt:
        Status.clear()
        note("Stopped; the settings are as before.")
        return STOPPED
    finally:
        Status.clear()
    if found is not None and given.json is not None:
        text = json.dumps({"conditions": conditions, **found}, indent=1)
        given.json.write_text(text + "\n", encoding="utf-8")
    return 0


def _settings(given: argparse.Namespace) -> dict[str, Any] | None:
    """The engine's settings for one package; what was found, if anything was measured."""
    from assistant.bench.engine.tune import PROMPT, REPLY, tune
    from models import package

    info = package.check(packages.find_package(given.model))
    if given.forget:
        tuned.keep(info, None)
        show(f"{info.name} runs with the defaults again.")
        return None
    best, trials = tune(info.path, int(given.rounds), _say)
    tuned.keep(info, best)
    Status.clear()
    chosen = {name: getattr(best, name) for name in tuned.CHOSEN}
    _show(trials)
    show(f"\nA turn of {PROMPT} tokens in and {REPLY} out, each setting against the best before it.")
    show(f"Kept for {info.name} on this machine: {', '.join(f'{n} {_word(v)}' for n, v in chosen.items())}.")
    return {"package": info.name, "chosen": chosen, "trials": [trial.summary() for trial in trials]}


def _blocks(given: argparse.Namespace) -> dict[str, Any] | None:
    """The block size for packages that are built here; what was found, if anything was measured."""
    from assistant.bench.engine.tune import BLOCK_SIZES, REPLY, tune_blocks
    from models.random_weights import REAL, proportional

    if given.forget:
        tuned.keep_block_size(None)
        show(f"Packages are built with blocks of {tuned.block_size()} again.")
        return None
    best, trials = tune_blocks(proportional(REAL, _LAYERS), int(given.rounds), _say)
    tuned.keep_block_size(best)
    Status.clear()
    _show(trials)
    show(
        f"\n{REPLY} tokens written by {_LAYERS} layers of the real widths, each size against the best before "
        f"it; the first is {BLOCK_SIZES[0]}."
    )
    show(f"Packages in int4 that are built on this machine get blocks of {best}.")
    return {"chosen": best, "trials": [trial.summary() for trial in trials]}


def _say(what: str, done: float) -> None:
    Status.show(f"{100 * done:.0f} %, {what}", rare=True)


def _show(trials: Sequence[Trial]) -> None:
    from assistant.bench.report import markdown

    rows = [["tried", "times as fast", "of the memory", ""]]
    for trial in trials:
        verdict = "chosen" if trial.chosen else ""
        rows.append(
            [f"{trial.name} {_word(trial.value)}", f"{trial.quicker:.2f}", f"{trial.memory:.2f}", verdict]
        )
    show("\n".join(markdown(rows)))


def _word(value: int | str) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
