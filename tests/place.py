"""The real application as processes, in a person's own folders."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from virtual_audio import VirtualAudio
from virtual_screen import VirtualScreen

from assistant.history.records import Turn
from assistant.history.store import History
from assistant.settings import SettingsFile

ROOT = Path(__file__).parent.parent


def eventually(
    look: Callable[[], Any],
    seconds: float = 30.0,
    words: Callable[[], str] = lambda: "it did not happen in time",
) -> Any:
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, words()
        time.sleep(0.02)
    return found


class Place:
    """A person's own folders, in which `aside` is started."""

    def __init__(self, screen: VirtualScreen, audio: VirtualAudio, folder: Path, model: Path) -> None:
        (folder / "run").mkdir(mode=0o700)
        self.screen, self.folder, self.model = screen, folder, model
        self.trace, self.log = folder / "trace.jsonl", folder / "log"
        SettingsFile(folder / "config/aside/settings.json").change({"interface.welcomed": True})
        self.environment = screen.environment | {
            "PULSE_SERVER": audio.environment["PULSE_SERVER"],
            "PULSE_COOKIE": audio.environment["PULSE_COOKIE"],
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "LANG": "en_US.UTF-8",
        }

    def aside(self, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "assistant", *words]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)

    def tell(self, *words: str) -> None:
        """A command that succeeds and says nothing."""
        command = [sys.executable, "-m", "assistant", *words]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    @contextmanager
    def used(self) -> Iterator[subprocess.Popen[bytes]]:
        """As `running`; at the end it is told to quit, and had nothing to complain about."""
        with self.running() as process:
            yield process
            self.tell("quit")
            assert process.wait(30) == 0
        # a loaded machine is late for the sound card, and ALSA says so on standard error
        assert not [line for line in self.log.read_text().splitlines() if not line.startswith("ALSA lib")]

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """The window, with its model loaded and its voice started."""
        self.trace.unlink(missing_ok=True)
        process = self.aside("desktop", "--model", str(self.model), "--trace", str(self.trace), *words)
        try:
            eventually(
                lambda: self.told("ready") or process.poll() is not None,
                60,
                lambda: f"not ready: {self.log.read_text()} {self.trace.read_text()[-2000:]}",
            )
            assert process.poll() is None, self.log.read_text()
            if not words:
                number = self.screen.wait_for_window("^Aside$")
                self.screen.xdotool("windowactivate", "--sync", number)
                eventually(lambda: self.told("active"))
            yield process
        finally:
            process.kill()
            process.wait(10)

    def told(self, what: str, **wanted: Any) -> list[dict[str, Any]]:
        """Lines of the trace."""
        if not self.trace.exists():
            return []
        lines = [
            json.loads(line) for line in self.trace.read_text().splitlines(keepends=True) if line[-1] == "\n"
        ]
        return [line for line in lines if line["what"] == what and wanted.items() <= line.items()]

    def ask(self, text: str) -> None:
        self.screen.xdotool("type", text)
        self.screen.xdotool("key", "Return")

    def windows(self) -> list[str]:
        """All windows of an Aside that are shown."""
        command = ["xdotool", "search", "--onlyvisible", "--name", "^Aside$"]
        found = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=30
        )
        return found.stdout.split()

    def turns(self) -> list[Turn]:
        if not (self.folder / "data/aside/history").is_dir():
            return []
        with History(self.folder / "data/aside/history") as history:
            return [turn for one in history.conversations() for turn in history.turns(one.id)]


def family(process: subprocess.Popen[bytes], at_least: int = 2) -> list[psutil.Process]:
    """The engine and the voice, and what multiprocessing starts beside them."""
    found = psutil.Process(process.pid)
    return list(eventually(lambda: len(one := found.children(recursive=True)) >= at_least and one))
