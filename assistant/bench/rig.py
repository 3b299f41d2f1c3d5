"""A screen, a microphone and a speaker without hardware, and ears: Xvfb, openbox and a private PulseAudio."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from assistant.voice.endpoint import level
from models.errors import DeviceError

_RATE: Final = 16_000  # Hz
_CHUNK: Final = 80  # samples that are judged at once: 5 ms
_LOUD: Final = -45.0  # dBFS: above the silence of a null device, below any speech
_START: Final = 30.0  # s
SETUP: Final = """
load-module module-native-protocol-unix socket={socket} auth-anonymous=1
load-module module-null-sink sink_name=spk rate=48000 channels=2 norewinds=1
load-module module-null-sink sink_name=micfeed rate=48000 channels=1 channel_map=mono norewinds=1
load-module module-remap-source source_name=mic master=micfeed.monitor
set-default-sink spk
set-default-source mic
"""
"""For PulseAudio: without ``norewinds`` it takes back sound that was already played."""

Environment = dict[str, str]


def need(*programs: str) -> None:
    """Raises DeviceError if one of these programs is missing."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        raise DeviceError(
            f"A virtual screen or sound server needs {', '.join(missing)}.",
            "Install it, or leave --virtual out where there is a display.",
        )


@contextlib.contextmanager
def screen(size: str = "1280x800") -> Iterator[Environment]:
    """An X server without a monitor, with a window manager; gives what programs need to find it."""
    need("Xvfb", "openbox", "xprop")
    near, far = os.pipe()
    command = ["Xvfb", "-displayfd", str(far), "-screen", "0", f"{size}x24", "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=[far], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(far)
    started = [server]
    try:
        with os.fdopen(near) as number:
            found = {"DISPLAY": f":{number.readline().strip()}"}
        started.append(
            subprocess.Popen(
                ["openbox"], env=os.environ | found, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
        _until(["xprop", "-root", "_NET_SUPPORTING_WM_CHECK"], "window id", os.environ | found)
        yield found
    finally:
        _end(started)


@contextlib.contextmanager
def sound() -> Iterator[Environment]:
    """A sound server: what is played into ``micfeed`` is heard at the microphone ``mic``."""
    need("pulseaudio", "pactl", "paplay", "parec")
    with tempfile.TemporaryDirectory(prefix="aside-sound-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "rig.pa").write_text(SETUP.format(socket=folder / "native"), encoding="utf-8")
        found = {"PULSE_SERVER": f"unix:{folder / 'native'}", "PULSE_COOKIE": str(folder / "cookie")}
        own = os.environ | found | {"XDG_RUNTIME_DIR": name, "PULSE_RUNTIME_PATH": name}
        command = ["pulseaudio", "-n", "-F", str(folder / "rig.pa"), "--daemonize=no"]
        command += ["--exit-idle-time=-1", "--use-pid-file=no"]
        server = subprocess.Popen(command, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _until(["pactl", "list", "short", "sources"], "mic", own)
            yield found
        finally:
            _end([server])


class Ear:
    """Hears what a device of the sound server gives, and when. A context manager.

    Times are those of `time.monotonic` at which this process got the sound, so late by the server's buffers
    (10 to 20 ms).
    """

    def __init__(self, device: str, environment: Environment) -> None:
        command = [
            "parec",
            f"--device={device}",
            f"--rate={_RATE}",
            "--channels=1",
            "--format=s16le",
            "--raw",
        ]
        self._process = subprocess.Popen(
            [*command, "--latency-msec=10"],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._loud: list[float] = []
        self._heard = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ear", daemon=True)
        self._thread.start()

    def __enter__(self) -> Ear:
        if not self._heard.wait(_START):
            self.close()
            raise DeviceError("The sound server gives no sound.", "Try again.")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening."""
        self._process.terminate()
        self._process.wait(5)
        self._thread.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def first(self, since: float) -> float | None:
        """When it was loud for the first time from then on."""
        return next((at for at in self._loud if at >= since), None)

    def last(self) -> float | None:
        """When it was loud last."""
        return self._loud[-1] if self._loud else None

    def wait_for_sound(self, since: float, seconds: float) -> float | None:
        """`first`, when it comes; None if it doesn't in time."""
        return _waited(lambda: self.first(since), seconds)

    def wait_for_silence(self, lasting: float, seconds: float) -> float | None:
        """When it became silent, once it has been for ``lasting`` seconds; None if it never was loud."""

        def quiet() -> float | None:
            last = self.last()
            return last if last is not None and time.monotonic() - last > lasting else None

        return _waited(quiet, seconds)

    def _run(self) -> None:
        assert self._process.stdout is not None
        size = 2 * _CHUNK
        while len(data := self._process.stdout.read(size)) == size:
            now = time.monotonic()
            self._heard.set()
            samples = (np.frombuffer(data, "<i2") / 32768).astype(np.float32)
            if level(samples) > _LOUD:
                self._loud.append(now)


def play(wav: Path, environment: Environment, device: str = "micfeed") -> None:
    """Play a file to its end."""
    subprocess.run(
        ["paplay", f"--device={device}", "--latency-msec=20", str(wav)],
        env=os.environ | environment,
        check=True,
        timeout=60,
    )


def _waited(look: Callable[[], float | None], seconds: float) -> float | None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (found := look()) is not None:
            return found
        time.sleep(0.005)
    return None


def _until(command: list[str], text: str, environment: Environment) -> None:
    until = time.monotonic() + _START
    while time.monotonic() < until:
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if text in found.stdout:
            return
        time.sleep(0.02)
    raise DeviceError(f"{command[0]} never found what it was asked for.", "Try again.")


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        process.terminate()
        process.wait(10)
