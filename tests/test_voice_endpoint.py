"""When an utterance begins and ends, at several levels of noise."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from virtual_audio import espeak, similarity

from assistant.media.sound import RATE, Sound, resample
from assistant.voice.endpoint import Endpointer, Endpointing, Heard, level, trimmed
from assistant.voice.microphone import FRAMES, FileMicrophone, listen

Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def sentence(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """Two clauses with a pause of about half a second, loudest sample 0.5."""
    path = tmp_path_factory.mktemp("speech") / "sentence.wav"
    speech = espeak("What is in this picture? Please tell me, if you can.", path)
    samples = resample(speech, 22050, RATE)
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    samples = samples[loud[0] : loud[-1]]
    return np.asarray(samples / np.abs(samples).max() * 0.5, np.float32)


class Blocks:
    """A recording as a source of blocks."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def blocks(self, cancel: threading.Event | None = None) -> Iterator[Samples]:
        assert cancel is None
        for start in range(0, self.samples.size - FRAMES, FRAMES):
            yield self.samples[start : start + FRAMES]

    def close(self) -> None:
        pass


def heard(samples: Samples, settings: Endpointing | None = None) -> Sound:
    return listen(Blocks(samples), settings or Endpointing())


def noise(seconds: float, dbfs: float, seed: int = 0) -> Samples:
    """Pink noise, as of a room."""
    size = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(size))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(spectrum.size))), size)
    return (pink / np.std(pink) * 10 ** (dbfs / 20)).astype(np.float32)


@pytest.mark.parametrize("room", [-100, -70, -55, -45])
@pytest.mark.parametrize("before", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("gain", [1.0, 0.25])
def test_the_whole_sentence_and_not_much_more(
    sentence: Samples, room: float, before: float, gain: float
) -> None:
    silence = np.zeros(round(before * RATE), np.float32)
    samples = np.concatenate([silence, sentence * gain, np.zeros(4 * RATE, np.float32)])
    samples += noise(samples.size / RATE, room)
    sound = heard(samples)
    assert similarity(sound.samples, sentence) > (0.9 if gain == 1 or room < -50 else 0.8)
    # Before the floor of a humming room is known, it is taken for the beginning.
    early = min(before, 1.0) if room > -50 else 0.0
    assert sound.seconds < sentence.size / RATE + 0.55 + 1.3 + early, "pre-roll and hangover"


def test_an_end_after_a_second_of_silence(sentence: Samples) -> None:
    endpointer = Endpointer()
    samples = np.concatenate([np.zeros(RATE, np.float32), sentence, np.zeros(3 * RATE, np.float32)])
    states = [endpointer.push(samples[i : i + FRAMES]) for i in range(0, samples.size - FRAMES, FRAMES)]
    at = states.index(Heard.FINISHED) * 0.02 - (1 + sentence.size / RATE)
    assert 0.8 < at < 1.3
    assert 1.0 <= states.index(Heard.SPEECH) * 0.02 < 1.2


@pytest.mark.parametrize("room", [-100, -60, -40, -35])
def test_noise_alone_is_nothing(room: float) -> None:
    assert not heard(noise(12, room)).samples.size


def test_a_click_is_nothing() -> None:
    samples = np.zeros(12 * RATE, np.float32)
    samples[3 * RATE : 3 * RATE + 1280] = 0.5 * np.sin(np.arange(1280))
    assert not heard(samples).samples.size


def test_speech_without_end_is_taken_as_it_is(sentence: Samples) -> None:
    samples = np.tile(sentence, 3)
    sound = heard(samples, Endpointing(longest=4.0))
    assert sound.seconds == pytest.approx(4.0, abs=0.6)


def test_levels() -> None:
    assert level(np.zeros(320, np.float32)) == -100
    assert level(np.ones(320, np.float32)) == pytest.approx(0)
    sine = np.sin(np.arange(16000) / 5).astype(np.float32)
    assert level(sine) == pytest.approx(-3.01, abs=0.05)


def test_a_file_stands_in_for_a_microphone(sentence: Samples, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sentence, RATE)
    with FileMicrophone(tmp_path / "a.wav") as microphone:
        sound = listen(microphone)
    assert similarity(sound.samples, sentence) > 0.99


@pytest.mark.parametrize("noise", [0.0, 0.003])
def test_silence_at_the_ends_is_cut_but_for_a_breath(noise: float) -> None:
    random = np.random.default_rng(1)
    said = np.zeros(16_000 * 4, np.float32)
    said[16_000:32_000] = 0.2 * random.standard_normal(16_000)
    said[24_000:26_000] = 0  # a pause in the middle stays
    said += noise * random.standard_normal(said.size).astype(np.float32)
    kept = trimmed(said)
    assert kept.size == round(1.6 * 16_000)
    assert np.array_equal(kept, said[16_000 - 4800 : 32_000 + 4800])
    assert trimmed(said[:8000]).size == 8000
    assert trimmed(said[:0]).size == 0
