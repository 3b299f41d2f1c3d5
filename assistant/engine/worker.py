"""The engine's process: one `LocalSession`, driven by requests on standard input.

Started by `assistant.engine.child`. The main thread does the work; one thread reads requests, so that a
cancel is heard at once, and one sends heartbeats. When standard input ends, the parent is gone, and so is
this process.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, BinaryIO, Final

from assistant.engine import wire
from assistant.engine.protocol import Event
from models.errors import AsideError, EngineError

if TYPE_CHECKING:
    from assistant.engine.session import LocalSession

_NICE: Final = 5
"""How far the engine steps back: window, microphone and speaker get the processor when they want it."""
_PR_SET_PDEATHSIG: Final = 1


class _Worker:
    """The threads' common state."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._incoming = requests
        self._outgoing = answers
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[wire.Request] = queue.SimpleQueue()
        self._cancels: dict[int, threading.Event] = {}
        self._session: LocalSession | None = None

    def run(self) -> None:
        """Serve until standard input ends."""
        for target in (self._beat, self._listen):
            threading.Thread(target=target, daemon=True).start()
        while True:
            request = self._waiting.get()
            try:
                self._serve(request)
            except AsideError as error:
                self._answer(request, wire.Failed(error))
            except Exception as error:  # a defect or no memory: the parent gets it as a typed error
                traceback.print_exc()
                failure = EngineError(f"The engine failed: {error!r}.", "Start a new conversation.")
                self._answer(request, wire.Failed(failure))
            finally:
                self._cancels.pop(request.number, None)

    def _serve(self, request: wire.Request) -> None:
        body = request.body
        if isinstance(body, wire.Open):
            from assistant.engine.session import LocalSession  # noqa: PLC0415 (slow: heartbeats come first)

            self._session = LocalSession(body.package, body.settings)
            self._answer(request, wire.Done())
            return
        session = self._session
        if session is None:
            raise EngineError("The engine has no model.", "Restart it.")
        if isinstance(body, wire.Generate | wire.Append) and session.mark() > body.place:
            session.rewind(body.place)
        if isinstance(body, wire.Generate):
            for event in session.generate(body.options, self._cancels[request.number]):
                self._answer(request, event)
        elif isinstance(body, wire.Apart):
            for event in session.apart(body.segments, body.options, self._cancels[request.number]):
                self._answer(request, event)
        elif isinstance(body, wire.Append):
            session.append(*body.segments)
            self._answer(request, wire.Done())
        elif isinstance(body, wire.Rewind):
            session.rewind(body.mark)
            self._answer(request, wire.Done())

    def _answer(self, request: wire.Request, body: Event | wire.Done | wire.Failed) -> None:
        self._send(wire.Answer(request.number, body))

    def _send(self, message: object) -> None:
        with self._lock:
            wire.send(self._outgoing, message)

    def _listen(self) -> None:
        """Read requests; a cancel takes effect here, at once."""
        try:
            while True:
                request = wire.receive(self._incoming, wire.Trusting)
                assert isinstance(request, wire.Request)
                if isinstance(request.body, wire.Cancel):
                    event = self._cancels.get(request.number)
                    if event is not None:
                        event.set()
                    continue
                if isinstance(request.body, wire.Generate | wire.Apart):
                    self._cancels[request.number] = threading.Event()
                self._waiting.put(request)
        except BaseException as error:  # whatever happened here, nobody could stop this process any more
            if not isinstance(error, EOFError):
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(0 if isinstance(error, EOFError) else 1)

    def _beat(self) -> None:
        try:
            while True:
                self._send(wire.Heartbeat())
                time.sleep(wire.HEARTBEAT_SECONDS)
        except OSError:
            os._exit(0)


def main() -> None:
    """Run the worker on standard input and output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches both; the parent decides
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not get among the answers
    if sys.platform == "linux":
        # also when this process is stopped and can't see its input end
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if sys.platform != "win32":
        os.nice(_NICE)
    _Worker(sys.stdin.buffer, answers).run()


if __name__ == "__main__":
    main()
