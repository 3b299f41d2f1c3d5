"""Sound files: WAV, FLAC, MP3 and Ogg, mono or not, at any sampling rate, to mono float32 at 16 kHz.

Files are decoded in blocks, so the memory needed is that of the result (`load`) or of one piece (`pieces`).
Everything wrong with a file becomes a MediaError of one sentence before its samples reach the model.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from assistant.media.cut import is_cut
from models.errors import MediaError

Samples = NDArray[np.float32]

RATE: Final = 16_000  # Hz, what the speech encoder hears
LONGEST: Final = 2 * 3600.0  # s, of `load`: the context holds 2 h 54 min of sound at most
LONGEST_FILE: Final = 24 * 3600.0  # s, of `pieces`
SILENCE: Final = 1e-4  # -80 dBFS: below this nothing was recorded
FORMATS: Final = frozenset(("WAV", "WAVEX", "RF64", "W64", "FLAC", "MP3", "OGG", "AIFF", "CAF", "AU"))
_PAUSE: Final = 20  # rows of 20 ms: 0.4 s, longer than between words
_BLOCK: Final = 1 << 16  # frames read at once
_CONVERT: Final = "Use a WAV, FLAC, MP3 or Ogg file."


@dataclass(frozen=True, eq=False)
class Sound:
    """Mono samples in -1…1 at ``rate`` Hz."""

    samples: Samples = field(repr=False)
    rate: int = RATE

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.samples.size / self.rate

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing to hear: no sample is louder than -80 dBFS."""
        return not self.samples.size or float(np.abs(self.samples).max()) < SILENCE


def load(path: Path) -> Sound:
    """The whole file, mono at 16 kHz. Raises MediaError if it can't be used or lasts more than two hours."""
    blocks = list(_blocks(path, LONGEST))
    return Sound(np.concatenate(blocks))


def pieces(path: Path, longest: float = 30.0) -> Iterator[Sound]:
    """A file of up to a day, mono at 16 kHz, in pieces of at most ``longest`` seconds.

    A piece ends in its last pause, or where it is quietest, so that words stay whole. Raises MediaError,
    also in the middle of a file that turns out to be damaged.
    """
    size = round(longest * RATE)
    held = np.empty(0, np.float32)
    for block in _blocks(path, LONGEST_FILE):
        held = np.concatenate((held, block))
        while held.size > size:
            at = quietest(held[:size])
            yield Sound(held[:at])
            held = held[at:]
    yield Sound(held)


def cut(sound: Sound, longest: float) -> Iterator[Sound]:
    """A sound at 16 kHz in such pieces."""
    left = sound.samples
    while left.size > longest * RATE:
        at = quietest(left[: round(longest * RATE)])
        yield Sound(left[:at], sound.rate)
        left = left[at:]
    yield Sound(left, sound.rate)


def resample(samples: Samples, rate: int, to: int) -> Samples:
    """Mono samples at another rate (Hz)."""
    if rate == to or not samples.size:
        return samples
    return np.asarray(soxr.resample(samples, rate, to), np.float32)


def wav(sound: Sound) -> bytes:
    """The sound as a 16-bit WAV file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, sound.samples, sound.rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def wav_seconds(size: int, files: int = 1) -> float:
    """How long files that `wav` made last, which have so many bytes together."""
    return max(0, size - 44 * files) / (2 * RATE)


def _blocks(path: Path, longest: float) -> Iterator[Samples]:
    """Decode a file, mono at 16 kHz, block by block."""
    with _opened(path) as file:
        _check_length(path, file.frames / file.samplerate, longest)
        name, rate, promised, read = path.name, int(file.samplerate), int(file.frames), 0
        converter = soxr.ResampleStream(rate, RATE, 1, dtype="float32")
        while True:
            try:
                block = file.read(_BLOCK, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise MediaError(
                    f"{name} is damaged: it can't be decoded after {read / rate:.1f} s.",
                    "Get the file again or convert it.",
                ) from error
            read += len(block)
            _check_length(path, read / rate, longest)
            if not np.isfinite(block).all():
                raise MediaError(
                    f"{name} is damaged: some samples are not numbers.", "Record or convert it again."
                )
            mono = np.clip(block.mean(axis=1), -1, 1, dtype=np.float32)
            last = len(block) < _BLOCK
            yield mono if rate == RATE else np.asarray(converter.resample_chunk(mono, last=last), np.float32)
            if last:
                break
    if not read:
        raise MediaError(f"{name} holds no sound.", "Record or choose another file.")
    if read < promised:
        raise _ends_early(name)


def _opened(path: Path) -> Any:
    """Open a sound file for reading, or say in one sentence why that is impossible."""
    name = path.name
    try:
        if path.is_dir():
            raise MediaError(f"{path} is a folder, not a sound file.")
        if not path.exists():
            raise MediaError(f"There is no file {path}.", "Check the name.")
        if not path.is_file():
            raise MediaError(f"{path} is a device or a pipe, not a sound file.")
        if not path.stat().st_size:
            raise MediaError(f"{name} is empty.", "Record or choose another file.")
        cut = is_cut(path)
    except OSError as error:
        raise MediaError(f"{path} can't be read: {error.strerror or error}.") from error
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a name that means raw samples
        raise (_ends_early(name) if cut else MediaError(f"{name} is no sound file.", _CONVERT)) from error
    try:
        if file.format not in FORMATS:
            raise MediaError(f"{name} is a {file.format} file.", _CONVERT)
        if cut:
            raise _ends_early(name)
        if file.samplerate < 1000 or file.channels > 64:
            raise MediaError(
                f"{name} has {file.channels} channels at {file.samplerate} Hz, which is no speech.", _CONVERT
            )
    except MediaError:
        file.close()
        raise
    return file


def _ends_early(name: str) -> MediaError:
    return MediaError(f"{name} is cut short: its end is missing.", "Get or record the file again.")


def _check_length(path: Path, seconds: float, longest: float) -> None:
    if seconds > longest:
        raise MediaError(
            f"{path.name} lasts {_duration(seconds)}, which is more than {_duration(longest)}.",
            "Cut it into parts.",
        )


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min"


def quietest(samples: Samples) -> int:
    """Where to end a piece: in its last pause (but not in the first quarter), else where it is quietest.

    A pause is 0.4 s that are 30 dB below the loud parts.
    """
    step = RATE // 50  # 20 ms
    rows = samples[: samples.size // step * step].reshape(-1, step)
    level = 10 * np.log10(np.square(rows).mean(axis=1) + 1e-10)
    window = min(_PAUSE, level.size)
    loudest = np.lib.stride_tricks.sliding_window_view(level, window).max(axis=1)
    first = min(level.size // 4, loudest.size - 1)
    quiet = np.percentile(level, 95) - 30
    pauses = np.flatnonzero(loudest[first:] < quiet)
    if pauses.size:
        # All windows of the last pause follow each other; its middle is between its first and its last one.
        last = first + int(pauses[-1])
        start = last
        while start > first and loudest[start - 1] < quiet:
            start -= 1
        row = (start + last + window) // 2
    else:
        first = min(level.size * 2 // 3, loudest.size - 1)
        mean = np.convolve(level, np.ones(window) / window, "valid")
        row = first + int(mean[first:].argmin()) + window // 2
    return int(max(step, row * step))
