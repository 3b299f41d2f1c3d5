"""Synthetic speech for nano: what is held out, other synthesisers, rooms and lines."""

from __future__ import annotations

import random
import shutil
import sys

import numpy as np
import pytest

from models.errors import DeviceError
from models.nano import channel, speech, synthesisers

RATE = 22_050


@pytest.fixture(scope="module")
def espeak() -> speech.Espeak:
    return speech.Espeak()


class Whistle:
    """A synthesiser with one tone, whatever is said."""

    share = 1.0

    def __init__(self) -> None:
        self.sizes: list[float] = []

    def say(self, text: str, rng: random.Random, size: float) -> synthesisers.Sound:
        del text, rng
        self.sizes.append(size)
        return np.sin(np.arange(16_000) * 2 * np.pi * 1000 / 16_000).astype(np.float32), 16_000


@pytest.mark.parametrize("bands", [speech.SPEEDS, speech.PITCHES])
def test_speeds_and_pitches_are_held_out(bands: dict[speech.Split, speech.Bands]) -> None:
    used = {split: {n for low, high in bands[split] for n in range(low, high + 1)} for split in bands}
    assert not used["train"] & used["eval"]
    assert min(used["eval"]) < min(used["train"]) < max(used["train"]) < max(used["eval"])


def test_voices_are_held_out() -> None:
    assert not set(speech.VARIANTS) & set(speech.EVAL_VARIANTS)
    assert speech.UNHEARD_ACCENT not in speech.ACCENTS


def test_another_synthesiser_speaks_in_training_only(espeak: speech.Espeak) -> None:
    whistle, rng = Whistle(), random.Random(3)
    speech.utter(espeak, "hello", rng, "eval", others=[whistle])
    assert not whistle.sizes
    for number in range(1, 12):
        wave = speech.utter(espeak, "hello", rng, "train", 60, others=[whistle])
        size = whistle.sizes[number - 1]
        assert 0.1 < wave.size / espeak.rate - 1 / size < 0.8 + 0.01  # and the silence around it
        spectrum = np.abs(np.fft.rfft(wave))
        loudest = spectrum.argmax() * espeak.rate / wave.size
        assert loudest == pytest.approx(1000 * size, rel=0.01)
    assert min(whistle.sizes) < 1 < max(whistle.sizes)


def test_a_line_passes_low_frequencies_only() -> None:
    rng = random.Random(5)
    wave = channel.noise(rng, 2 * RATE)
    assert float(np.std(wave)) == pytest.approx(1, rel=1e-3)
    passed = channel.narrow(wave, RATE, rng)
    spectrum = np.abs(np.fft.rfft(passed)) ** 2
    above = np.fft.rfftfreq(passed.size, 1 / RATE) > 6_200
    assert passed.size == wave.size
    assert spectrum[above].sum() < 1e-4 * spectrum.sum()


def test_a_room_and_a_microphone_leave_the_length() -> None:
    wave = channel.noise(random.Random(6), RATE)
    for seed in range(8):
        changed = channel.changed(wave, RATE, random.Random(seed))
        assert changed.shape == wave.shape
        assert changed.dtype == np.float32
        assert np.isfinite(changed).all()


def test_a_missing_synthesiser_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(DeviceError, match="festival"):
        synthesisers.Ked()
    monkeypatch.setitem(sys.modules, "ttspico", None)
    with pytest.raises(DeviceError, match="ttspico"):
        synthesisers.others()
