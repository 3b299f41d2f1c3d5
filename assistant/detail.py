"""How closely a picture is looked at: what the region needs, and what the machine affords.

look = look_at(width, height, "auto", package.crops, rates)
look.most        # crops for `Picture.crops`
look.seconds     # what it will cost
look.readable    # whether small text in it can still be read
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from assistant.rates import Rates
from models import crops

BUDGETS: Final = (1, 4, 9, 16, 36)
"""Crops at most."""
READABLE: Final = 0.75
"""Pictures made smaller than this lose small text: the x of letters of 12 pixels is then less than 5 high."""
LONG: Final = 2.0
"""Seconds; what takes longer is said before it starts."""
_QUICK, _FINE = BUDGETS[1], BUDGETS[-1]
_PATIENCE: Final = 30.0  # s that a picture may take where nobody chose


@dataclass(frozen=True)
class Look:
    """One picture as it will be seen.

    ``most`` is its budget; ``crops`` and ``tokens`` are what it takes; ``scale`` is below 1 where it is made
    smaller; ``best`` is the scale that its package would allow.
    """

    most: int
    crops: int
    tokens: int
    scale: float
    best: float
    seconds: float

    @property
    def readable(self) -> bool:
        """Whether small text stays legible."""
        return self.scale >= READABLE

    @property
    def percent(self) -> int:
        """Its size, of what it was."""
        return round(100 * self.scale)


def look_at(width: int, height: int, level: str | int, allowed: int, rates: Rates) -> Look:
    """How a picture of so many pixels is seen.

    ``level`` is auto, quick, fine or a number of crops, ``allowed`` what its package takes. Chosen
    automatically, it gets all the crops that it has room for if that takes half a minute at most, else fewer,
    but four.
    """
    budgets = [budget for budget in BUDGETS if budget < allowed] + [allowed]
    looks = [_look(width, height, budget, allowed, rates) for budget in budgets]
    if level == "auto":
        affordable = [look for look in looks if look.seconds <= _PATIENCE or look.most <= _QUICK]
        return (affordable or looks[:1])[-1]
    wanted = {"quick": _QUICK, "fine": _FINE}.get(str(level)) or int(level)
    return _look(width, height, min(wanted, allowed), allowed, rates)


def look_at_picture(data: bytes, level: str | int, allowed: int, rates: Rates) -> Look | None:
    """The same for encoded data; None if it can't be read, which the engine will say."""
    try:
        return look_at(*crops.size(data), level, allowed, rates)
    except (OSError, ValueError, SyntaxError):
        return None


def rounded(seconds: float) -> int:
    """To what an estimate is good for: one figure, or two above a minute."""
    step = 1 if seconds < 10 else 5 if seconds < 60 else 10
    return max(step, step * round(seconds / step))


def loss(look: Look) -> str:
    """What is lost in a picture that was made smaller; "" if nothing is."""
    if look.readable:
        return ""
    better = "give a smaller region"
    if look.best > look.scale:
        better += " or choose --detail fine"
    return f"Shrunk to {look.percent} %: small text may be lost; {better}."


def _look(width: int, height: int, budget: int, allowed: int, rates: Rates) -> Look:
    found = crops.grid(width, height, budget)
    seconds = (1 + found.crops) * rates.crop + found.tokens * rates.token
    best = crops.grid(width, height, allowed).scale
    return Look(budget, found.crops, found.tokens, found.scale, best, seconds)
