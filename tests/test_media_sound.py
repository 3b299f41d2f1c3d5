"""Sound files of every kind and every defect."""

from __future__ import annotations

import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from assistant.media import sound
from models.errors import MediaError

FILES = {"wav": "PCM_16", "flac": "PCM_16", "mp3": "MPEG_LAYER_III", "ogg": "VORBIS"}


def tone(rate: int, seconds: float = 1.0, hertz: float = 440.0) -> NDArray[np.float32]:
    time = np.arange(round(rate * seconds)) / rate
    return (0.4 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def write(path: Path, samples: NDArray[np.float32], rate: int, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The largest normalised correlation over shifts of up to 100 ms."""
    best = 0.0
    for shift in range(-1600, 1601, 4):
        x, y = (a[shift:], b) if shift >= 0 else (a, b[-shift:])
        size = min(x.size, y.size)
        norm = float(np.linalg.norm(x[:size]) * np.linalg.norm(y[:size]))
        best = max(best, float(np.dot(x[:size], y[:size])) / norm)
    return best


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_any_format_and_rate_becomes_16_khz(tmp_path: Path, kind: str, rate: int) -> None:
    loaded = sound.load(write(tmp_path / f"a.{kind}", tone(rate), rate, FILES[kind]))
    assert loaded.rate == 16000
    assert loaded.samples.dtype == np.float32
    assert loaded.seconds == pytest.approx(1.0, abs=0.1 if kind == "mp3" else 0.002)
    assert correlation(loaded.samples, tone(16000)) > 0.99


def test_stereo_is_averaged(tmp_path: Path) -> None:
    left, right = tone(16000), tone(16000, hertz=700)
    path = write(tmp_path / "a.wav", np.stack([left, right], axis=1), 16000, "FLOAT")
    np.testing.assert_allclose(sound.load(path).samples, (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 65535, 65536, 65537, 131072])
def test_blocks_lose_nothing(tmp_path: Path, frames: int) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, frames).astype(np.float32)
    path = write(tmp_path / "a.wav", samples, 16000, "FLOAT")
    np.testing.assert_array_equal(sound.load(path).samples, samples)
    path = write(tmp_path / "b.wav", samples, 48000, "FLOAT")
    assert sound.load(path).samples.size == pytest.approx(frames / 3, abs=1)


def test_pieces_are_cut_in_the_pauses_and_are_the_whole(tmp_path: Path) -> None:
    pause = np.zeros(8000, np.float32)
    samples = np.concatenate([part for _ in range(12) for part in (tone(16000, 7.0), pause)])
    path = write(tmp_path / "a.wav", samples, 16000, "FLOAT")
    parts = list(sound.pieces(path, longest=30))
    assert all(part.seconds <= 30 for part in parts)
    assert len(parts) == 4
    for part in parts[:-1]:
        assert np.abs(part.samples[-3000:]).max() == 0, "the cut is not in the middle of a pause"
    for part in parts[1:]:
        assert np.abs(part.samples[:3000]).max() == 0
    np.testing.assert_array_equal(np.concatenate([p.samples for p in parts]), samples)


def test_pieces_without_a_pause_end_where_it_is_quietest(tmp_path: Path) -> None:
    samples = tone(16000, 100.0)
    samples[16000 * 25 : 16000 * 25 + 6400] *= 0.3
    parts = list(sound.pieces(write(tmp_path / "a.wav", samples, 16000, "FLOAT"), longest=30))
    assert parts[0].seconds == pytest.approx(25.2, abs=0.05)
    assert all(20 <= part.seconds <= 30 for part in parts[:-1])
    np.testing.assert_array_equal(np.concatenate([p.samples for p in parts]), samples)


@pytest.mark.parametrize("seconds", [0.001, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("value", [0.0, 0.2])
def test_pieces_of_odd_recordings_come_to_an_end(tmp_path: Path, seconds: float, value: float) -> None:
    samples = np.full(round(16000 * seconds) + 7, value, np.float32)
    parts = list(sound.pieces(write(tmp_path / "a.wav", samples, 16000, "FLOAT"), longest=1.0))
    assert sum(part.samples.size for part in parts) == samples.size
    assert all(0 < part.seconds <= 1 for part in parts)


def test_pieces_of_a_long_recording_need_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        for _ in range(20):
            file.write(tone(8000, 60.0))
    tracemalloc.start()
    seconds = sum(part.seconds for part in sound.pieces(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds == pytest.approx(1200, abs=0.1)
    assert peak < 20e6, "the whole has 77 MB"


def test_silence_is_known(tmp_path: Path) -> None:
    assert sound.load(write(tmp_path / "a.wav", np.zeros(1600, np.float32), 16000)).is_silent
    assert not sound.load(write(tmp_path / "b.wav", tone(16000), 16000)).is_silent


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("kept", [0.0, 0.002, 0.3, 0.7, 0.99])
def test_cut_files_are_refused(tmp_path: Path, kind: str, kept: float) -> None:
    data = write(tmp_path / f"whole.{kind}", tone(44100, 3.0), 44100, FILES[kind]).read_bytes()
    path = tmp_path / f"part.{kind}"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(MediaError) as caught:
        sound.load(path)
    assert "part." in caught.value.what


def test_a_wav_written_into_a_pipe_is_taken(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "a.wav", tone(16000), 16000).read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    (tmp_path / "b.wav").write_bytes(data)
    assert sound.load(tmp_path / "b.wav").seconds == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(tmp_path: Path, bad: float) -> None:
    samples = tone(16000)
    samples[777] = bad
    with pytest.raises(MediaError, match="not numbers"):
        sound.load(write(tmp_path / "a.wav", samples, 16000, "FLOAT"))


def test_other_bad_files(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no file"):
        sound.load(tmp_path / "nothing.wav")
    with pytest.raises(MediaError, match="folder"):
        sound.load(tmp_path)
    for name, data, word in (
        ("a.wav", b"", "empty"),
        ("b.wav", b"This is a letter, not a sound. " * 40, "no sound file"),
        ("c.raw", b"\0" * 4000, "no sound file"),
        ("d.mp3", bytes(range(43)), "no sound file"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(MediaError, match=word):
            sound.load(tmp_path / name)
    write(tmp_path / "e.wav", np.empty(0, np.float32), 16000)
    with pytest.raises(MediaError, match="no sound"):
        sound.load(tmp_path / "e.wav")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MediaError, match="pipe"):
        sound.load(tmp_path / "pipe")


def test_an_absurd_length_is_refused_without_decoding_it(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 1000, 1) as file:
        for _ in range(30):
            file.write(np.zeros(1_000_000, np.float32))
    with pytest.raises(MediaError, match=r"lasts 8 h 20 min, which is more than 2 h 0 min\. Cut it"):
        sound.load(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(FILES)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_damaged_bytes_give_sound_or_a_sentence(
    tmp_path: Path, kind: str, changes: list[tuple[float, int]]
) -> None:
    whole = tmp_path / f"whole.{kind}"
    if not whole.exists():
        write(whole, tone(16000, 0.5), 16000, FILES[kind])
    data = bytearray(whole.read_bytes())
    for place, value in changes:
        data[int(place**3 * (len(data) - 1))] = value  # mostly in the header
    path = tmp_path / f"damaged.{kind}"
    path.write_bytes(data)
    try:
        loaded = sound.load(path)
    except MediaError:
        return
    assert np.isfinite(loaded.samples).all()
    assert loaded.samples.size
