"""The processes of the contenders, as the benchmark sees them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from typing import Final, Self

from assistant.bench.engine.plan import Contender
from assistant.engine.child import environment
from models.errors import EngineError

_END: Final = 5.0  # seconds that a process has to end in


class Peer:
    """One contender in a process of its own, which ends with the context.

    It gets no Ctrl-C: that is the benchmark's, which then ends it.
    """

    def __init__(self, contender: Contender, threads: int) -> None:
        """Start the process; nothing is loaded yet. Raises EngineError."""
        self.contender = contender
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 # closed in close
        given = json.dumps(contender.summary() | {"threads": threads})
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "assistant.bench.engine.worker", given],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                encoding="utf-8",
                env=environment(),
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as error:
            self._errors.close()
            raise EngineError(f"A process can't be started: {error}.", "Close other programs.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, action: str, **arguments: int) -> float:
        """Let it do something; what it answers. Raises EngineError if it fails, and it is of no use then."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):  # it has ended: its last words tell why
            self._process.stdin.write(json.dumps({"action": action, **arguments}) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise EngineError(f"{self.contender.name} failed: {self._last_words()}", "")
        return float(json.loads(line)["value"])

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                pipe.close()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_END)
        self._errors.close()

    def kill(self) -> None:
        """End it in the middle of something."""
        self._process.kill()

    def _last_words(self) -> str:
        self._process.wait(_END)
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 2_000))
        words = self._errors.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
        return words or f"its process ended (code {self._process.returncode})."
