"""The conversation as tokens: which segment stands where, and what follows from all of them together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.engine.protocol import Clip, Picture

if TYPE_CHECKING:  # the caller's process, which imports this too, does without genai
    from models.frontend import ClipInputs, PictureInputs


@dataclass
class Words:
    """Text tokens: of a Control, a Text or a Reply."""

    ids: list[int]

    @property
    def tokens(self) -> int:
        """Length in the prompt."""
        return len(self.ids)


@dataclass
class Media:
    """A picture or clip that takes ``tokens`` places. ``key`` identifies its content.

    ``inputs`` are what its encoder takes, as long as they wait for it.
    """

    segment: Picture | Clip
    key: str
    tokens: int
    inputs: PictureInputs | ClipInputs | None = None


Piece = Words | Media


class Timeline:
    """The pieces of one conversation in order. A mark is the number of pieces before it."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.length = 0

    def extend(self, pieces: list[Piece]) -> None:
        """Add pieces at the end."""
        self.pieces += pieces
        self.length += sum(piece.tokens for piece in pieces)

    def write(self, token: int, reply: Words) -> None:
        """Add one generated token to ``reply``, which becomes the last piece with its first token."""
        if not reply.ids:
            self.pieces.append(reply)
        reply.ids.append(token)
        self.length += 1

    def rewind(self, mark: int) -> None:
        """Drop what comes after ``mark``. ValueError if the conversation has not got that far."""
        check_mark(mark, len(self.pieces))
        del self.pieces[mark:]
        self.length = sum(piece.tokens for piece in self.pieces)

    @property
    def mode(self) -> int:
        """The adapter mode: 0 text, 1 pictures, 2 sound, 3 both (the model card's rule)."""
        held = {type(piece.segment) for piece in self.pieces if isinstance(piece, Media)}
        if Picture in held:
            return 3 if Clip in held else 1
        return 2 if held else 0

    def between(self, start: int, end: int) -> Iterator[tuple[Piece, int, int]]:
        """The pieces that have tokens in ``start:end``, each with the range of its tokens there."""
        at = 0
        for piece in self.pieces:
            first, last = max(start - at, 0), min(end - at, piece.tokens)
            if first < last:
                yield piece, first, last
            at += piece.tokens
            if at >= end:
                return


def check_mark(mark: int, reached: int) -> None:
    """ValueError unless ``mark`` is a place between the beginning and ``reached``."""
    if not 0 <= mark <= reached:
        raise ValueError(f"there is no place {mark} in a conversation of {reached} segments")
