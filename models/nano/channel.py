"""What lies between a mouth and the model: a room, a microphone, a line, noise."""

from __future__ import annotations

import random
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

Wave = NDArray[np.float32]
_LINES: Final = (8_000, 8_000, 11_025, 12_000)  # Hz


def noise(rng: random.Random, size: int) -> Wave:
    """White to brown noise of unit power."""
    padded = 1 << size.bit_length()  # other sizes can be slow
    spectrum = np.fft.rfft(np.random.default_rng(rng.getrandbits(32)).standard_normal(padded))
    spectrum /= np.maximum(np.arange(spectrum.size), 1) ** rng.uniform(0, 0.8)
    made = np.fft.irfft(spectrum, padded)[:size]
    return (made / (np.std(made) + 1e-9)).astype(np.float32)


def changed(wave: Wave, rate: int, rng: random.Random) -> Wave:
    """The wave through a random room and a random microphone, each in part of the cases."""
    size = wave.size
    padded = 1 << (size + rate // 2).bit_length()
    spectrum = np.fft.rfft(wave, padded)
    if rng.random() < 0.7:
        spectrum *= _microphone(np.arange(padded // 2 + 1) * (rate / padded), rng)
    if rng.random() < 0.3:
        spectrum *= np.fft.rfft(_room(rate, rng), padded)
    return np.fft.irfft(spectrum, padded)[:size].astype(np.float32)


def _microphone(frequencies: NDArray[np.floating], rng: random.Random) -> NDArray[np.float64]:
    """Gains of a tilt, three wide bumps or dents, and missing lows."""
    octaves = np.log2(np.maximum(frequencies, 20) / 1000)
    decibels = rng.uniform(-4, 4) * octaves
    for _ in range(3):
        middle, width = rng.uniform(-3, 3), rng.uniform(0.4, 1.5)
        decibels += rng.uniform(-7, 7) * np.exp(-(((octaves - middle) / width) ** 2))
    lows = frequencies / rng.uniform(40, 250)
    return np.asarray(10 ** (np.clip(decibels, -30, 20) / 20) * lows / np.sqrt(1 + lows**2))


def _room(rate: int, rng: random.Random) -> NDArray[np.float64]:
    """An impulse and a tail of noise that fades within a tenth to four tenths of a second."""
    seconds = rng.uniform(0.1, 0.4)
    time = np.arange(int(rate * seconds)) / rate
    tail = np.random.default_rng(rng.getrandbits(32)).standard_normal(time.size) * 10 ** (-3 * time / seconds)
    tail *= rng.uniform(0.05, 0.5) / float(np.sqrt(np.sum(tail**2)))
    tail[0] = 1
    return tail


def narrow(wave: Wave, rate: int, rng: random.Random) -> Wave:
    """The wave after a line that passes 4 to 6 kHz."""
    line = rng.choice(_LINES)
    back = soxr.resample(soxr.resample(wave, rate, line), line, rate)[: wave.size]
    return np.pad(back, (0, wave.size - back.size)).astype(np.float32)
