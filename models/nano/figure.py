"""One figure of the report: what was counted, its 95 % interval, and the bar that it must reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

Z: Final = 1.959964
"""Standard deviations of a 95 % interval."""
RESAMPLES: Final = 2000


def wilson(right: int, count: int) -> tuple[float, float]:
    """The 95 % score interval of a share (0 to 1 if nothing was counted)."""
    if not count:
        return 0.0, 1.0
    share, square = right / count, Z * Z / count
    middle = (share + square / 2) / (1 + square)
    half = Z / (1 + square) * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(samples: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """The 95 % interval of the errors per word, from (errors, words) of each utterance.

    Errors of one utterance come together, so whole utterances are drawn again, not words.
    """
    if not samples:
        return 0.0, 1.0
    made = np.array(samples)
    drawn = np.random.default_rng(0).integers(len(made), size=(RESAMPLES, len(made)))
    errors, words = made[drawn].sum(1).T
    low, high = np.quantile(errors / np.maximum(words, 1), (0.025, 0.975))
    return float(low), float(high)


@dataclass(frozen=True)
class Figure:
    """One figure: `right` of `count`, or for word error rates the errors among `count` words.

    A count of 0 means that it was not measured; `note` says why.
    """

    name: str
    right: int
    count: int
    bar: float | None = None
    """What it must reach: at least for exact answers, at most for error rates and blind controls."""
    kind: Literal["exact", "wer", "blind"] = "exact"
    samples: tuple[tuple[int, int], ...] = ()
    """For word error rates: errors and words of each utterance."""
    note: str = ""

    @classmethod
    def of_words(cls, name: str, samples: Sequence[tuple[int, int]], bar: float | None = None) -> Figure:
        """A word error rate from (errors, words) of each utterance."""
        wrong, count = (sum(sample[i] for sample in samples) for i in range(2))
        return cls(name, wrong, count, bar, "wer", tuple(samples))

    @property
    def rate(self) -> float:
        """The share, 0 to 1 (error rates can exceed 1)."""
        return self.right / max(1, self.count)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the rate: Wilson's for shares, by utterance for word error rates."""
        return bootstrap(self.samples) if self.kind == "wer" else wilson(self.right, self.count)

    @property
    def passed(self) -> bool:
        """Whether the bar is reached; true without a bar, or if it was not measured."""
        if self.bar is None or not self.count:
            return True
        return self.rate >= self.bar if self.kind == "exact" else self.rate <= self.bar

    def __str__(self) -> str:
        if not self.count:
            return f"{self.name}: not measured. {self.note}"
        low, high = self.interval
        text = f"{self.name}: {100 * self.rate:.1f} % ({self.right} of {self.count}; "
        text += f"95 %: {100 * low:.1f} to {100 * high:.1f} %)"
        if self.bar is not None:
            wanted = "at least" if self.kind == "exact" else "at most"
            text += f", {wanted} {100 * self.bar:.0f} %: {'yes' if self.passed else 'NO'}"
        return text
