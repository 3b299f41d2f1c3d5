"""A long recording as windows of 40 s, which the speech encoder hears one by one: also while it is made.

    windows = Windows()
    for block in blocks:
        for clip in windows.push(block): ...     # each as soon as it is full
    windows.rest()                               # what is left at the end

The clips one after the other are to the model what the whole recording is, so each can be encoded and
prefilled as soon as it is full.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from assistant.engine.protocol import Clip

WINDOW: Final = 500
"""Tokens (40 s) that the speech encoder sees at once."""
RATE: Final = 16_000  # Hz
_HOP, _FRAME = 160, 400  # samples from frame to frame, and of one
_TOKEN: Final = 8 * _HOP  # samples of one token, and of the context before a window
_STEP: Final = WINDOW * _TOKEN
_OVER: Final = _FRAME - _HOP  # samples that a window's last frame shares with the next window
WINDOW_SAMPLES: Final = _STEP
"""Samples from the beginning of a window to that of the next."""

Samples = NDArray[np.float32]


class Windows:
    """Cuts a recording at 16 kHz. Keeps nothing but what is not in a window yet."""

    def __init__(self) -> None:
        self._blocks: list[Samples] = []
        self._size = 0  # samples in `_blocks`
        self._at = 0  # samples before them

    def push(self, block: Samples) -> Iterator[Clip]:
        """The next samples; gives each window that they fill."""
        self._blocks.append(block)
        self._size += block.size
        while self._at + self._size >= (end := self._begun + _STEP + _OVER):
            held = np.concatenate(self._blocks)
            yield Clip(held[: end - self._at], RATE, self._at)
            after = end - _OVER - _TOKEN
            self._blocks = [held[after - self._at :].copy()]
            self._size, self._at = self._blocks[0].size, after

    def rest(self) -> Clip | None:
        """What follows the last window; None if nothing does."""
        if self._at and self._at + self._size < self._begun + _FRAME:
            return None
        return Clip(np.concatenate(self._blocks), RATE, self._at) if self._size else None

    @property
    def _begun(self) -> int:
        """Where the present window begins, after its context."""
        return self._at + _TOKEN if self._at else 0


def windows(clip: Clip) -> list[Clip]:
    """A recording in such parts; one that fits into a window, or has another rate, stays as it is."""
    if clip.rate != RATE or clip.at or clip.samples.size < _STEP + _OVER:
        return [clip]
    cut = Windows()
    parts = list(cut.push(clip.samples))
    rest = cut.rest()
    return parts if rest is None else [*parts, rest]


def same(one: Clip, other: Clip) -> bool:
    """Whether two clips sound the same."""
    return (one.rate, one.at) == (other.rate, other.at) and np.array_equal(one.samples, other.samples)
