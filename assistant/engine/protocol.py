"""What goes into the engine and what comes out: segments, options, events, statistics, and the session.

Everything here is frozen and picklable, because it crosses the border between two processes.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Control:
    """A special token by name, such as ``<|user|>``. Only `assistant.engine.prompt` makes these."""

    token: str


@dataclass(frozen=True)
class Text:
    """Text from anywhere, taken literally: whatever it says, it can't become a special token."""

    text: str


@dataclass(frozen=True)
class Picture:
    """An encoded picture (PNG or JPEG) that `assistant.media` has checked.

    It is seen in ``crops`` crops at most (`assistant.detail`); None: in as many as the package allows.
    """

    data: bytes = field(repr=False)
    crops: int | None = None


@dataclass(frozen=True, eq=False)
class Clip:
    """Mono sound: float32 samples in -1…1 at ``rate`` Hz.

    ``at`` is above 0 in a later window of a long recording, as `assistant.engine.windows` cuts it: so many
    of its samples come before these, and the first of these are heard as context only.
    """

    samples: NDArray[np.float32] = field(repr=False)
    rate: int
    at: int = 0


@dataclass(frozen=True)
class Reply:
    """Tokens that the model generated. The session adds them; append one to replay a conversation."""

    ids: tuple[int, ...]


Segment = Control | Text | Picture | Clip | Reply


@dataclass(frozen=True)
class GenerateOptions:
    """How to write one reply. The defaults are greedy decoding.

    max_tokens         0 only encodes and prefills what was appended, ahead of a later call.
    before_sound       with ``max_tokens`` 0: a clip comes next, so prefill under the adapter for sound
                       already.
    temperature        0 takes the likeliest token; otherwise logits are divided by it before sampling.
    top_p              sample among the fewest tokens that together have this probability.
    seed               of the sampler; the same seed, session and options give the same reply.
    stop_ids           tokens that end the reply; None means those of the package (``<|end|>``).
    repetition_guard   stop when the last tokens are one sequence this many times in a row; 0 switches it off.
    """

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop_ids: frozenset[int] | None = None
    repetition_guard: int = 8
    before_sound: bool = False

    def __post_init__(self) -> None:
        if self.max_tokens < 0 or self.temperature < 0 or self.repetition_guard < 0:
            raise ValueError("max_tokens, temperature and repetition_guard can't be negative")
        if self.repetition_guard == 1:
            raise ValueError("a sequence that comes once is no repetition")
        if not 0 < self.top_p <= 1:
            raise ValueError("top_p must be above 0 and at most 1")


Stage = Literal["vision", "speech", "prefill"]


@dataclass(frozen=True)
class Progress:
    """Work done before the first token: pictures and clips encoded, or tokens prefilled."""

    stage: Stage
    done: int
    total: int


@dataclass(frozen=True)
class Token:
    """One generated token and the text that it completes (empty inside a character).

    ``control`` names a special token, such as ``<|tool_call|>``, whose ``text`` is empty; otherwise it is "".
    """

    id: int
    text: str
    control: str = ""


@dataclass(frozen=True)
class Statistics:
    """What one reply cost.

    Of the prompt's tokens, ``prefilled`` are new, ``reused`` had their keys and values cached, and
    ``recomputed`` had to be computed once more: another adapter was switched on, the length at which RoPE
    changes its factors was crossed, or the reply starts where an earlier one did (one token).
    ``recomputed`` counts tokens written and crossing that length during the reply as well. ``generated``
    excludes the stop token. ``crops`` were seen by the vision encoder. ``seconds`` by stage: tokenize,
    preprocess, vision, speech, prefill, decode.
    """

    prefilled: int = 0
    reused: int = 0
    recomputed: int = 0
    generated: int = 0
    crops: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)


Reason = Literal["stop", "length", "cancelled", "repetition", "context"]


@dataclass(frozen=True)
class Finished:
    """The last event of a reply.

    stop         the model ended it (the stop token is not part of the session).
    length       ``max_tokens`` was reached.
    cancelled    somebody asked to stop; what was generated stays in the session.
    repetition   the model went in circles.
    context      the model's context is full.
    """

    reason: Reason
    statistics: Statistics


Event = Progress | Token | Finished


Prefill = Literal["same", "int8"]


@dataclass(frozen=True)
class EngineSettings:
    """How the engine uses the machine.

    threads         of one computation; 0 lets onnxruntime take the physical cores.
    chunk           tokens of one prefill step: between steps, progress is told and memory is given back.
    context_limit   tokens at most, prompt and reply together; None means the model's context.
    cache_bytes     kept encoder results.
    adapter         a user's own adapter, by its name in the package: on for text, pictures and sound alike,
                    in place of the package's two. None lets the content choose between those.
    spinning        threads wait for each other by spinning while a graph runs: quicker on cores of its own.
    prefill         "int8": prompts are read in 8 bits where the package has the graph for it, which is
                    quicker and takes `PackageInfo.prefill_bytes` more memory. "same": by the graph that
                    also writes.
    device          what computes, one of `devices.NAMES`.
    arena           the language model keeps the memory of a run for the next one.
    """

    threads: int = 0
    chunk: int = 128
    context_limit: int | None = None
    cache_bytes: int = 256 * 2**20
    adapter: str | None = None
    spinning: bool = True
    arena: bool = True
    prefill: Prefill = "int8"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.chunk < 1 or self.threads < 0 or self.cache_bytes < 0:
            raise ValueError("chunk must be at least 1, threads and cache_bytes can't be negative")
        if self.prefill not in get_args(Prefill):
            raise ValueError(f"prefill is one of {', '.join(get_args(Prefill))}")


class Session(Protocol):
    """One conversation. Used by one thread at a time; ``cancel`` may be set by any.

    `LocalSession(package, settings)` runs it in this process, `EngineProcess` in a child process.
    """

    def append(self, *segments: Segment) -> None:
        """Add to the conversation; nothing is computed yet but the number of tokens.

        Adds all or nothing. Raises ContextError if they don't fit, MediaError if one can't be used.
        """

    def generate(
        self, options: GenerateOptions = ..., cancel: threading.Event | None = None
    ) -> Generator[Event, None, None]:
        """Encode and prefill what is new, then write a reply: Progress, Token, and Finished at the end.

        The reply becomes part of the session as far as it got, without the stop token. Closing the iterator
        early is cancelling, and so is any other call: the iterator then ends. Raises ContextError if nothing
        was appended.
        """

    def mark(self) -> int:
        """The present place in the conversation."""

    def rewind(self, mark: int) -> None:
        """Forget everything after ``mark``; 0 starts a new one. ValueError for a place not reached."""

    def close(self) -> None:
        """Free the model."""


class OpenSession(Protocol):
    """What makes a session of a package: the classes `LocalSession` and `EngineProcess`."""

    def __call__(self, package: Path, settings: EngineSettings = ...) -> Session:
        """Check and load the package. Raises PackageError."""
