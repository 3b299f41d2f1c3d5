"""A question that has only begun: its pictures, and what was spoken of it, are computed before the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from assistant.engine import prompt
from assistant.engine.protocol import Clip, Session
from assistant.engine.windows import same, windows


@dataclass
class Ahead:
    """The end of a session.

    mark       of the session before it.
    answered   whether a reply was still open there.
    parts      that it holds.
    """

    mark: int
    answered: bool
    parts: list[prompt.Part] = field(default_factory=list)
    _marks: list[int] = field(default_factory=list)  # before each part, and after the last

    @classmethod
    def begin(cls, session: Session, answered: bool) -> Self:
        """Begin a user's turn."""
        mark = session.mark()
        session.append(*(prompt.end() if answered else []), *prompt.begin_user())
        return cls(mark, answered, [], [session.mark()])

    @property
    def clips(self) -> int:
        """How many windows of a recording it holds."""
        return sum(isinstance(part, Clip) for part in self.parts)

    def hold(self, session: Session, parts: Sequence[prompt.Part]) -> None:
        """Have these parts in it and no others; those that are there already stay computed."""
        for part in self.rest(session, parts):
            session.append(*prompt.content(part))
            self.parts.append(part)
            self._marks.append(session.mark())

    def rest(self, session: Session, parts: Sequence[prompt.Part]) -> list[prompt.Part]:
        """Which of these parts are still to come; what it holds and they don't is forgotten."""
        if self.clips:
            parts = [one for part in parts for one in (windows(part) if isinstance(part, Clip) else [part])]
        known = 0
        while known < min(len(parts), len(self.parts)) and _alike(parts[known], self.parts[known]):
            known += 1
        if known < len(self.parts):
            session.rewind(self._marks[known])
            del self.parts[known:], self._marks[known + 1 :]
        return list(parts[known:])


def _alike(one: prompt.Part, other: prompt.Part) -> bool:
    if isinstance(one, Clip) and isinstance(other, Clip):
        return same(one, other)
    return one == other
