"""`aside bench tune`: chooses the engine's settings by measurement, for this machine and one package."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from assistant import packages, tuned
from assistant.cli import options
from assistant.cli.console import STOPPED, Status, note, show


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    options.add_model(parser)
    parser.add_argument(
        "--rounds", type=options.number(1, 100, whole=True), default=3, metavar="N", help="default: 3"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found to a file as well")
    parser.add_argument("--forget", action="store_true", help="go back to the defaults instead")


def run(given: argparse.Namespace) -> int:
    """Run it; returns the exit code."""
    from assistant.bench.engine.tune import PROMPT, REPLY, tune
    from assistant.bench.report import machine, markdown
    from models import package

    info = package.check(packages.find_package(given.model))
    if given.forget:
        tuned.keep(info, None)
        show(f"{info.name} runs with the defaults again.")
        return 0
    conditions = machine()
    try:
        best, trials = tune(
            info.path,
            int(given.rounds),
            lambda what, done: Status.show(f"{100 * done:.0f} %, {what}", rare=True),
        )
    except KeyboardInterrupt:
        Status.clear()
        note("Stopped; the settings are as before.")
        return STOPPED
    finally:
        Status.clear()
    tuned.keep(info, best)
    chosen = {name: getattr(best, name) for name in tuned.CHOSEN}
    rows = [["tried", "times as fast", "of the memory", ""]]
    for trial in trials:
        verdict = "chosen" if trial.chosen else ""
        rows.append(
            [f"{trial.name} {_word(trial.value)}", f"{trial.quicker:.2f}", f"{trial.memory:.2f}", verdict]
        )
    show("\n".join(markdown(rows)))
    show(f"\nA turn of {PROMPT} tokens in and {REPLY} out, each setting against the best before it.")
    show(f"Kept for {info.name} on this machine: {', '.join(f'{n} {_word(v)}' for n, v in chosen.items())}.")
    if given.json is not None:
        found = {
            "conditions": conditions,
            "package": info.name,
            "chosen": chosen,
            "trials": [trial.summary() for trial in trials],
        }
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def _word(value: int | str) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
