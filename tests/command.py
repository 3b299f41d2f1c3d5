"""The real `aside` command as tests start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.out)
        return value

    def complaint(self) -> str:
        """The sentence on stderr of a command that refused; nothing else may be there."""
        assert self.code == 2, (self.code, self.out, self.err)
        assert self.out == ""
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("aside: ")
        assert self.err.rstrip().endswith((".", "`"))
        assert "Traceback" not in self.err
        return self.err.removeprefix("aside: ").strip()


@dataclass(frozen=True)
class Aside:
    """Starts the command in one folder."""

    folder: Path
    model: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *words: object, **settings: Any) -> subprocess.Popen[str]:
        """Start it without waiting; commands that need a model get the random one."""
        line = [sys.executable, "-W", "error", "-m", "assistant", *map(str, words)]
        if words and words[0] in ("ask", "transcribe", "translate", "demo", "doctor"):
            line += ["--model", str(self.model)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PULSE")} | {
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "XDG_DATA_HOME": str(self.folder / "data"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            **self.environment,
        }
        return subprocess.Popen(
            line,
            cwd=self.folder,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **{"stderr": subprocess.PIPE, **settings},
        )

    def __call__(self, *words: object, typed: str = "", timeout: float = 120, **settings: Any) -> Result:
        """Run it to its end with ``typed`` on standard input."""
        with self.start(*words, **settings) as process:
            try:
                out, err = process.communicate(typed, timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return Result(process.returncode, out, err)

    def path(self, name: str) -> Path:
        """A file in the folder."""
        return self.folder / name

    def names(self) -> set[str]:
        """What lies in the folder."""
        return {p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file()}
