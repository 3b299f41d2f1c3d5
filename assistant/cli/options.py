"""Options that several commands share, checked as they are read."""

from __future__ import annotations

import argparse
import difflib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from assistant.cli.console import complain


class Parser(argparse.ArgumentParser):
    """Complains in one sentence."""

    def error(self, message: str) -> NoReturn:
        """End with code 2."""
        complain(f"{self._sentence(message)} See `{self.prog} --help`.")
        self.exit(2)

    def _sentence(self, message: str) -> str:
        """What argparse complains about, with what was probably meant."""
        found = re.match(r"argument ([A-Z]+): invalid choice: '(.*)' \(choose from (.*)\)", message)
        if found:
            meant = _meant(found[2], re.findall(r"[\w-]+", found[3]))
            return f"There is no {found[1].lower()} {found[2]}.{meant}"
        found = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        meant = _meant(found[1], self._option_string_actions) if found else ""
        return f"{message[:1].upper()}{message[1:]}.{meant}"


def _meant(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), 1)
    return f" Did you mean `{near[0]}`?" if near else ""


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help with the examples as they are written, and room for long options."""

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(prog, **settings | {"max_help_position": 24})


def parser(
    command: str, description: str, examples: str, usage: str | None = None
) -> argparse.ArgumentParser:
    """The parser of one subcommand. ``usage`` stands for argparse's where that would be a wall."""
    return Parser(
        prog=f"aside {command}",
        usage=usage,
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


def add_action(
    commands: Any,
    name: str,
    help_text: str,
    run: Callable[[argparse.Namespace], int],
    *more: Callable[[argparse.ArgumentParser], None],
) -> None:
    """One action of a command, with what ``more`` adds to it; it sets ``run``."""
    sentence = f"{help_text[:1].upper()}{help_text[1:]}."
    made = commands.add_parser(name, help=help_text, description=sentence, formatter_class=Formatter)
    made.set_defaults(run=run)
    for add in more:
        add(made)


def add_number(
    options: Options,
    name: str,
    limits: tuple[float, float],
    default: float,
    help_text: str,
) -> None:
    """A number within limits; whole if these are whole."""
    kind = number(*limits, whole=all(isinstance(one, int) for one in limits))
    options.add_argument(name, type=kind, default=default, metavar="N", help=help_text)


def add_quantisation(options: Options) -> None:
    """--block-size, --sensitive and --prefill of a package's language model."""
    options.add_argument(
        "--block-size",
        type=int,
        choices=(16, 32, 64, 128),
        metavar="N",
        help="weights in 4 bits that share a scale: 16 to 128; more are quicker, less exact (default: 64, or "
        "what `aside bench tune --blocks` found)",
    )
    options.add_argument(
        "--sensitive",
        choices=("int8", "int4"),
        default="int8",
        help="down projections and head of int4 (default: int8; int4 is quicker, smaller, less exact)",
    )
    options.add_argument(
        "--prefill",
        action="store_true",
        help="add the language model in 8 bits for reading prompts: quicker, and 3.9 GB more at real size",
    )


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


def words_after(options: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse options and words in any order."""
    return options.parse_intermixed_args(list(arguments))
