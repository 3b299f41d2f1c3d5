"""What the brain tells: of its model, and of the turn that it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from assistant.detail import Look
from assistant.engine.devices import CPU
from assistant.engine.protocol import Progress, Reason, Statistics
from assistant.history.records import CallState, ToolCall
from models.errors import AsideError, DeviceError


@dataclass(frozen=True)
class Loading:
    """The model is being checked and loaded."""

    name: str


@dataclass(frozen=True)
class Loaded:
    """The model is ready; ``problem``: why the processor computes instead of the device that was chosen."""

    name: str
    seconds: float
    device: str = CPU
    problem: DeviceError | None = None


@dataclass(frozen=True)
class LoadFailed:
    """There is no model to ask."""

    error: AsideError


@dataclass(frozen=True)
class Working:
    """Before the first word: ``done`` of ``total`` pictures, clips or tokens."""

    turn: int
    progress: Progress


@dataclass(frozen=True)
class Wrote:
    """Some more of the answer."""

    turn: int
    text: str


@dataclass(frozen=True)
class Asks:
    """The model wants to call a tool that has an effect: may it?

    ``intent`` is made of checked ``arguments`` alone. Give ``answer`` a yes or a no within ``patience``
    seconds; then, or when the person answered or stopped the turn, comes `Called`.
    """

    turn: int
    name: str
    intent: str
    patience: float
    answer: Callable[[bool], None] = field(repr=False)
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Called:
    """A tool was called, or not, and ``result`` is what came of it. ``arguments`` are a stranger's."""

    turn: int
    name: str
    arguments: Mapping[str, Any]
    state: CallState
    result: str

    @property
    def call(self) -> ToolCall:
        """As the history keeps it."""
        return ToolCall(self.name, self.arguments, self.state, self.result)


@dataclass(frozen=True)
class Answered:
    """The answer is complete, or was stopped; ``first`` is in seconds from the question to the first word."""

    turn: int
    reason: Reason
    statistics: Statistics = field(default_factory=Statistics)
    first: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Failed:
    """There is no answer, or only part of one."""

    turn: int
    error: AsideError


@dataclass(frozen=True)
class Understood:
    """What is said in a recording. ``final``: nothing more of it will come."""

    turn: int
    text: str
    final: bool


@dataclass(frozen=True)
class Forgot:
    """Of a conversation that was opened, the first ``exchanges`` don't fit into the model's context."""

    exchanges: int


@dataclass(frozen=True)
class Limited:
    """A sentence of the model's package: it can't do what it was asked for in this turn."""

    turn: int
    text: str


@dataclass(frozen=True)
class Translated:
    """What was said in a piece of a dictation, in another language; without its transcript."""

    turn: int
    text: str
    language: str


@dataclass(frozen=True)
class Prepared:
    """So many ``pictures`` are ready for the question that is to come."""

    pictures: int


@dataclass(frozen=True)
class Sized:
    """How the pictures that wait will be seen; before they are."""

    looks: tuple[Look, ...]


@dataclass(frozen=True)
class Costs:
    """What of this turn's question is not ready takes about so many ``seconds``."""

    turn: int
    seconds: float


@dataclass(frozen=True)
class Enough:
    """The model can't hear more of the recording of this turn than its first ``samples``, at 16 kHz."""

    turn: int
    samples: int


BrainEvent = (
    Prepared
    | Enough
    | Sized
    | Costs
    | Limited
    | Loading
    | Loaded
    | LoadFailed
    | Forgot
    | Working
    | Wrote
    | Asks
    | Called
    | Answered
    | Failed
    | Understood
    | Translated
)
