"""What the engine's process and its owner say to each other, and how it travels through a pipe.

A message is pickled, with the memory of large arrays beside the pickle instead of inside it, so that
neither side copies it. Nobody else can write to the pipe; still, the parent takes no class but ours from it.
"""

from __future__ import annotations

import io
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
    """`Session.append` at a place: what the session holds beyond it was never answered for, and is forgotten.

    That happens when Ctrl-C breaks into the wait for an answer.
    """

    place: int
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Generate:
    """`Session.generate` at a place, as in `Append`; answered by its events."""

    place: int
    options: GenerateOptions


@dataclass(frozen=True)
class Apart:
    """`LocalSession.apart`; answered by its events."""

    segments: tuple[Segment, ...]
    options: GenerateOptions


@dataclass(frozen=True)
class Rewind:
    """`Session.rewind`."""

    mark: int


@dataclass(frozen=True)
class Cancel:
    """Stop the `Generate` or `Apart` request of the same number."""


@dataclass(frozen=True)
class Request:
    """To the child. Requests are answered one after the other, under their number."""

    number: int
    body: Open | Append | Generate | Apart | Rewind | Cancel


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
_ANSWERS: Final = ("assistant.engine.protocol", "assistant.engine.wire", "models.errors")
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


class Trusting(pickle.Unpickler):
    """Reads what the parent says."""


class Wary(pickle.Unpickler):
    """Reads what the child says. It works on strangers' files: only our classes are made of it."""

    def find_class(self, module: str, name: str) -> type:
        """One of the classes that answers consist of. Raises UnpicklingError."""
        if module in _ANSWERS and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"the engine's process sent {module}.{name}")


def receive(pipe: IO[bytes], reader: type[pickle.Unpickler]) -> object:
    """Read one message. Raises EOFError if the other side has gone, and anything if it sends rubbish."""
    count, length = _HEAD.unpack(_read(pipe, _HEAD.size))
    sizes = [_SIZE.unpack(_read(pipe, _SIZE.size))[0] for _ in range(count)]
    body = _read(pipe, length)
    buffers = [_read(pipe, size) for size in sizes]
    return reader(io.BytesIO(body), buffers=buffers).load()


def _read(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data
