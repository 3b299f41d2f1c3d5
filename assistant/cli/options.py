"""Options that several commands share, checked as they are read."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from assistant.cli.console import complain
from models.errors import PackageError

MODELS: Final = "models"


class Parser(argparse.ArgumentParser):
    """Complains in one sentence."""

    def error(self, message: str) -> NoReturn:
        """End with code 2."""
        complain(f"{message[:1].upper()}{message[1:]}. See `{self.prog} --help`.")
        self.exit(2)


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help with the examples as they are written, and room for long options."""

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(prog, **settings | {"max_help_position": 28})


def parser(command: str, description: str, examples: str) -> argparse.ArgumentParser:
    """The parser of one subcommand."""
    return Parser(
        prog=f"aside {command}",
        description=description,
        epilog=f"examples:\n{examples}" if examples else None,
        formatter_class=Formatter,
        allow_abbrev=False,
    )


class Ordered(argparse.Action):
    """Collects ``(option, value)`` of several options in the order they were given, in ``parts``."""

    def __call__(  # noqa: D102 # called by argparse
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        parts = list(getattr(namespace, "parts", None) or [])
        parts.append((self.dest, values))
        namespace.parts = parts
        del option_string


Options = argparse.ArgumentParser | argparse._ArgumentGroup


def add_model(options: Options) -> None:
    """--model."""
    options.add_argument(
        "--model",
        metavar="PATH",
        default="nano",
        help="a model package: a folder, or a name that `aside models list` shows (default: nano)",
    )


def add_adapter(options: Options) -> None:
    """--adapter."""
    options.add_argument(
        "--adapter",
        metavar="NAME",
        help="your own LoRA of the package, in place of its adapters for pictures and sound",
    )


def add_json(options: Options) -> None:
    """--json."""
    options.add_argument("--json", action="store_true", help="print one JSON object at the end instead")


def number(lowest: float, highest: float, whole: bool = False) -> Callable[[str], float]:
    """A type for argparse: a number in a range; NaN is none."""

    def read(text: str) -> float:
        try:
            value: float = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not lowest <= value <= highest:
            kind = "a whole number" if whole else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {kind} from {lowest:g} to {highest:g}")
        return value

    return read


def data_folder() -> Path:
    """Where packages that a person fetched or built may lie, to be found by name."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    return base / "aside"


def package_folders() -> dict[str, Path]:
    """All packages that have a name: nano, and the folders in the data folder."""
    from models import package  # loads onnx, which `aside --help` does without

    found = {"nano": package.embedded()}
    folder = data_folder() / MODELS
    if folder.is_dir():
        for entry in sorted(folder.iterdir()):
            if (entry / package.GENAI_CONFIG).is_file() and entry.name not in found:
                found[entry.name] = entry
    return found


def find_package(name: str) -> Path:
    """A package by folder or name. Raises PackageError."""
    if "\0" in name or not name:
        raise PackageError("A model needs a name or a folder.")
    named = package_folders()
    if name in named and not Path(name).is_dir():
        return named[name]
    if name == "nano":
        return named[name]
    if not Path(name).is_dir():
        raise PackageError(
            f"There is no model package {name}.", "`aside models list` shows those that have a name."
        )
    return Path(name)


def words_after(options: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse options and words in any order."""
    return options.parse_intermixed_args(list(arguments))
