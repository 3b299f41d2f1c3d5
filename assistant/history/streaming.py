"""A reply that is kept while it is being written."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from assistant.history.records import ToolCall, Turn
from models.errors import Cancelled, HistoryError

if TYPE_CHECKING:
    from assistant.history.store import History

EVERY: Final = 0.5  # s between writes: what a kill can cost at most


class StreamedTurn:
    """Collects a reply's text and writes it at most every `EVERY` seconds.

    A context manager: left by an exception the turn is failed, by `Cancelled` stopped, otherwise stopped
    unless `finish` was called.
    """

    def __init__(self, history: History, turn: int, every: float = EVERY) -> None:
        self.id = turn
        self.problem: HistoryError | None = None
        """Why the last write failed; the text is kept for the next one."""
        self._history = history
        self._every = every
        self._waiting: list[str] = []
        self._calls: list[ToolCall] = []  # as they are now
        self._kept: list[ToolCall] = []  # as they are written
        self._written = time.monotonic()
        self._ended = False

    def add(self, text: str) -> None:
        """The next bit. Never raises: a full disk does not end an answer that can still be shown."""
        if text:
            self._waiting.append(text)
        if time.monotonic() - self._written >= self._every:
            self._write()

    def call(self, call: ToolCall) -> None:
        """A tool call, written at once: when it is proposed, and again with what came of it.

        Never raises, as `add`.
        """
        if self._calls and self._calls[-1].state == "proposed":
            self._calls[-1] = call
        else:
            self._calls.append(call)
        try:
            self._write_calls()
            self.problem = None
        except HistoryError as error:
            self.problem = error

    def finish(
        self,
        state: Literal["complete", "stopped", "failed"] = "complete",
        *,
        problem: str = "",
        calls: Sequence[ToolCall] = (),
        heard: str | None = None,
        figures: Mapping[str, Any] | None = None,
    ) -> Turn:
        """Write the rest and end the turn, durably. Raises HistoryError; it can then be called again."""
        self._write_calls()
        turn = self._history.finish(
            self.id,
            state,
            text="".join(self._waiting),
            problem=problem,
            calls=calls,
            heard=heard,
            figures=figures or {},
        )
        self._waiting = []
        self._ended = True
        return turn

    def _write_calls(self) -> None:
        """What is not written yet, also of what failed before. Raises HistoryError."""
        for number, call in enumerate(self._calls):
            if number == len(self._kept):
                self._history.add_call(self.id, call)
                self._kept.append(call)
            elif self._kept[number] != call:
                self._history.set_result(self.id, number, call.state, call.result)
                self._kept[number] = call

    def _write(self) -> None:
        self._written = time.monotonic()
        if not self._waiting:
            return
        try:
            self._history.extend(self.id, "".join(self._waiting))
            self._waiting = []
            self.problem = None
        except HistoryError as error:
            self.problem = error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._ended:
            return
        if error is None or isinstance(error, Cancelled | GeneratorExit | KeyboardInterrupt):
            self.finish("stopped")
        else:
            self.finish("failed", problem=str(error) or type(error).__name__)
        del kind
