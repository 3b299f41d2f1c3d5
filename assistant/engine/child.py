"""Owns the engine's process: starts it, sends, receives, notices its end, and makes sure that it ends."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Final

from assistant.engine import wire
from models.errors import EngineError

WORKER_FLAG: Final = "--engine-worker"
"""With this flag a frozen program (PyInstaller) starts itself, to call `assistant.engine.worker.main`."""

_LAST_WORDS: Final = 2_000  # bytes of standard error kept for the message
_START: Final = 10.0  # seconds for the operating system to start a process


class Child:
    """One process of the engine.

    A thread owns it: starts it, reads its answers into ``inbox`` until it ends, and collects it. A second
    thread writes, so that a child that doesn't read can't block the caller. The last thing in ``inbox`` is
    an EngineError that tells how the process ended. ``heard`` is when it last gave a sign of life
    (monotonic seconds).
    """

    def __init__(self) -> None:
        """Raises EngineError if the process can't be started."""
        self.inbox: queue.SimpleQueue[wire.Answer | EngineError] = queue.SimpleQueue()
        self.ended: EngineError | None = None
        self.heard = time.monotonic()
        self._outbox: queue.SimpleQueue[wire.Request | None] = queue.SimpleQueue()
        self._started = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._threads = [
            threading.Thread(target=self._own, name="engine-owner", daemon=True),
            threading.Thread(target=self._write, name="engine-writer", daemon=True),
        ]
        self._threads[0].start()
        if not self._started.wait(_START):
            raise EngineError("The engine's process did not start in time.", "Restart the computer.")
        self.check()
        self._threads[1].start()

    def check(self) -> None:
        """Raise the EngineError that tells how the process ended, if it has."""
        if self.ended is not None:
            raise self.ended

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process is not None
        return self._process.pid

    def send(self, request: wire.Request) -> None:
        """Queue a request; never blocks."""
        self._outbox.put(request)

    def kill(self) -> None:
        """End the process at once."""
        assert self._process is not None
        with contextlib.suppress(OSError):
            self._process.kill()

    def stop(self, seconds: float = 2.0) -> None:
        """Let the process end, kill it after so many seconds, and collect the threads."""
        self._outbox.put(None)
        self._threads[0].join(seconds)
        if self._threads[0].is_alive():
            self.kill()
        for thread in self._threads:
            thread.join(seconds)

    def _own(self) -> None:
        with tempfile.TemporaryDirectory(prefix="aside-engine-") as empty, tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    _command(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    cwd=empty,
                    env=environment(),
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )
            except OSError as error:
                self._end(f"The engine's process can't be started: {error}.")
                return
            else:
                self._process = process
            finally:
                self._started.set()
            assert process.stdin is not None
            assert process.stdout is not None
            with process.stdout as pipe:
                self._read(pipe)
            process.kill()  # its output has ended: it is dead, or of no use
            code = process.wait()
            self._outbox.put(None)
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - _LAST_WORDS))
            words = errors.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
            self._end(f"The engine's process ended (code {code}){': ' if words else '.'}{words}")

    def _read(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(Exception):  # its end, or rubbish, after which nothing can be understood
            while True:
                message = wire.receive(pipe, wire.Wary)
                self.heard = time.monotonic()
                if isinstance(message, wire.Answer):
                    self.inbox.put(message)

    def _write(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(OSError), self._process.stdin as pipe:
            while (request := self._outbox.get()) is not None:
                wire.send(pipe, request)

    def _end(self, what: str) -> None:
        self.ended = EngineError(what, "The conversation is kept: restart the engine and try again.")
        self.inbox.put(self.ended)


def _command() -> list[str]:
    if getattr(sys, "frozen", False):
        return [sys.executable, WORKER_FLAG]
    return [sys.executable, "-P", "-X", "faulthandler", "-m", "assistant.engine.worker"]


def environment() -> dict[str, str]:
    """The parent's, for a process that loads a model: our packages can be found from any directory."""
    root = str(Path(__file__).resolve().parents[2])
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
        "ORT_DISABLE_TELEMETRY": "1",
    }
