"""What the history takes and gives: conversations, turns, media, tool calls, search results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

Role = Literal["user", "assistant"]
State = Literal["open", "complete", "stopped", "failed"]
"""open: still being written. stopped: somebody interrupted it. failed: `Turn.problem` says why."""
CallState = Literal["proposed", "done", "refused", "failed"]

SUFFIXES: Final = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "audio/wav": ".wav",
    "audio/flac": ".flac",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "application/pdf": ".pdf",
    "text/plain": ".txt",
}
"""The media types that the history keeps, with the endings of their files."""


@dataclass(frozen=True)
class NewMedia:
    """A picture, sound or document to keep: its bytes, or a file that is copied."""

    source: bytes | Path = field(repr=False)
    media_type: str
    name: str = ""

    def __post_init__(self) -> None:
        if self.media_type not in SUFFIXES:
            raise ValueError(f"{self.media_type} is none of {', '.join(SUFFIXES)}")


@dataclass(frozen=True)
class Media:
    """A file in the history. ``name`` is what it was called where it came from."""

    sha256: str
    media_type: str
    bytes: int
    name: str = ""

    @property
    def file_name(self) -> str:
        """Its name in the media folder."""
        return self.sha256 + SUFFIXES.get(self.media_type, "")


@dataclass(frozen=True)
class ToolCall:
    """A tool that a reply called. ``result`` is None until there is one."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    state: CallState = "proposed"
    result: str | None = None


@dataclass(frozen=True)
class NewTurn:
    """A turn to append.

    text         what was typed or answered.
    transcript   what was understood of a spoken question; None if it was not spoken.
    heard        as much of a spoken reply as was heard before it was interrupted; None if it was not.
    media        in the order in which the model gets them, ahead of the text. `Media` are already kept.
    problem      why it failed, as a sentence.
    model        the package that answered.
    figures      what it cost; anything JSON can hold.
    """

    role: Role
    text: str = ""
    transcript: str | None = None
    heard: str | None = None
    media: tuple[NewMedia | Media, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    state: Literal["complete", "stopped", "failed"] = "complete"
    problem: str = ""
    model: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Turn:
    """A turn as it is kept; fields as in `NewTurn`.

    Turns are in the order of their ids, whatever the clock said. ``created`` is in seconds since 1970.
    ``hidden_by`` is the turn that was put in its place or before it, or None while it is visible.
    """

    id: int
    conversation: int
    role: Role
    state: State
    text: str
    transcript: str | None
    heard: str | None
    problem: str
    model: str
    figures: Mapping[str, Any]
    created: float
    hidden_by: int | None
    media: tuple[Media, ...] = ()
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True)
class Conversation:
    """A conversation without its turns.

    ``created`` and ``changed`` are in seconds since 1970. ``used`` grows with each use of any conversation:
    the order of the list, which a wrong clock can't change. ``turns`` counts the visible ones.
    """

    id: int
    title: str
    mode: str
    created: float
    changed: float
    used: int
    turns: int


@dataclass(frozen=True)
class Run:
    """A bit of a snippet."""

    text: str
    found: bool


@dataclass(frozen=True)
class Hit:
    """A place where the words of a search stand: a turn, or a title (``turn`` is None)."""

    conversation: int
    title: str
    turn: int | None
    role: Role | None
    created: float
    snippet: tuple[Run, ...]

    @property
    def text(self) -> str:
        """The snippet as plain text."""
        return "".join(run.text for run in self.snippet)
