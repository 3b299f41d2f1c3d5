"""A session in a child process: the interpreter of the caller is never blocked, and a crash costs one turn.

The methods are those of a local session. What was appended and what the model replied is logged on this
side, so that `restart` gives the conversation to a new process.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from assistant.engine import wire
from assistant.engine.child import Child
from assistant.engine.protocol import (
    Clip,
    EngineSettings,
    Event,
    Finished,
    GenerateOptions,
    Picture,
    Progress,
    Reply,
    Segment,
    Token,
)
from assistant.engine.timeline import check_mark
from models.errors import EngineError

_GREEDY: Final = GenerateOptions()
_DEFAULTS: Final = EngineSettings()
_LOOK: Final = 0.02  # seconds between looks at `cancel` and at the clock
_ASLEEP: Final = 1.0  # a look that comes so late means that this process was stopped, not the child
_AGAIN: Final = "The conversation is kept: restart the engine and try again."


@dataclass(frozen=True)
class Patience:
    """Seconds to wait before the child counts as hung.

    silence    without a heartbeat, which comes four times a second.
    stuck      without an event of a request, heartbeats or not: a large picture on a slow machine takes
               minutes.
    cancel     after a cancel, which takes one operator of a graph.
    """

    silence: float = 10.0
    stuck: float = 600.0
    cancel: float = 10.0


PATIENCE: Final = Patience()


class EngineProcess:
    """Implements `assistant.engine.protocol.Session` in a process of its own.

    When the process dies or hangs, the call that notices raises EngineError, and so does every call until
    `restart`. Like any session, it is used by one thread at a time.
    """

    def __init__(
        self, package: Path, settings: EngineSettings = _DEFAULTS, patience: Patience = PATIENCE
    ) -> None:
        """Start a process and load the package there. Raises PackageError or EngineError."""
        self._package = package.absolute()
        self._settings = settings
        self._patience = patience
        self._log: list[Segment] = []
        self._new: list[int] = []  # places of appends that no reply has worked through yet
        self._number = 0
        self._open: Generator[Event, None, None] | None = None  # the reply that was begun last
        self._child = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The number of the child process."""
        return self._child.pid

    def append(self, *segments: Segment) -> None:
        """Add to the conversation, all or nothing. Raises ContextError, MediaError or EngineError."""
        self._end_reply()
        self._ask(wire.Append(len(self._log), segments))
        self._new.append(len(self._log))
        self._log += segments

    def generate(
        self, options: GenerateOptions = _GREEDY, cancel: threading.Event | None = None
    ) -> Generator[Event, None, None]:
        """Encode and prefill what is new, then write a reply (see `Session.generate`).

        If the process dies, EngineError is raised and what had been written of this reply is not kept. If it
        dies while it works through what is new, that is dropped too: the new process would die of it again.
        """
        self._end_reply()
        self._open = self._generate(options, cancel)
        yield from self._open

    def _end_reply(self) -> None:
        """Close the iterator of a reply that was left half-way; its answers must not get among later ones."""
        if self._open is not None:
            self._open.close()

    def _generate(
        self, options: GenerateOptions, cancel: threading.Event | None
    ) -> Generator[Event, None, None]:
        number = self._send(wire.Generate(len(self._log), options))
        ids: list[int] = []
        told = over = working = False
        try:
            while not over:
                try:
                    body = self._answer(number, cancel)
                except EngineError as error:
                    raise self._without_new(error) if working else error from None
                if isinstance(body, Token):
                    ids.append(body.id)
                working = isinstance(body, Progress)
                if ids or (isinstance(body, Finished) and body.reason != "cancelled"):
                    self._new.clear()
                over = isinstance(body, Finished | wire.Failed)
                if over:
                    self._keep(ids)
                    told = True
                yield self._event(body)
        finally:
            if not told and self._child.ended is None:  # the caller lost interest
                self._drain(number, ids)

    def apart(
        self,
        segments: Sequence[Segment],
        options: GenerateOptions = _GREEDY,
        cancel: threading.Event | None = None,
    ) -> Generator[Event, None, None]:
        """A reply to a prompt of its own (see `LocalSession.apart`)."""
        self._end_reply()
        self._open = self._events(wire.Apart(tuple(segments), options), cancel)
        yield from self._open

    def _events(self, request: wire.Apart, cancel: threading.Event | None) -> Generator[Event, None, None]:
        """The events of something that leaves nothing in the conversation."""
        number = self._send(request)
        over = False
        try:
            while not over:
                body = self._answer(number, cancel)
                over = isinstance(body, Finished | wire.Failed)
                yield self._event(body)
        finally:
            if not over and self._child.ended is None:
                self._drain(number, [], keep=False)

    def _without_new(self, error: EngineError) -> EngineError:
        """Drop what the process died of, and say so.

        Most likely that is the new picture or recording, in an encoder: what was appended with it and after
        it goes. Without any, the last that was appended goes.
        """
        suspects = [
            place
            for place, end in zip(self._new, [*self._new[1:], len(self._log)], strict=True)
            if any(isinstance(segment, Picture | Clip) for segment in self._log[place:end])
        ]
        if not self._new:
            return error
        place = suspects[0] if suspects else self._new[-1]
        del self._log[place:]
        self._new = [start for start in self._new if start < place]
        return EngineError(
            error.what,
            "What was new in the conversation is dropped: restart the engine and go on without it.",
        )

    def mark(self) -> int:
        """The present place in the conversation."""
        return len(self._log)

    def rewind(self, mark: int) -> None:
        """Forget everything after ``mark``; 0 starts a new conversation."""
        self._end_reply()
        check_mark(mark, len(self._log))
        del self._log[mark:]
        self._new = [start for start in self._new if start < mark]
        self._ask(wire.Rewind(mark))

    def restart(self) -> None:
        """End the process, start a new one, give it the conversation. Raises EngineError, PackageError.

        `mark` tells where the conversation stands: what a process died of is not in it any more.
        """
        self._child.kill()
        self._child.stop()
        with contextlib.suppress(EngineError):  # the iterator of a reply must not wait for the new process
            self._end_reply()
        self._child = self._start()
        if self._log:
            self._ask(wire.Append(0, tuple(self._log)))

    def close(self) -> None:
        """End the process; takes two seconds at most, then it is killed."""
        self._child.stop()

    def _start(self) -> Child:
        child = self._child = Child()
        try:
            self._ask(wire.Open(self._package, self._settings))
        except BaseException:
            child.stop()
            raise
        return child

    def _keep(self, ids: list[int]) -> None:
        if ids:
            self._log.append(Reply(tuple(ids)))

    def _drain(self, number: int, ids: list[int], keep: bool = True) -> None:
        """Stop a reply that nobody reads, and log what the child's session has of it, if it keeps it."""
        stop = threading.Event()
        stop.set()
        while True:
            body = self._answer(number, stop)
            if isinstance(body, Token):
                ids.append(body.id)
            elif isinstance(body, Finished | wire.Failed):
                if keep:
                    self._keep(ids)
                return

    @staticmethod
    def _event(body: Event | wire.Done | wire.Failed) -> Event:
        if isinstance(body, wire.Failed):
            raise body.error
        assert not isinstance(body, wire.Done)
        return body

    def _ask(self, body: wire.Open | wire.Append | wire.Rewind) -> None:
        """Send a request and wait until it is done."""
        answer = self._answer(self._send(body), None)
        if isinstance(answer, wire.Failed):
            raise answer.error

    def _send(self, body: wire.Open | wire.Append | wire.Generate | wire.Apart | wire.Rewind) -> int:
        self._child.check()
        self._number += 1
        self._child.send(wire.Request(self._number, body))
        return self._number

    def _answer(self, number: int, cancel: threading.Event | None) -> Event | wire.Done | wire.Failed:
        """The next answer to a request. Raises EngineError if the process died or hangs."""
        child, patience = self._child, self._patience
        asked = looked = time.monotonic()
        cancelled: float | None = None
        while True:
            if cancel is not None and cancelled is None and cancel.is_set():
                child.send(wire.Request(number, wire.Cancel()))
                cancelled = time.monotonic()
            try:
                message = child.inbox.get(timeout=_LOOK)
            except queue.Empty:
                now = time.monotonic()
                if now - looked > _ASLEEP:
                    child.heard = asked = now
                looked = now
                if (
                    now - child.heard > patience.silence
                    or now - asked > patience.stuck
                    or (cancelled is not None and now - cancelled > patience.cancel)
                ):
                    child.kill()
                    child.ended = EngineError("The engine stopped responding and was ended.", _AGAIN)
                    raise child.ended from None
                continue
            if isinstance(message, EngineError):
                raise message
            if message.number == number:
                return message.body
