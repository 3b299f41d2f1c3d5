"""`aside bench desktop`: the real application, driven from outside as a person does, and timed.

Keys and clicks go through the X server's XTEST, the question into a virtual microphone, the answer is heard
at the speaker's monitor. What happens inside comes from `ui.dev.trace`. No Qt in here: another process.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from assistant.bench import report, rig
from assistant.bench.report import Measure, Report
from assistant.bench.rig import Ear
from assistant.history.records import NewTurn
from assistant.history.store import History
from assistant.media.sound import wav
from assistant.settings import SettingsFile
from assistant.voice.speech import Voice
from models.errors import DeviceError, EngineError
from ui.dev.robot import Robot

QUESTION: Final = "What can you do?"
_TALK: Final = ("Control_L", "Alt_L", "space")  # the hotkey of fresh settings
_PATIENCE: Final = 30.0  # s for anything
_TURNS: Final = 500
_SCROLLS: Final = 120  # turns of the wheel
_OPEN: Final = 2.0  # s for the long conversation to open
_BREATH: Final = 0.25  # s that a key is held before the question begins, as people do
_QUIET: Final = 0.6  # s of silence after which an answer was stopped, not only between two sentences
_LISTEN: Final = 0.7  # s into the answer until it is interrupted
_HEAR: Final = 20.0  # s for a sound to come or to end


@dataclass(frozen=True)
class Setting:
    """What is driven, and how often."""

    package: Path
    name: str
    runs: int = 10
    virtual: bool = False


@dataclass
class _Running:
    """An `aside desktop` of its own."""

    process: subprocess.Popen[str]
    started: float
    trace: Path
    lines: list[dict[str, Any]] = field(default_factory=list)
    _at: int = 0

    def read(self) -> list[dict[str, Any]]:
        """All that it told so far."""
        if self.trace.exists():
            with self.trace.open(encoding="utf-8") as file:
                file.seek(self._at)
                text = file.read()
            whole = text[: text.rfind("\n") + 1]
            self._at += len(whole.encode())
            self.lines += [json.loads(line) for line in whole.splitlines()]
        return self.lines

    def wait(self, what: str, since: float = 0.0, **wanted: Any) -> dict[str, Any]:
        """The first line of that kind after a time, when it comes. Raises EngineError if it doesn't."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            for line in self.read():
                if line["what"] == "failed":
                    raise EngineError(line["problem"])
                if line["what"] == what and line["t"] >= since and wanted.items() <= line.items():
                    return line
            if (code := self.process.poll()) is not None:
                said = self.process.stdout.read() if self.process.stdout is not None else ""
                raise EngineError(f"The application ended with {code}:\n{said}")
            time.sleep(0.005)
        last = "\n".join(str(line) for line in self.lines if line["what"] != "beats")[-1500:]
        raise EngineError(f"The application never told {what!r} ({wanted}). It told:\n{last}")


def measure(setting: Setting, tell: Callable[[str], None] = lambda _: None) -> Report:
    """Drive and time the application; ``tell`` hears how far it is. Raises DeviceError or EngineError."""
    conditions = report.machine() | {"model": setting.name, "runs": setting.runs}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aside-bench-")))
        environment: dict[str, str] = {}
        if setting.virtual:
            environment |= stack.enter_context(rig.screen())
        elif not os.environ.get("DISPLAY"):
            raise DeviceError("There is no X display to press keys on.", "Use --virtual.")
        environment |= stack.enter_context(rig.sound())
        conditions["screen"] = "Xvfb and openbox" if setting.virtual else "present display"
        conditions["sound"] = "private PulseAudio with null devices"
        bench = _Bench(setting, folder, environment, tell)
        measures = bench.all()
    return Report(tuple(measures), conditions, tuple(bench.notes))


