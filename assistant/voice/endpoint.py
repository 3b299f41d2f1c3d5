"""When somebody speaks and when they have finished: an energy gate above the noise floor, with a hangover.

Pure: blocks of 20 ms go in, states come out; no clock, no device.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

BLOCK: Final = 0.02  # s
QUIETEST: Final = -100.0  # dBFS, also of digital silence


def level(samples: Samples) -> float:
    """Root mean square in dB below full scale; -100 at least."""
    if not samples.size:
        return QUIETEST
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return max(QUIETEST, 10 * float(np.log10(max(power, 1e-10))))


class Heard(Enum):
    """What the endpointer made of a block."""

    WAITING = auto()
    SPEECH = auto()
    FINISHED = auto()
    NOTHING = auto()


@dataclass(frozen=True)
class Endpointing:
    """When an utterance begins and ends.

    above      dB over the noise floor that count as speech.
    onset      s of speech in a row that begin an utterance.
    hangover   s of silence that end it: pauses between words and clauses are shorter.
    shortest   s of speech below which it was a click or a cough, and waiting goes on.
    longest    s after which an utterance is taken as it is.
    patience   s to wait for speech; then nothing was heard.
    """

    above: float = 9.0
    onset: float = 0.06
    hangover: float = 1.0
    shortest: float = 0.16
    longest: float = 120.0
    patience: float = 10.0


_DEFAULTS: Final = Endpointing()
_WINDOW: Final = round(3.0 / BLOCK)  # blocks that the noise floor is taken from: speech has dips within 3 s
_FLOOR: Final = (-75.0, -38.0)  # dBFS; a voice at a microphone is louder than the upper one
_FAINT: Final = -60.0  # dBFS; nobody who speaks to a microphone is below it
_LIKELY, _GOES_ON = 0.5, 0.35  # probabilities of speech that begin it, and that go on with it
_MARGIN: Final = round(0.3 / BLOCK)  # blocks of silence that `trimmed` leaves
_FEW: Final = 15  # blocks before which the floor is not believed to be high


def trimmed(samples: Samples, beginning: bool = True) -> Samples:
    """A recording at 16 kHz without the silence at its ends, but for 0.3 s: less to encode and to misread.

    Without ``beginning``, that of its beginning stays.
    """
    size = round(BLOCK * 16_000)
    levels = [level(samples[at : at + size]) for at in range(0, samples.size, size)]
    if not levels:
        return samples
    floor = min(_FLOOR[1], max(_FLOOR[0], float(np.percentile(levels, 10))))
    loud = [place for place, one in enumerate(levels) if one > floor + _DEFAULTS.above]
    if not loud:
        return samples
    start = max(0, loud[0] - _MARGIN) * size if beginning else 0
    return samples[start : (loud[-1] + 1 + _MARGIN) * size]


class Endpointer:
    """Finds the end of one utterance."""

    def __init__(self, settings: Endpointing = _DEFAULTS) -> None:
        self._settings = settings
        self._levels: deque[float] = deque(maxlen=_WINDOW)
        self._row = 0  # blocks of speech in a row
        self._utterance: list[float] = []  # levels since its onset
        self._quiet = 0  # blocks of silence in a row
        self._waited = 0
        self.speaking = False

    @property
    def floor(self) -> float:
        """The noise floor in dBFS: the tenth percentile of the last three seconds."""
        if len(self._levels) < _FEW:
            return _FLOOR[0] + 15
        lower, upper = _FLOOR
        return min(upper, max(lower, float(np.percentile(self._levels, 10))))

    def push(self, block: Samples, likely: float | None = None) -> Heard:
        """Take the next 20 ms; ``likely`` is the probability of speech, which counts more than the level."""
        settings = self._settings
        now = level(block)
        self._levels.append(now)
        if likely is None:
            loud = now > self.floor + settings.above
        else:
            loud = now > _FAINT and likely >= (_GOES_ON if self.speaking else _LIKELY)
        self._row = self._row + 1 if loud else 0
        if not self.speaking:
            self._waited += 1
            if self._row * BLOCK >= settings.onset:
                self.speaking, self._quiet, self._utterance = True, 0, [now] * self._row
                return Heard.SPEECH
            return Heard.NOTHING if self._waited * BLOCK >= settings.patience else Heard.WAITING
        self._utterance.append(now)
        self._quiet = 0 if loud else self._quiet + 1
        if self._quiet * BLOCK >= settings.hangover:
            # By now the floor is better known: a room that hums looked like speech at first.
            threshold = _FAINT if likely is not None else self.floor + settings.above
            if sum(was > threshold for was in self._utterance) * BLOCK >= settings.shortest:
                return Heard.FINISHED
            self.speaking = False
            return Heard.WAITING
        return Heard.FINISHED if len(self._utterance) * BLOCK >= settings.longest else Heard.SPEECH
