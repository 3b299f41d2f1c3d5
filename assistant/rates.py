"""How fast this machine sees and reads with a package: learned from each turn, and guessed before the first.

Kept by package in ``rates.json`` in the data folder, as `assistant.tuned` keeps what was measured on purpose.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

from assistant import atomic
from assistant.engine.protocol import Statistics
from assistant.packages import data_folder
from assistant.tuned import package_key
from models.package import PackageInfo

_SEEN: Final = 1024  # positions of a crop that each weight of the vision encoder is multiplied with
_WORK: Final = 2e11  # products and sums in a second of one core, in 8 bits
_WEIGHT: Final = 0.3  # of a new turn against those before
_FEWEST: Final = 64  # tokens; fewer say more about what a run costs by itself
_NEWS: Final = 0.1  # a change that is worth writing


@dataclass(frozen=True)
class Rates:
    """Seconds for a crop in the vision encoder, and for a token of a prompt."""

    crop: float
    token: float

    def with_turn(self, turn: Statistics, first: bool = False) -> Rates:
        """What they are after a turn; ``first``: these were only guessed."""
        weight = 1.0 if first else _WEIGHT
        crop, token = self.crop, self.token
        if turn.crops and turn.seconds.get("vision"):
            crop += weight * (turn.seconds["vision"] / turn.crops - crop)
        tokens = turn.prefilled + turn.recomputed
        if tokens >= _FEWEST and turn.seconds.get("prefill"):
            token += weight * (turn.seconds["prefill"] / tokens - token)
        return Rates(crop, token)


class Learned:
    """The rates of one package. Used by one thread at a time."""

    def __init__(self, package: PackageInfo, path: Path | None = None) -> None:
        self._key = package_key(package)
        self._path = path or data_folder() / "rates.json"
        found = _read(self._path).get(self._key)
        self._first = found is None
        self.now = found or guessed(package)
        self._kept = self.now

    def learn(self, turn: Statistics) -> None:
        """A turn came to its end; what is clearly new is kept for the next start."""
        if not turn.crops and turn.prefilled + turn.recomputed < _FEWEST:
            return
        self.now = self.now.with_turn(turn, self._first)
        if self._first or _differ(self.now, self._kept):
            self._first, self._kept = False, self.now
            try:
                with atomic.locked(self._path):
                    everything = {name: asdict(rates) for name, rates in _read(self._path).items()}
                    everything[self._key] = asdict(self.now)
                    atomic.replace(self._path, (json.dumps(everything, indent=2) + "\n").encode())
            except OSError:
                pass  # they are learned again


def guessed(package: PackageInfo) -> Rates:
    """By the graphs' sizes, as if each weight had a byte in the encoder and half of one in the model."""
    cores = psutil.cpu_count(logical=False) or 1

    def size(name: str) -> int:
        file = package.graphs[name]
        return package.files.get(file, 0) + package.files.get(f"{file}.data", 0)

    work = _WORK * cores
    head = package.vocab_size * package.hidden_size // 2  # bytes; a prompt's tokens don't go through it
    text = max(size("text") // 4, size("text") - head)
    weights = package.prefill_bytes or 2 * text
    return Rates(2 * _SEEN * size("vision") / work, 2 * weights / work)


def _differ(one: Rates, other: Rates) -> bool:
    return any(
        abs(new - old) > _NEWS * old for new, old in ((one.crop, other.crop), (one.token, other.token))
    )


def _read(path: Path) -> dict[str, Rates]:
    try:
        found = json.loads(atomic.read(path) or b"{}")
        rates = {name: Rates(float(one["crop"]), float(one["token"])) for name, one in found.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return {name: one for name, one in rates.items() if 0 < one.crop < 1e4 and 0 < one.token < 1e4}
