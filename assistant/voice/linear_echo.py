"""Linear echo cancellation: the echo is estimated and subtracted, and the person stays as they are.

A suppressor, as WebRTC's canceller has one behind its filter, mutes whatever frequency has an echo in it,
and with it the person who speaks at the same time. Its output tells best whether somebody speaks; what they
say is understood better with the echo only subtracted.

The echo is what was played, sent through a filter: the way from the speaker to the microphone. The filter is
fitted to the last seconds by least squares, over the blocks in which nobody spoke, a few times a second. The
equations are nearly Toeplitz: products are convolutions, and conjugate gradients with a circulant
preconditioner need few steps from the last filter on (R. Chan, M. Ng, "Conjugate gradient methods for
Toeplitz systems", SIAM Review 38, 1996).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

_EVERY: Final = 20  # blocks between two fits
_GUARD: Final = 10  # blocks that are not fitted yet: one who begins to speak is noticed late
_PAUSE: Final = 50  # blocks without a fit after somebody spoke
_STEPS: Final = 8  # of the conjugate gradients in each
_FIRST: Final = 20  # steps where there is no way to begin with
_RIDGE: Final = 1e-4  # of the power of what was played: what that lacks is not made up
_MOVED: Final = 0.5  # of the echo's power is left: it goes another way, as after the playing stumbled
_OTHER: Final = 0.9  # of the power is left: it was heard before the way was another one
_GROUP: Final = 5  # blocks
_FARTHEST: Final = 1600  # samples that an echo may move at once
_WORKS: Final = 0.2  # of the echo's power; with more left over, it is not worth subtracting


class LinearEcho:
    """Blocks of ``size`` samples, for one thread."""

    def __init__(self, size: int, taps: int, blocks: int) -> None:
        """``taps``: samples from a sound to the end of its echo. ``blocks``: how many a fit looks back."""
        self._size, self._taps = size, taps
        self._played = np.zeros(taps + blocks * size, np.float32)
        self._heard = np.zeros(blocks * size, np.float32)
        self._alone = np.zeros(blocks, bool)  # where nothing but the echo was heard
        self._since = 0  # blocks since the last fit
        self._wait = 0  # blocks until there may be one
        self._left = 1.0  # of the echo's power
        self._length = _fast(taps + size)
        self._take(np.zeros(taps, np.float32))

    @property
    def works(self) -> bool:
        """Whether the echo is known well enough."""
        return self._left < _WORKS

    def forget(self) -> None:
        """From now on the echo comes at another time."""
        self._alone[:] = False
        self._left = 1.0

    def clean(self, heard: Samples, played: Samples, alone: bool) -> Samples:
        """What was heard without the echo of this and earlier blocks of what was played.

        ``alone``: as far as one can tell, nobody spoke.
        """
        for kept, new in ((self._played, played), (self._heard, heard), (self._alone, [alone])):
            kept[: -len(new)] = kept[len(new) :]
            kept[-len(new) :] = new
        self._since += 1
        self._wait = self._wait - 1 if alone else _PAUSE
        if self._since >= _EVERY and self._wait <= 0:
            self._since = 0
            self._fit()
        recent = np.fft.rfft(self._played[-self._taps - self._size :], self._length)
        echo = np.fft.irfft(recent * self._spectrum, self._length)[self._taps : self._taps + self._size]
        return np.asarray(heard - echo, np.float32)

    def _take(self, way: Samples) -> None:
        self._filter = way
        self._spectrum = np.fft.rfft(way, self._length)

    def _fit(self) -> None:
        rows = np.repeat(self._alone, self._size)
        rows[-_GUARD * self._size :] = False
        new = np.zeros_like(rows)
        new[-(_EVERY + _GUARD) * self._size :] = rows[-(_EVERY + _GUARD) * self._size :]
        if not self._heard[new].any():
            return
        fit = _Fit(self._played, self._taps)
        way = self._filter
        self._left = _left(self._heard[new], fit.echo(way)[new])
        if self._left > _MOVED:
            way = np.roll(way, _lag(self._heard * new, fit.echo(way)))
            if _left(self._heard[new], fit.echo(way)[new]) > _MOVED:
                way = fit.solve(self._heard, new, np.zeros_like(way), _FIRST)
        echo = fit.echo(way)
        for start in range(0, rows.size, _GROUP * self._size):  # what was heard another way is left out
            one = slice(start, start + _GROUP * self._size)
            if _left(self._heard[one], echo[one]) > _OTHER:
                self._alone[one.start // self._size : one.stop // self._size] = rows[one] = False
        self._take(fit.solve(self._heard, rows | new, way, _STEPS))


class _Fit:
    """The filter that makes what was heard out of what was played; that begins ``taps`` samples before."""

    def __init__(self, played: Samples, taps: int) -> None:
        self._taps, self._rows = taps, played.size - taps
        self._length = _fast(played.size)
        self._spectrum = np.fft.rfft(played, self._length)
        alike = np.fft.irfft(np.square(np.abs(self._spectrum)), self._length)[:taps]
        self._ridge = _RIDGE * float(alike[0])
        place = np.arange(taps)
        ring = ((taps - place) * alike + place * np.roll(alike[::-1], 1)) / taps  # T. Chan's preconditioner
        self._scale = np.maximum(np.fft.rfft(ring).real, 0) + self._ridge

    def echo(self, way: Samples) -> Samples:
        """What comes of it by this way."""
        product = np.fft.irfft(self._spectrum * np.fft.rfft(way, self._length), self._length)
        return np.asarray(product[self._taps : self._taps + self._rows], np.float32)

    def _back(self, heard: Samples) -> Samples:
        """The transpose of `echo`."""
        padded = np.zeros(self._length, np.float32)
        padded[self._taps : self._taps + self._rows] = heard
        product = np.fft.irfft(self._spectrum.conj() * np.fft.rfft(padded), self._length)
        return np.asarray(product[: self._taps], np.float32)

    def solve(self, heard: Samples, rows: NDArray[np.bool_], way: Samples, steps: int) -> Samples:
        """A better way than this one, for the rows that count."""
        rest = self._back((heard - self.echo(way)) * rows) - self._ridge * way
        step = ahead = self._ahead(rest)
        size = float(rest @ ahead)
        for _ in range(steps):
            if size <= 0:
                break
            product = self._back(self.echo(step) * rows) + self._ridge * step
            length = size / float(step @ product)
            way, rest = way + length * step, rest - length * product
            ahead = self._ahead(rest)
            size, before = float(rest @ ahead), size
            step = ahead + size / before * step
        return np.asarray(way, np.float32)

    def _ahead(self, rest: Samples) -> Samples:
        return np.asarray(np.fft.irfft(np.fft.rfft(rest) / self._scale, self._taps), np.float32)


def _left(heard: Samples, echo: Samples) -> float:
    """How much of the power remains when the echo is subtracted."""
    return float(np.square(heard - echo).sum() / max(np.square(heard).sum(), 1e-9))


def _lag(heard: Samples, echo: Samples) -> int:
    """By how many samples the one is later than the other."""
    length = _fast(heard.size + _FARTHEST)
    alike = np.fft.irfft(np.fft.rfft(heard, length) * np.fft.rfft(echo, length).conj(), length)
    return int(np.argmax(np.concatenate((alike[-_FARTHEST:], alike[:_FARTHEST])))) - _FARTHEST


def _fast(size: int) -> int:
    """The next length that is quick to transform."""
    lengths: list[Any] = [factor << max(0, (-(-size // factor) - 1).bit_length()) for factor in (1, 3, 5, 9)]
    return int(min(lengths))
