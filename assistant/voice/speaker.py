"""The speaker: one stream that stays open, fed from a queue, silent within 100 ms of `stop`."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from assistant.media.sound import Sound, resample
from assistant.voice.audio_devices import lost, open_stream
from models.errors import Cancelled, MediaError

Samples = NDArray[np.float32]

RATE: Final = 22_050  # Hz, what espeak-ng speaks
_LOST: Final = 2.0  # s


class SoundSink(Protocol):
    """Where sound goes: `Speaker`, or a file as `FileSpeaker`."""

    def play(self, sound: Sound) -> None:
        """Play after what is waiting; returns at once. Raises DeviceError."""

    @property
    def played(self) -> float:
        """Seconds of sound that were heard so far."""

    def wait(self, cancel: threading.Event | None = None) -> None:
        """Until everything was played. Raises DeviceError, or Cancelled after a `stop`."""

    def stop(self) -> None:
        """Be silent now and forget what is waiting."""

    def close(self) -> None:
        """Give the device back or finish the file."""


class Speaker:
    """A speaker that is open from here to `close`; ``device``: name or number, None or "" the default one."""

    def __init__(
        self,
        device: str | int | None = None,
        on_played: Callable[[Samples, int], None] = lambda *_: None,
    ) -> None:
        """Open it. PortAudio's thread tells ``on_played`` each block that it plays, with its rate in Hz.

        Raises DeviceError.
        """
        self._on_played = on_played
        self._waiting: deque[Samples] = deque()
        self._lock = threading.Lock()
        self._moved = time.monotonic()  # of the last callback
        self._rate = RATE  # until it is known better
        self._given = 0  # samples of sound, without the silence between
        self._stream = open_stream("speaker", None if device == "" else device, RATE, self._give)
        self.name, self._rate = self._stream.name, self._stream.rate

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def playing(self) -> bool:
        """Whether something is still to be played."""
        return bool(self._waiting)

    @property
    def played(self) -> float:
        """Seconds of sound that have left the speaker (see `SoundSink`)."""
        return max(0.0, self._given / self._rate - (self._stream.latency if self.playing else 0.0))

    @property
    def lost(self) -> bool:
        """Whether it stopped working."""
        return self._stream.ended.is_set() or time.monotonic() - self._moved > _LOST

    def play(self, sound: Sound) -> None:
        """Play after what is waiting (see `SoundSink`)."""
        self._check()
        samples = resample(sound.samples, sound.rate, self._rate)
        with self._lock:
            self._waiting.append(samples)

    def wait(self, cancel: threading.Event | None = None) -> None:
        """Until the last sample has left the speaker (see `SoundSink`)."""
        quit_at = None
        while quit_at is None or time.monotonic() < quit_at:
            self._check()
            if cancel is not None and cancel.is_set():
                self.stop()
                raise Cancelled("Playing was stopped.")
            if quit_at is None and not self.playing:
                quit_at = time.monotonic() + self._stream.latency + 0.02
            self._stream.ended.wait(0.01)

    def stop(self) -> None:
        """Be silent now."""
        with self._lock:
            self._waiting.clear()

    def close(self) -> None:
        """Give the device back; what is waiting is not played."""
        self.stop()
        self._stream.close()

    def _check(self) -> None:
        if self.lost:
            raise lost("speaker", self.name)

    def _give(self, out: Any, frames: int, _time: Any, _status: Any) -> None:
        """Called by PortAudio's thread; the lock is only ever held for an append or a clear."""
        self._moved = time.monotonic()
        filled = 0
        with self._lock:
            while filled < frames and self._waiting:
                block = self._waiting[0]
                part = block[: frames - filled]
                out[filled : filled + part.size, 0] = part
                filled += part.size
                if part.size == block.size:
                    self._waiting.popleft()
                else:
                    self._waiting[0] = block[part.size :]
        out[filled:] = 0
        self._given += filled
        self._on_played(out[:, 0].copy(), self._rate)


class FileSpeaker:
    """A 16-bit WAV file in place of a speaker. The file appears under its name when it is complete."""

    def __init__(self, path: Path) -> None:
        """Begin the file beside ``path``. Raises MediaError if it can't be written."""
        self._path = path
        self._file: Any = None
        try:
            if path.is_dir():
                raise MediaError(f"{path} is a folder.", "Give the name of a WAV file.")
            self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
            self._part.touch(exist_ok=False)
        except OSError as error:
            raise MediaError(f"{path} can't be written: {error.strerror or error}.") from error
        self.seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def play(self, sound: Sound) -> None:
        """Add to the file; the first sound decides its rate."""
        try:
            if self._file is None:
                self._file = soundfile.SoundFile(
                    self._part, "w", sound.rate, 1, subtype="PCM_16", format="WAV"
                )
            self._file.write(resample(sound.samples, sound.rate, self._file.samplerate))
        except (OSError, soundfile.LibsndfileError) as error:
            self.discard()
            raise MediaError(f"{self._path} can't be written: {error}.", "Free some disk space.") from error
        self.seconds += sound.seconds

    @property
    def played(self) -> float:
        """What is in the file counts as heard."""
        return self.seconds

    def wait(self, cancel: threading.Event | None = None) -> None:
        """Nothing to wait for."""

    def stop(self) -> None:
        """What was written stays."""

    def close(self) -> None:
        """Finish the file; without any sound, none is written."""
        if self._file is None:
            self.discard()
            return
        self._file.close()
        try:
            self._part.replace(self._path)
        except OSError as error:
            self.discard()
            raise MediaError(f"{self._path} can't be written: {error.strerror or error}.") from error

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._file is not None:
            self._file.close()
        self._part.unlink(missing_ok=True)
