"""Gives the pictures of a conversation their budgets of crops, and learns what they cost on this machine.

eyes = Eyes(package, "auto")
parts, looks = eyes.sized(parts)
...                              # say what `looks` cost and lose, then let the model answer
eyes.learn(statistics)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from assistant import detail
from assistant.detail import Look
from assistant.engine.protocol import Clip, Picture, Segment, Statistics
from assistant.rates import Learned
from models.package import PackageInfo

_A_SECOND: Final = 12.5  # tokens of sound
_A_TOKEN: Final = 4  # letters
_MOST: Final = 64  # pictures whose budgets are remembered
T = TypeVar("T", bound=Segment | str)


class Eyes:
    """A picture's budget stays the same until another level is chosen. Used by one thread at a time."""

    def __init__(self, package: PackageInfo, level: str, path: Path | None = None) -> None:
        """``level``: auto, quick, fine or a number of crops. ``path``: where rates are kept."""
        self.level = level
        self._allowed = package.crops
        self._learned = Learned(package, path)
        self._looks: dict[bytes, Look] = {}

    def choose(self, level: str) -> None:
        """Look in another way from now on."""
        if level != self.level:
            self.level = level
            self._looks.clear()

    def sized(self, parts: Sequence[T]) -> tuple[list[T], list[Look]]:
        """The parts of a question or a conversation as they go to the model, and how pictures are seen."""
        found: list[T] = []
        looks: list[Look] = []
        for part in parts:
            look = self._look(part.data) if isinstance(part, Picture) else None
            if look is not None and isinstance(part, Picture):
                looks.append(look)
                found.append(replace(part, crops=look.most))
            else:
                found.append(part)
        return found, looks

    def seconds(self, parts: Sequence[Segment | str]) -> float:
        """About how long the model takes for these before its answer begins."""
        clips = sum(part.samples.size / part.rate for part in parts if isinstance(part, Clip))
        letters = sum(len(part) for part in parts if isinstance(part, str))
        tokens = clips * _A_SECOND + letters / _A_TOKEN
        return sum(look.seconds for look in self.sized(parts)[1]) + tokens * self._learned.now.token

    def learn(self, turn: Statistics) -> None:
        """How long it took."""
        self._learned.learn(turn)

    def _look(self, data: bytes) -> Look | None:
        look = self._looks.pop(data, None)
        if look is None:
            look = detail.look_at_picture(data, self.level, self._allowed, self._learned.now)
        if look is not None:
            self._looks[data] = look  # the last of all
        while len(self._looks) > _MOST:
            del self._looks[next(iter(self._looks))]
        return look
