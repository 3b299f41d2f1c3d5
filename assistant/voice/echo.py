"""Echo cancellation: what the speaker plays is taken out of what the microphone hears.

    echo = Echo()
    Speaker(on_played=echo.played); Ear(..., echo=echo)

The speaker's thread copies and enqueues what it plays. The microphone's blocks are cleaned in the ear's
thread, each with as much of what was played: both run at the same speed, so the delay between the two stays
what it is, and the cancellers find it out: WebRTC's, whose output tells best whether somebody speaks, and a
linear one, whose output is what they say. While nothing is played, blocks pass as they are; so they do with
headphones: where the microphone hears nothing of a second of sound, there is no echo until one is heard.
"""

from __future__ import annotations

import importlib
from collections import deque
from typing import Any, Final, NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from assistant.media.sound import RATE, SILENCE
from assistant.voice.endpoint import BLOCK, level
from assistant.voice.linear_echo import LinearEcho

Samples = NDArray[np.float32]

_AHEAD: Final = round(0.06 * RATE)  # samples that what is played is held back: less than any echo takes
_MOST: Final = round(0.3 * RATE)  # samples in silence: two devices don't run at quite the same speed
_LIMIT: Final = round(1.0 * RATE)  # samples
_RING: Final = round(1.0 / BLOCK)  # blocks of the speaker that wait for a microphone
_LATE: Final = round(
    0.04 * RATE
)  # samples that a speaker holds: more than that late, it was silent in between
_SEEN: Final = round(0.4 / BLOCK), round(0.9 / BLOCK)  # blocks that `leaks` compares: cleaned, and played
_ALIKE: Final = 0.35  # correlation; of two voices it is hardly ever above 0.2
_TAPS: Final = round(0.3 * RATE)  # samples from the sound to the end of its echo
_BACK: Final = round(2.5 / BLOCK)  # blocks that the way of an echo is learned from
_MUTED: Final = 15.0  # dB; where somebody speaks, less is muted
_LOUD: Final = -45.0  # dBFS of somebody who speaks
_UNHEARD: Final = -50.0  # dBFS: an echo of this is never taken for somebody who speaks
_PLAYS: Final = -35.0  # dBFS of what is played: nobody plays silence to learn whether it is heard
_HEADPHONES: Final = round(1.0 / BLOCK)  # blocks of the one without the other
_SETTLES: Final = round(0.5 / BLOCK)  # blocks that the canceller needs to find a new delay
_AFTER: Final = round(0.4 / BLOCK)  # blocks after the last sound in which its echo may come


class Cleaned(NamedTuple):
    """20 ms of the microphone without the speaker.

    said   the echo is subtracted, as well as it is known; a person is as they were.
    sure   whatever may be echo is muted, and a person who speaks over it suffers: tells whether they do.
    """

    said: Samples
    sure: Samples


