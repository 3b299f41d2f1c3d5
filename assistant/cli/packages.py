"""`aside models`: the packages on this machine: list, info, build, check."""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from assistant import packages, tuned
from assistant.cli import conversation, options
from assistant.cli.console import STOPPED, Status, complain, note, show, show_json, stoppable
from assistant.engine.protocol import Clip, Finished, GenerateOptions, Picture, Token
from models import package
from models.adapters import check_name
from models.errors import Cancelled, PackageError
from models.package import PackageInfo

_EXAMPLES = """  aside models list
  aside models info nano
  aside models build ~/Phi-4-multimodal-instruct ~/phi4mm-int4 --precision int4
  aside models build ~/Phi-4-multimodal-instruct ~/phi4mm-int4 --lora legal=~/my-lora
  aside models build --shape real --random --layers 2 ./for-timing
  aside models check ~/phi4mm-int4
  aside models check nano --report"""


def models(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    parser = options.parser("models", "List, describe, build and check model packages.", _EXAMPLES)
    commands = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    action = partial(options.add_action, commands)
    action("list", "the packages that have a name", _list, options.add_json)
    action("info", "what is known about a package", _info, _name, options.add_json)
    action("build", "make a package from a checkpoint", _build, _build_options)
    action("check", "whether a package is complete, safe and works", _check, _check_options)
    given = parser.parse_args(list(arguments))
    run: Callable[[argparse.Namespace], int] = given.run
    return run(given)


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("package", metavar="NAME", help="a name or a folder")


def _list(given: argparse.Namespace) -> int:
    rows = []
    for name, path in packages.package_folders().items():
        try:
            info = package.check(path)
            rows.append({"name": name, "bytes": info.bytes, "path": str(path), "problem": ""})
        except PackageError as error:
            rows.append({"name": name, "bytes": 0, "path": str(path), "problem": str(error)})
    if given.json:
        show_json(rows)
        return 0
    for row in rows:
        about = f"{_size(int(str(row['bytes']))):>9}" if not row["problem"] else "  damaged"
        show(f"{row['name']:<20} {about}  {row['path']}")
        if row["problem"]:
            show(f"{'':20} {row['problem']}")
    show(f"Packages that you put into {packages.data_folder() / packages.MODELS} appear here by name.")
    return 0


def _info(given: argparse.Namespace) -> int:
    info = package.check(packages.find_package(given.package))
    if given.json:
        show_json(_described(info))
        return 0
    show(f"{info.name}: {info.description}" if info.description else info.name)
    show(f"  folder       {info.path}")
    show(f"  size         {_size(info.bytes)} in {len(info.files)} files")
    memory = _size(info.kv_bytes(info.context_length))
    show(f"  context      {info.context_length:,} tokens ({memory} of memory)")
    for graph, precision in info.precision.items():
        show(f"  {graph:<12} {precision}")
    for adapter in info.own_adapters:
        show(f"  adapter      {adapter}")
    for limit in info.limits:
        show(f"  limit        {limit}")
    return 0


def _described(info: PackageInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "description": info.description,
        "limits": list(info.limits),
        "path": str(info.path),
        "bytes": info.bytes,
        "precision": dict(info.precision),
        "context_length": info.context_length,
        "adapters": list(info.own_adapters),
        "files": dict(info.files),
    }


# --- build


def _build_options(parser: argparse.ArgumentParser) -> None:
    parser.usage = (
        "aside models build [OPTIONS] CHECKPOINT OUT\n       aside models build --random [OPTIONS] OUT"
    )
    parser.add_argument("paths", nargs="+", metavar="FOLDER", help="the checkpoint's folder, and the new one")
    parser.add_argument(
        "--precision", choices=("fp32", "fp16", "int8", "int4"), default="int4", help="(default: int4)"
    )
    options.add_quantisation(parser)
    parser.add_argument(
        "--lora",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="take in an adapter of your own, a folder that PEFT has saved (repeatable)",
    )
    parser.add_argument("--random", action="store_true", help="random weights, for measuring speed")
    parser.add_argument(
        "--shape", choices=("real",), default="real", help="of random weights: the real model's"
    )
    parser.add_argument(
        "--layers", type=options.number(1, 1000, whole=True), metavar="N", help="only so many"
    )
    parser.add_argument("--name", help="what the package calls itself (default: its folder's name)")
    parser.add_argument("--replace", action="store_true", help="replace OUT if it exists")


def _build(given: argparse.Namespace) -> int:
    from models.export import Card, PrecisionPlan, build
    from models.random_weights import REAL, RandomCheckpoint, shortened

    wanted = 1 if given.random else 2
    if len(given.paths) != wanted:
        raise PackageError(
            "Give the new folder only." if given.random else "Give the checkpoint's folder and the new one.",
            "See `aside models build --help`.",
        )
    if given.layers and not given.random:
        raise PackageError("--layers goes with --random only.")
    loras = _loras(given.lora)
    if loras and given.random:
        raise PackageError("--lora goes with a checkpoint only.")
    out = Path(given.paths[-1])
    source: Path | RandomCheckpoint = Path(given.paths[0])
    if given.random:
        source = RandomCheckpoint(shortened(REAL, int(given.layers)) if given.layers else REAL)
    plan = PrecisionPlan.named(
        given.precision,
        given.block_size or tuned.block_size(),
        sensitive=given.sensitive,
        prefill=given.prefill,
    )
    started = time.monotonic()

    def progress(stage: str, done: int, total: int) -> None:
        share = done / max(total, 1)
        spent = time.monotonic() - started
        left = f", {_time(spent / share - spent)} left" if 0.02 < share < 1 else ""
        Status.show(f"{stage}: {100 * share:.0f} % of {total / 1e6:,.0f} million weights{left}", rare=True)

    with stoppable() as cancel:
        try:
            build(
                source,
                out,
                plan,
                progress,
                cancel.is_set,
                card=Card(given.name or out.name),
                loras=loras,
                replace=given.replace,
            )
        except Cancelled:
            note("Stopped; nothing was written.")
            return STOPPED
        finally:
            Status.clear()
    info = package.check(out)
    show(f"{out}: {_size(info.bytes)} in {_time(time.monotonic() - started)}")
    return 0


def _loras(given: Sequence[str]) -> dict[str, Path]:
    """The folders of ``--lora NAME=FOLDER`` by name."""
    loras: dict[str, Path] = {}
    for words in given:
        name, equals, folder = words.partition("=")
        if not equals or not folder or name in loras:
            problem = f"gives the name {name} twice" if equals and folder else "is not NAME=FOLDER"
            raise PackageError(f"--lora {words} {problem}.", "For example: --lora legal=my-lora.")
        check_name(name)
        loras[name] = Path(os.path.expanduser(folder))  # noqa: PTH111 # Path's raises for ~nobody
        if not loras[name].is_dir():
            raise PackageError(f"There is no folder {folder}.", "Give a folder that PEFT has saved.")
    return loras


# --- check


def _check_options(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("--no-start", action="store_true", help="look at the files only")
    parser.add_argument(
        "--report", action="store_true", help="ask the model new questions and print its figures"
    )
    options.add_number(
        parser, "--size", (8, 10000), 100, "questions of each kind in the report (default: 100)"
    )
    options.add_json(parser)


def _check(given: argparse.Namespace) -> int:
    path = packages.find_package(given.package)
    Status.show("Comparing checksums …")
    info = package.check(path, full=True)
    Status.clear()
    result: dict[str, Any] = {"name": info.name, "path": str(path), "files": "complete and unchanged"}
    if not given.json:
        show(
            f"{info.name}: {len(info.files)} files, {_size(info.bytes)}, complete, unchanged and safe to load"
        )
    code = 0
    if given.report:
        code = _report(given, path, result)
    elif not given.no_start:
        started = time.monotonic()
        with conversation.open_model(path) as session, stoppable() as cancel:
            ready = time.monotonic() - started
            session.append(*conversation.question("Hello"))
            answer = conversation.reply(session, GenerateOptions(max_tokens=8), lambda _: None, cancel)
        result |= {"start_seconds": round(ready, 2), "answer_seconds": round(answer.seconds, 2)}
        if answer.reason == "cancelled":
            return STOPPED
        if not given.json:
            show(f"It starts in {ready:.1f} s and answers.")
    if given.json:
        show_json(result)
    return code


def _report(given: argparse.Namespace, path: Path, result: dict[str, Any]) -> int:
    """Print the figures of `models.nano.evaluate`; 1 if one misses its bar."""
    from assistant.engine import prompt
    from models.nano import evaluate
    from models.nano.asking import Asked, Sound
    from models.prompts import TOOLS

    figures = []
    count = itertools.count(1)
    with conversation.open_model(path) as session, stoppable() as cancel:

        def ask(asked: Asked) -> str:
            if asked.goes_on:
                session.append(*prompt.end())
            else:
                session.rewind(0)
                session.append(*prompt.system(TOOLS if asked.tools else ()))
            parts: list[prompt.Part] = []
            for part in asked.parts:
                if isinstance(part, Sound):
                    parts.append(Clip(part.samples, part.rate))
                else:
                    parts.append(part if isinstance(part, str) else Picture(part))
            session.append(*conversation.question(*parts))
            text = []
            limit = GenerateOptions(max_tokens=192)
            for event in session.generate(limit, cancel):
                if isinstance(event, Token):
                    text.append(event.text)
                if isinstance(event, Finished) and event.reason == "cancelled":
                    raise Cancelled("The report was stopped.")
            Status.show(f"{next(count):,} questions asked", rare=True)
            return "".join(text)

        for figure in evaluate.report(ask, int(given.size)):
            figures.append(figure)
            Status.clear()
            if not given.json:
                show(str(figure))
    missed = [figure.name for figure in figures if not figure.passed]
    result["figures"] = [
        {
            "name": f.name,
            "rate": round(f.rate, 4),
            "right": f.right,
            "count": f.count,
            "low": round(f.interval[0], 4),
            "high": round(f.interval[1], 4),
            "bar": None if f.bar is None else round(f.bar, 4),
            "note": f.note,
        }
        for f in figures
    ]
    if missed:
        complain(f"{len(missed)} figures miss their bar: {', '.join(missed)}.")
    return 1 if missed else 0


def _size(count: int) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes} min {left} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
