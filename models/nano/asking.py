"""What the report asks of a model: one user turn, and how the reply comes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sound:
    """Mono samples in -1…1 at `rate` Hz."""

    samples: NDArray[np.float32] = field(repr=False)
    rate: int


@dataclass(frozen=True)
class Asked:
    """One user turn: texts, sounds and PNG pictures in this order, after the system message."""

    parts: tuple[str | bytes | Sound, ...]
    tools: bool = False
    """Whether the system message lists `prompts.TOOLS`."""
    goes_on: bool = False
    """Whether it goes on with the conversation of the question before."""


Ask = Callable[[Asked], str]
"""Gives the whole reply; a tool call without its surrounding special tokens."""

_LOOP: Final = re.compile(r"(?:^|\s)(\S+(?: \S+){0,7})(?: \1){3,}$")


def loops(reply: str) -> bool:
    """Whether a reply ends with the same words, up to eight, four times or more."""
    return _LOOP.search(reply.strip()) is not None


class Counted:
    """Asks, and counts replies and those that loop."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.replies = self.looped = 0

    def __call__(self, asked: Asked) -> str:
        """The reply without surrounding space."""
        reply = self._ask(asked).strip()
        self.replies += 1
        self.looped += loops(reply)
        return reply