class Echo:
    """`played` is called by the speaker's thread, all else by one thread that has the microphone."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Samples, int]] = deque(maxlen=_RING)
        self._rate = 0
        self._converter: Any = None
        self._canceller: Any = None
        self._linear: LinearEcho | None = None
        self._far = np.empty(0, np.float32)
        self._owed = 0  # samples of silence that stood in for what came late
        self._missed = 0  # samples that didn't come, in a row
        self._unsettled = 0  # blocks until it is sure that nothing leaks
        self._left = 0  # blocks for which something may still be heard
        self._apart = False  # the microphone doesn't hear the speaker
        self._unheard = 0  # blocks, in a row, of something played and nothing heard
        self._flowing = False
        self._cleaned: deque[Samples] = deque(maxlen=_SEEN[0])
        self._given: deque[Samples] = deque(maxlen=_SEEN[1])

    def played(self, samples: Samples, rate: int) -> None:
        """The speaker gives this out now."""
        self._waiting.append((samples, rate))

    def reset(self) -> None:
        """The microphone is closed, or was opened anew."""
        self._waiting.clear()
        self._rate, self._converter, self._canceller, self._linear = 0, None, None, None
        self._far = np.empty(0, np.float32)
        self._owed = self._missed = self._left = self._unheard = 0
        self._flowing = self._apart = False

    def clean(self, block: Samples) -> Cleaned:
        """20 ms of the microphone at 16 kHz without the speaker."""
        self._collect()
        far = self._take(block.size)
        if float(np.abs(far).max(initial=0)) > SILENCE:
            self._left = _AFTER
        if not self._left:
            return Cleaned(block, block)
        self._left -= 1
        self._unsettled = max(0, self._unsettled - 1)
        self._given.append(far)
        if self._headphones(block):
            self._cleaned.append(block)
            return Cleaned(block, block)
        if self._canceller is None or self._linear is None:
            self._canceller = importlib.import_module("pywebrtc_audio").EchoCanceller(RATE)
            self._linear = LinearEcho(block.size, _TAPS, _BACK)
        sure = np.asarray(self._canceller.process(block, far), np.float32)
        self._cleaned.append(sure)
        loud = level(sure)
        least = level(block) - _MUTED
        said = self._linear.clean(block, far, loud < max(_LOUD, least))
        return Cleaned(said if self._linear.works and level(said) > least else sure, sure)

    @property
    def active(self) -> bool:
        """Whether something is played that can be heard, or its echo may still come; else blocks passed as
        they were.
        """
        return self._left > 0 and not self._apart

    @property
    def leaks(self) -> bool:
        """Whether what was heard last may be what was played: after a gap, the canceller needs a moment."""
        if not self._left or not self._cleaned:
            return False
        if self._unsettled and not self._apart:
            return True
        return self._alike()

    def _headphones(self, block: Samples) -> bool:
        """Whether nothing of what is played can be heard."""
        if level(block) < _UNHEARD:
            plays = level(np.concatenate(list(self._given)[-_SEEN[0] :])) > _PLAYS
            self._unheard += plays
            self._apart = self._apart or self._unheard >= _HEADPHONES
        elif self._apart:
            if self._alike():  # they were unplugged
                self._apart, self._unheard, self._unsettled = False, 0, _SETTLES
        else:
            self._unheard = 0
        return self._apart

    def _alike(self) -> bool:
        """Whether what was heard last looks like what was played."""
        # differences, so that two voices of the same pitch don't look alike
        heard, played = np.diff(np.concatenate(self._cleaned)), np.diff(np.concatenate(self._given))
        size = 1 << (heard.size + played.size).bit_length()
        product = np.fft.irfft(np.fft.rfft(played, size) * np.conj(np.fft.rfft(heard, size)), size)
        energy = np.concatenate(([0.0], np.cumsum(np.square(played, dtype=np.float64))))
        places = np.arange(max(1, played.size - heard.size + 1))
        power = energy[np.minimum(played.size, places + heard.size)] - energy[places]
        alike = np.abs(product[places]) / np.sqrt(np.maximum(power, 1e-9))
        return float(alike.max()) > _ALIKE * float(np.linalg.norm(heard))

    def _collect(self) -> None:
        """What was played since, at the microphone's rate."""
        parts = [self._far]
        while self._waiting:
            samples, rate = self._waiting.popleft()
            if rate != self._rate:
                self._rate = rate
                self._converter = soxr.ResampleStream(rate, RATE, 1, dtype="float32")
            parts.append(np.asarray(self._converter.resample_chunk(samples), np.float32))
        far = np.concatenate(parts)
        late = min(self._owed, far.size)
        self._owed -= late
        self._far = far[late:]
        quiet = not self._left and float(np.abs(self._far).max(initial=0)) <= SILENCE
        if self._far.size > (_MOST if quiet else _LIMIT):
            self._far = self._far[-_AHEAD:]

    def _take(self, size: int) -> Samples:
        """The next samples; silence before the first ones, and for those that are late."""
        if not self._flowing:
            if self._far.size < _AHEAD:
                return np.zeros(size, np.float32)
            self._flowing = True
        part, self._far = self._far[:size], self._far[size:]
        missing = size - part.size
        if not missing:
            self._missed = 0
            return part
        if not self._left or self._owed + missing > _LATE:  # hold as much back as at first
            self._unsettled = _SETTLES if self._left else self._unsettled
            self._flowing, self._owed, self._missed = False, 0, 0
            return np.pad(part, (0, missing))
        self._unsettled = max(self._unsettled, _SETTLES // 2)
        self._owed += missing
        self._missed = self._missed + missing
        if self._missed > _MOST:  # the speaker was closed
            self._flowing, self._owed, self._missed = False, 0, 0
        return np.pad(part, (0, missing))
