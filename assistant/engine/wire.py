"""What the engine's process and its owner say to each other, and how it travels through a pipe.

A message is pickled, with the memory of large arrays beside the pickle instead of inside it, so that
neither side copies it. Both ends of the pipe are ours: nobody else can write to it.
"""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from assistant.engine.protocol import EngineSettings, Event, GenerateOptions, Segment
from models.errors import AsideError


@dataclass(frozen=True)
class Open:
    """Check and load a package; the first request."""

    package: Path
    settings: EngineSettings


@dataclass(frozen=True)
class Append:
    """`Session.append`."""

    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Generate:
    """`Session.generate`; answered by its events."""

    options: GenerateOptions


@dataclass(frozen=True)
class Rewind:
    """`Session.rewind`."""

    mark: int


@dataclass(frozen=True)
class Cancel:
    """Stop the `Generate` request of the same number."""


@dataclass(frozen=True)
class Request:
    """To the child. Requests are answered one after the other, under their number."""

    number: int
    body: Open | Append | Generate | Rewind | Cancel


@dataclass(frozen=True)
class Done:
    """The request is done."""


@dataclass(frozen=True)
class Failed:
    """The request failed."""

    error: AsideError


@dataclass(frozen=True)
class Answer:
    """To the parent."""

    number: int
    body: Event | Done | Failed


@dataclass(frozen=True)
class Heartbeat:
    """To the parent, four times a second, whatever the child is doing."""


HEARTBEAT_SECONDS: Final = 0.25
_HEAD: Final = struct.Struct("<IQ")  # how many buffers, size of the pickle
_SIZE: Final = struct.Struct("<Q")


def send(pipe: IO[bytes], message: object) -> None:
    """Write one message. Raises OSError if nobody reads any more."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    sizes = b"".join(_SIZE.pack(view.nbytes) for view in views)
    pipe.write(_HEAD.pack(len(views), len(body)) + sizes + body)
    for view in views:
        pipe.write(view)
    pipe.flush()


def receive(pipe: IO[bytes]) -> object:
    """Read one message. Raises EOFError if the other side has gone."""
    count, length = _HEAD.unpack(_read(pipe, _HEAD.size))
    sizes = [_SIZE.unpack(_read(pipe, _SIZE.size))[0] for _ in range(count)]
    body = _read(pipe, length)
    buffers = [_read(pipe, size) for size in sizes]
    return pickle.loads(body, buffers=buffers)  # noqa: S301 (from our own process)


def _read(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data
