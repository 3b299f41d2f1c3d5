"""`aside bench engine`: the engine beside onnxruntime-genai and llama.cpp, at the real model's shapes."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

import psutil

from assistant import tuned
from assistant.cli import options
from assistant.cli.console import STOPPED, Status, note, show
from assistant.packages import data_folder
from models.errors import EngineError

QUICK_LAYERS: Final = 4


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument(
        "--quick", action="store_true", help="an eighth of the model's depth and vocabulary, scaled ratios"
    )
    parser.add_argument(
        "--layers", type=options.number(1, 32, whole=True), metavar="N", help="so many of the 32 layers"
    )
    parser.add_argument(
        "--rounds",
        type=options.number(1, 100, whole=True),
        metavar="N",
        help="how often all is measured (default: 3, and 5 with --quick)",
    )
    parser.add_argument(
        "--best", action="store_true", help="the best of the rounds instead of medians: on a busy machine"
    )
    parser.add_argument(
        "--threads", type=options.number(1, 1024, whole=True), metavar="N", help="default: one a core"
    )
    options.add_quantisation(parser)
    parser.add_argument(
        "--folder", type=Path, help="where what is measured is built and kept (default: the data folder)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement to a file")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture of it (SVG)")


def run(given: argparse.Namespace) -> int:
    """Run it; returns the exit code: 1 if an aim was missed."""
    from assistant.bench.engine.chart import draw
    from assistant.bench.engine.prepare import prepare
    from assistant.bench.engine.run import measure
    from assistant.bench.engine.table import report
    from assistant.bench.report import machine
    from models.export import PrecisionPlan
    from models.random_weights import REAL, proportional

    if getattr(sys, "frozen", False):
        raise EngineError("This Aside can't start the other engines.", "Install Aside from its source.")
    layers = int(given.layers or (QUICK_LAYERS if given.quick else REAL.layers))
    conditions = machine()
    try:
        plan = prepare(
            proportional(REAL, layers),
            given.folder or data_folder() / "bench",
            int(given.rounds or (5 if given.quick else 3)),
            int(given.threads or psutil.cpu_count(logical=False) or 1),
            precision=PrecisionPlan.named(
                "int4",
                given.block_size or tuned.block_size(),
                sensitive=given.sensitive,
                prefill=given.prefill,
            ),
            best=given.best,
            progress=lambda stage, done, total: Status.show(
                f"Building {stage}: {100 * done / total:.0f} %", rare=True
            ),
        )
        for name, why in plan.missing.items():
            note(f"{name} is missing: {why}")
        found = measure(plan, lambda what, done: Status.show(f"{100 * done:.0f} %, {what}", rare=True))
    finally:
        Status.clear()
    conditions["load after"] = round(psutil.getloadavg()[0], 2)
    if found.stopped:
        note("Stopped; this is what was measured until then.")
    show(report(found, conditions))
    if given.json is not None:
        given.json.write_text(json.dumps(found.as_json(conditions), indent=1) + "\n", encoding="utf-8")
    if given.plot is not None:
        given.plot.write_text(draw(found), encoding="utf-8")
    if found.stopped:
        return STOPPED
    return 1 if any(aim.verdict == "missed" for aim in found.aims()) else 0
