"""From logits to the next token, and the guard against a model that goes in circles."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from assistant.engine.protocol import GenerateOptions

_LONGEST_PERIOD: Final = 64  # tokens; longer sequences may well be meant
_SHORTEST_LOOP: Final = 32  # tokens; a row of zeros or dashes may be meant


class Sampler:
    """Chooses tokens for one reply: greedy at temperature 0, else nucleus sampling (arXiv 1904.09751)."""

    def __init__(self, options: GenerateOptions) -> None:
        self._temperature = options.temperature
        self._top_p = options.top_p
        self._random = np.random.default_rng(options.seed)

    def __call__(self, logits: NDArray[np.float32]) -> int:
        """A token id for ``logits`` [vocabulary]."""
        if self._temperature == 0:
            return int(logits.argmax())
        weights = np.exp((logits - logits.max()).astype(np.float64) / self._temperature)
        weights /= weights.sum()
        # What is less likely than this can't be in the nucleus: all of it together weighs less than 1 -
        # top_p.
        candidates = np.flatnonzero(weights >= (1 - self._top_p) / weights.size)
        order = candidates[np.argsort(-weights[candidates], kind="stable")]
        sums = np.cumsum(weights[order])
        nucleus = order[: int(np.searchsorted(sums, self._top_p)) + 1]
        chances = weights[nucleus]
        return int(self._random.choice(nucleus, p=chances / chances.sum()))


class RepetitionGuard:
    """Notices when the last tokens are one sequence of up to 64 tokens, ``times`` times or more in a row.

    A loop also has to be 32 tokens long, so that a row of zeros or dashes may pass.
    """

    def __init__(self, times: int) -> None:
        self._times = times
        self._ids: list[int] = []
        self._periods = np.arange(1, _LONGEST_PERIOD + 1)
        self._matches = np.zeros(_LONGEST_PERIOD, np.int64)

    def push(self, token: int) -> bool:
        """Take the next token; True if it completes a loop."""
        if not self._times:
            return False
        earlier = np.full(_LONGEST_PERIOD, -1, np.int64)
        recent = self._ids[-1 : -_LONGEST_PERIOD - 1 : -1]
        earlier[: len(recent)] = recent
        self._matches = np.where(earlier == token, self._matches + 1, 0)
        self._ids.append(token)
        loops = self._matches + self._periods  # length of the periodic end of the reply, by period
        needed = np.maximum(self._periods * self._times, _SHORTEST_LOOP)
        return bool((loops >= needed).any())
