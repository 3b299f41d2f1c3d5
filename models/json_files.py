"""Reads JSON files from strangers: plain files of a bounded size, and values of the type they should have."""

from __future__ import annotations

import json
import math
import os
import reprlib
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from models.errors import AsideError

LARGEST: Final = 64 * 2**20  # bytes; a real tokenizer.json has 16 MB
_MOST: Final = 10_000_000


def read_bytes(path: Path, error: type[AsideError], remedy: str = "", most: int = LARGEST) -> bytes:
    """The content of a small file.

    Raises ``error`` when it is missing, can't be read, is no plain file (a pipe, a device) or has more than
    ``most`` bytes.
    """
    try:
        # without O_NONBLOCK, opening a pipe waits for somebody to write into it
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise error(f"{path} is not a plain file.", remedy)
            data = file.read(most + 1)
    except FileNotFoundError:
        raise error(f"{path} is missing.", remedy) from None
    except (OSError, ValueError) as reason:  # ValueError: a null character in the path
        raise error(f"{path} can't be read: {getattr(reason, 'strerror', None) or reason}.", remedy) from None
    if len(data) > most:
        raise error(f"{path} is far too large: more than {most:,} bytes.", remedy)
    return data


def parse_object(data: bytes, name: str, error: type[AsideError], remedy: str = "") -> dict[str, Any]:
    """The JSON object in ``data``; raises ``error``, naming the file ``name``, when there is none."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    except RecursionError:
        raise error(f"{name} is damaged: it is nested too deeply.", remedy) from None
    except ValueError as reason:
        raise error(f"{name} is damaged: {reason}.", remedy) from None
    if not isinstance(value, dict):
        raise error(f"{name} is not a JSON object.", remedy)
    return value


def read_object(path: Path, error: type[AsideError], remedy: str = "") -> dict[str, Any]:
    """The JSON object in a file; raises ``error`` when there is none."""
    return parse_object(read_bytes(path, error, remedy), str(path), error, remedy)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without repeated keys: Python keeps the last one, but other readers obey them all."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice")
    return found


@dataclass(frozen=True)
class Fields:
    """A JSON object whose values are checked as they are taken; ``null`` counts as absent.

    Every method raises ``error`` with a sentence that names the file and the field: when the value is of
    another type or out of bounds, or when it is absent and there is no default.
    """

    values: Mapping[str, Any]
    file: str
    error: type[AsideError]
    remedy: str = ""
    prefix: str = ""

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def wrong(self, name: str, wanted: str) -> AsideError:
        """The error that the field ``name`` is not what is ``wanted``."""
        value = reprlib.repr(self.values.get(name))
        return self.error(f"{self.prefix}{name} in {self.file} is {value}, not {wanted}.", self.remedy)

    def whole(self, name: str, default: int | None = None, least: int = 1, most: int = _MOST) -> int:
        """A whole number from ``least`` to ``most``."""
        value = self._value(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.wrong(name, f"a whole number from {least:,} to {most:,}")
        return value

    def wholes(self, name: str, least: int = 0, most: int = _MOST) -> list[int]:
        """A whole number or a list of them, as a list; empty when absent."""
        value = self.values.get(name)
        found = value if isinstance(value, list) else [] if value is None else [value]
        if not all(type(v) is int and least <= v <= most for v in found):
            raise self.wrong(name, f"whole numbers from {least:,} to {most:,}")
        return found

    def real(
        self, name: str, default: float | None = None, above: float = -math.inf, most: float = math.inf
    ) -> float:
        """A finite number greater than ``above`` and not greater than ``most``."""
        value = self._value(name, default)
        if not _finite(value) or not above < value <= most:
            bounds = [f" greater than {above:g}"] * (above > -math.inf) + [f" up to {most:g}"] * (
                most < math.inf
            )
            raise self.wrong(name, "a number" + " and".join(bounds))
        return float(value)

    def reals(self, name: str, count: int, above: float = 0.0) -> tuple[float, ...]:
        """A list of ``count`` finite numbers greater than ``above``."""
        value = self._value(name, None)
        if not isinstance(value, list) or not all(_finite(v) and v > above for v in value):
            raise self.wrong(name, f"a list of numbers greater than {above:g}")
        if len(value) != count:
            raise self.error(
                f"{self.prefix}{name} in {self.file} has {len(value)} numbers, {count} are needed.",
                self.remedy,
            )
        return tuple(float(v) for v in value)

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def expect(self, name: str, *wanted: object) -> None:
        """Raise unless the value is absent or one of ``wanted``."""
        if name in self and self.values[name] not in wanted:
            raise self.wrong(name, " or ".join(map(str, wanted)))

    def section(self, name: str, required: bool = True) -> Fields:
        """The object under ``name``; an empty one when it is absent and not ``required``."""
        value = self._value(name, None if required else {})
        if not isinstance(value, dict):
            raise self.wrong(name, "an object")
        return Fields(value, self.file, self.error, self.remedy, f"{self.prefix}{name}.")

    def _value(self, name: str, default: Any) -> Any:
        value = self.values.get(name)
        if value is None:
            value = default
        if value is None:
            raise self.error(f"{self.file} has no {self.prefix}{name}.", self.remedy)
        return value


def _finite(value: object) -> bool:
    """Tell whether it is a number that a float holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of four hundred digits
        return False