class _Bench:
    """One run of all of it."""

    def __init__(
        self, setting: Setting, folder: Path, environment: dict[str, str], tell: Callable[[str], None]
    ) -> None:
        self._setting, self._folder, self._tell = setting, folder, tell
        self._sound = environment
        (folder / "run").mkdir(mode=0o700)
        gone = ("WAYLAND", "XDG_SESSION", "QT_QPA")
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith(gone)} | environment
        self._environment |= {
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "LANG": "C.UTF-8",
        }
        seen = SettingsFile(folder / "config" / "aside" / "settings.json")
        seen.change({"interface.welcomed": True})  # the first page would hide what is measured
        self.notes: list[str] = []
        self._found: dict[str, list[float]] = {}

    def all(self) -> list[Measure]:
        """Everything that can be measured here."""
        question = self._folder / "question.wav"
        with Voice("English") as voice:
            question.write_bytes(wav(voice.synthesise(QUESTION)))
        for number in range(self._setting.runs):
            self._tell(f"start {number + 1} of {self._setting.runs}")
            with self._running() as app:
                self._note("window", app.wait("shown")["t"] - app.started)
                self._note("model", app.wait("ready")["t"] - app.started)
        self._fill_history()
        with self._running() as app, Robot(self._environment["DISPLAY"]) as robot:
            self._tell("scrolling")
            app.wait("ready")
            self._scroll(app, robot)
        with self._running() as app, Robot(self._environment["DISPLAY"]) as robot:
            app.wait("ready")
            time.sleep(0.5)  # the desktop is busy with a new window
            with Ear("mic", self._sound) as said, Ear("spk.monitor", self._sound) as heard:
                for number in range(self._setting.runs):
                    self._tell(f"question {number + 1} of {self._setting.runs}")
                    self._held(app, robot, question, said, heard)
                    self._tapped(app, robot, question, said, heard)
        return _measures(self._found)

    @contextlib.contextmanager
    def _running(self) -> Iterator[_Running]:
        trace = self._folder / f"trace-{time.monotonic_ns()}.jsonl"
        command = [sys.executable, "-m", "assistant", "desktop", "--model", str(self._setting.package)]
        started = time.monotonic()
        process = subprocess.Popen(
            [*command, "--trace", str(trace)],
            env=self._environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            yield _Running(process, started, trace)
            process.terminate()
            ended = time.monotonic()
            process.wait(20)
            self._note("end", time.monotonic() - ended)
        finally:
            process.kill()
            process.wait(20)
            assert process.stdout is not None
            process.stdout.close()

    def _held(self, app: _Running, robot: Robot, question: Path, said: Ear, heard: Ear) -> None:
        """Press, speak, let go, and interrupt the answer."""
        pressed = time.monotonic()
        robot.down(*_TALK)
        turn = int(app.wait("phase", pressed, phase="listening")["turn"])
        time.sleep(_BREATH)
        rig.play(question, self._sound)
        said.wait_for_silence(0.15, 5.0)
        released = time.monotonic()
        robot.up(*_TALK)
        self._since("sound", released, heard.wait_for_sound(released, _HEAR))
        self._interrupt(app, robot, heard)
        times = self._times(app, turn)
        self._since("recording", pressed, times.get("recording"))
        for name, step in (("key", "ended"), ("closed", "asked"), ("token", "token"), ("speaker", "sound")):
            self._since(name, released, times.get(step))
        self._gaps(app, pressed, time.monotonic())

    def _tapped(self, app: _Running, robot: Robot, question: Path, said: Ear, heard: Ear) -> None:
        """Tap, speak, be silent until that ends the question, and interrupt the answer."""
        pressed = time.monotonic()
        robot.press(*_TALK)
        turn = int(app.wait("phase", pressed, phase="listening")["turn"])
        time.sleep(_BREATH)
        rig.play(question, self._sound)
        app.wait("phase", pressed, phase="thinking", turn=turn)
        spoken = said.last()
        heard.wait_for_sound(pressed, _HEAR)
        self._interrupt(app, robot, heard)
        self._since("endpoint", spoken, self._times(app, turn).get("ended"))
        self._gaps(app, pressed, time.monotonic())

    def _interrupt(self, app: _Running, robot: Robot, heard: Ear) -> None:
        """Esc, in the middle of a sentence."""
        time.sleep(_LISTEN)
        phases = [line["phase"] for line in app.read() if line["what"] == "phase"]
        if phases[-1] == "idle":
            self.notes.append("A question was misheard: its answer ended before it could be interrupted.")
            return
        escaped = time.monotonic()
        robot.press("Escape")
        app.wait("phase", escaped, phase="idle")
        self._since("escape", escaped, heard.wait_for_silence(_QUIET, _HEAR))

    def _scroll(self, app: _Running, robot: Robot) -> None:
        """Open the long conversation and turn the wheel up."""
        app.wait("places")
        time.sleep(0.5)  # where the window manager has put it
        places = [line["places"] for line in app.read() if line["what"] == "places"][-1]
        painted = time.monotonic()
        robot.click(*places["list"])
        time.sleep(_OPEN)
        opened = time.monotonic()
        opening = _gaps_of(app.read(), painted, opened)
        self._note("opening", max(opening, default=0.0))
        self._note(
            "opening own", max((line["own"] for line in _told(app.read(), painted, opened)), default=0.0)
        )
        began = time.monotonic()
        for _ in range(_SCROLLS):
            robot.wheel(*places["middle"])
            time.sleep(1 / 60)
        time.sleep(0.3)
        ended = time.monotonic()
        frames = sum(b["painted"] for b in app.read() if b["what"] == "beats" and began < b["t"] < ended)
        self.notes.append(f"{_SCROLLS} turns of the wheel at 60 a second were {frames} pictures.")
        self._note("scroll", max(_gaps_of(app.read(), began, ended), default=0.0))

    def _fill_history(self) -> None:
        """A conversation of 500 turns."""
        words = "The quick brown fox jumps over the lazy dog, and nobody knows why it should. "
        with History(self._folder / "data/aside/history") as history:
            number = history.create().id
            for turn in range(_TURNS // 2):
                history.append(number, NewTurn("user", f"Question {turn}: what does the fox do?"))
                history.append(number, NewTurn("assistant", words * (1 + turn % 5)))

    def _times(self, app: _Running, turn: int) -> dict[str, float]:
        """When the steps of a turn came; the last line about it knows most."""
        lines = [line for line in app.read() if line["what"] == "times" and line["turn"] == turn]
        return lines[-1] if lines else {}

    def _gaps(self, app: _Running, began: float, ended: float) -> None:
        lines = app.read()
        gaps = sorted(_gaps_of(lines, began, ended))
        beats = sum(b["n"] for b in lines if b["what"] == "beats" and began < b["t"] < ended)
        self._note("gap", gaps[-1] if gaps else 0.001)
        self._note("own", max((line["own"] for line in _told(lines, began, ended)), default=0.0))
        if beats:
            self._found.setdefault("gaps", []).extend(gaps)
            self._note("beats", float(beats))

    def _since(self, name: str, since: float | None, at: float | None) -> None:
        if since is not None and at is not None:
            self._note(name, max(0.0, at - since))

    def _note(self, name: str, value: float) -> None:
        self._found.setdefault(name, []).append(value)


def _gaps_of(lines: list[dict[str, Any]], began: float, ended: float) -> list[float]:
    """The gaps of more than 4 ms that ended in a time."""
    return [
        gap for line in lines if line["what"] == "beats" for at, gap in line["slow"] if began < at < ended
    ]


def _told(lines: list[dict[str, Any]], began: float, ended: float) -> list[dict[str, Any]]:
    """What is known about the gaps of more than 10 ms that ended in a time."""
    return [line for line in lines if line["what"] == "gap" and began < line["t"] < ended]


def _measures(found: dict[str, list[float]]) -> list[Measure]:
    """The values with their bars."""
    gaps, beats = sorted(found.get("gaps", [])), int(sum(found.get("beats", [])))
    rank = beats - int(0.999 * beats)  # the slowest that may be slower
    p999 = (gaps[-rank] if rank <= len(gaps) else 0.004,) if beats else ()

    def of(name: str) -> tuple[float, ...]:
        return tuple(found.get(name, ()))

    return [
        Measure(
            "window",
            "process start to window painted",
            of("window"),
            "s",
            1.0,
            how="first paint event is done",
        ),
        Measure("model", "process start to model ready", of("model"), "s"),
        Measure(
            "recording",
            "hotkey to recording",
            of("recording"),
            "ms",
            0.05,
            how="XTEST press to the microphone's first block in the application",
        ),
        Measure(
            "key",
            "key release to its arrival",
            of("key"),
            how="XTEST release to the state machine",
        ),
        Measure("closed", "key release to recording closed", of("closed")),
        Measure("token", "key release to first word", of("token")),
        Measure("speaker", "key release to first sound given to the speaker", of("speaker")),
        Measure(
            "sound",
            "key release to first sound",
            of("sound"),
            "ms",
            0.3,
            how="at the speaker's monitor: with the server's buffers, and the silence a voice begins with",
        ),
        Measure(
            "endpoint",
            "last sound of the speech to endpoint (after a tap)",
            of("endpoint"),
            how="heard at the microphone's source",
        ),
        Measure(
            "escape",
            "Esc to speaker silent",
            of("escape"),
            "ms",
            0.1,
            "worst",
            how="heard at the speaker's monitor; negative times count as 0",
        ),
        Measure(
            "gap",
            "longest gap in the event loop during a turn",
            of("gap"),
            "ms",
            0.05,
            "worst",
            how="a timer of 1 ms in the GUI thread",
        ),
        Measure(
            "p999",
            "the same, 99.9th percentile",
            p999,
            "ms",
            0.016,
            how=f"of {beats} beats, all turns together",
        ),
        Measure(
            "own",
            "the same, processor's time of the window's thread in one gap",
            of("own"),
            how="the longest of a turn, of gaps of more than 10 ms; the rest of a gap was waiting",
        ),
        Measure(
            "opening",
            f"longest gap while a conversation of {_TURNS} turns opens",
            of("opening"),
            "ms",
            0.05,
            "worst",
        ),
        Measure(
            "opening own", "the same, processor's time of the window's thread in one gap", of("opening own")
        ),
        Measure("scroll", "longest gap while it is scrolled", of("scroll"), "ms", 0.05, "worst"),
        Measure("end", "SIGTERM to process ended", of("end"), "s"),
    ]
