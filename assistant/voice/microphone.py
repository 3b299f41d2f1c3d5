"""The microphone: a stream of 20 ms blocks at 16 kHz, and one utterance out of it.

The stream's callback copies and enqueues, nothing else; what listens runs in the caller's thread. A stream
that ends by itself, or falls silent without delivering blocks, is a lost device.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol, Self

import numpy as np
import soxr
from numpy.typing import NDArray

from assistant.media import sound
from assistant.media.sound import RATE, Sound
from assistant.usage import Usage
from assistant.voice.activity import VoiceActivity
from assistant.voice.audio_devices import lost, open_stream
from assistant.voice.endpoint import BLOCK, Endpointer, Endpointing, Heard, level
from models.errors import Cancelled, DeviceError

Samples = NDArray[np.float32]

FRAMES: Final = round(BLOCK * RATE)  # samples in a block
_BACKLOG: Final = round(60 / BLOCK)  # blocks kept for a listener that is late
_LOST: Final = 2.0  # s without a block


class BlockSource(Protocol):
    """Where blocks of sound come from: `Microphone`, or a file as `FileMicrophone`."""

    def blocks(self, cancel: threading.Event | None = None) -> Iterator[Samples]:
        """Blocks of 320 float32 samples at 16 kHz until the source ends.

        Raises DeviceError when it stopped working, Cancelled when ``cancel`` was set.
        """

    def close(self) -> None:
        """Stop recording."""


class Microphone:
    """A microphone that is open, and whose lamp is on, from here to `close`."""

    def __init__(self, device: str | int | None = None, usage: Usage | None = None) -> None:
        """Open it by name or number; None or "" for the default one. Raises DeviceError."""
        self._queue: queue.Queue[Samples] = queue.Queue(_BACKLOG)
        self.lost_blocks = 0  # that nobody listened to in time
        self._stream = open_stream("microphone", None if device == "" else device, RATE, self._take)
        self.name = self._stream.name
        rate = self._stream.rate
        self._lamp = usage.open("microphone", self.name) if usage is not None else None
        self._converter = None if rate == RATE else soxr.ResampleStream(rate, RATE, 1, dtype="float32")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def blocks(self, cancel: threading.Event | None = None) -> Iterator[Samples]:
        """Blocks from the time of opening on, or from where the last call ended (see `BlockSource`)."""
        held = np.empty(0, np.float32)
        heard = time.monotonic()
        while True:
            if cancel is not None and cancel.is_set():
                raise Cancelled("Recording was stopped.")
            try:
                block = self._queue.get(timeout=0.05)
            except queue.Empty:
                if self._stream.ended.is_set() or time.monotonic() - heard > _LOST:
                    raise lost("microphone", self.name) from None
                continue
            heard = time.monotonic()
            if self._converter is not None:
                block = np.asarray(self._converter.resample_chunk(block), np.float32)
            held = np.concatenate((held, block))
            while held.size >= FRAMES:
                yield held[:FRAMES]
                held = held[FRAMES:]

    def close(self) -> None:
        """Stop recording and give the device back."""
        self._stream.close()
        if self._lamp is not None:
            self._lamp.close()

    def _take(self, data: Any, _frames: int, _time: Any, _status: Any) -> None:
        """Called by PortAudio's thread."""
        try:
            self._queue.put_nowait(data[:, 0].copy())
        except queue.Full:
            self.lost_blocks += 1


class FileMicrophone:
    """A sound file in place of a microphone, followed by silence for as long as somebody listens."""

    def __init__(self, path: Path, real_time: bool = False) -> None:
        """Read the file; with ``real_time``, blocks come at the speed of a microphone. Raises MediaError."""
        samples = sound.load(path).samples
        padded = np.pad(samples, (0, -samples.size % FRAMES))
        self._blocks = iter(padded.reshape(-1, FRAMES))
        self._pause = BLOCK if real_time else 0.0
        self._closed = threading.Event()
        self.name = path.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def blocks(self, cancel: threading.Event | None = None) -> Iterator[Samples]:
        """The file's blocks, then silence (see `BlockSource`)."""
        while not self._closed.wait(self._pause):
            if cancel is not None and cancel.is_set():
                raise Cancelled("Recording was stopped.")
            yield next(self._blocks, np.zeros(FRAMES, np.float32))

    def close(self) -> None:
        """End the stream."""
        self._closed.set()


_ENDPOINTING: Final = Endpointing()
_PRE_ROLL: Final = round(0.5 / BLOCK)  # blocks kept from before the onset: first sounds are soft


def listen(
    source: BlockSource,
    endpointing: Endpointing = _ENDPOINTING,
    on_level: Callable[[float, bool], None] = lambda *_: None,
    cancel: threading.Event | None = None,
) -> Sound:
    """One utterance: from half a second before it began until it is silent again.

    ``on_level(dBFS, speaking)`` is called for each block. The sound is empty if nobody spoke; if the device
    is lost in the middle, what was heard comes back, and the next call raises DeviceError. Raises DeviceError
    and Cancelled.
    """
    endpointer, activity = Endpointer(endpointing), VoiceActivity()
    before: deque[Samples] = deque(maxlen=_PRE_ROLL)
    kept: list[Samples] = []
    try:
        for block in source.blocks(cancel):
            heard = endpointer.push(block, activity.push(block))
            on_level(level(block), endpointer.speaking)
            if heard is Heard.NOTHING:
                return Sound(np.empty(0, np.float32))
            if heard is Heard.WAITING:
                before.extend(kept)  # it was only a click
                kept.clear()
                before.append(block)
                continue
            if before:
                kept += before
                before.clear()
            kept.append(block)
            if heard is Heard.FINISHED:
                break
    except DeviceError:
        if not kept:
            raise
    return Sound(np.concatenate(kept) if kept else np.empty(0, np.float32))
