"""A real microphone and a real speaker without hardware: a private PulseAudio server.

What is played into ``micfeed`` is heard at the microphone; what the speaker plays can be recorded at
``spk.monitor``.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from assistant.bench.rig import SETUP

Samples = NDArray[np.float32]


@dataclass
class VirtualAudio:
    """A running server."""

    folder: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make its devices those of this process."""
        for name in ("PULSE_SERVER", "PULSE_COOKIE"):
            monkeypatch.setenv(name, self.environment[name])

    @contextmanager
    def spoken_into_microphone(self, wav: Path) -> Iterator[None]:
        """Begin to play a WAV file into the microphone; wait for its end."""
        command = ["paplay", "--device=micfeed", str(wav)]
        with subprocess.Popen(command, env=self.environment, stderr=subprocess.DEVNULL):
            yield

    @contextmanager
    def recorded_speaker(self) -> Iterator[Path]:
        """Record what the speaker plays into a WAV file (16 kHz, mono), complete afterwards."""
        path = self.folder / f"speaker-{time.monotonic_ns()}.wav"
        command = ["parec", "--device=spk.monitor", "--rate=16000", "--channels=1", "--latency-msec=20"]
        command += ["--file-format=wav", str(path)]
        recorder = subprocess.Popen(command, env=self.environment)
        self._wait_for("source-outputs")
        try:
            yield path
        finally:
            recorder.terminate()
            recorder.wait(5)

    @contextmanager
    def loudspeaker(self, delay: int = 40) -> Iterator[None]:
        """What the speaker plays is heard at the microphone, so many ms later, as in a room."""
        command = ["pactl", "load-module", "module-loopback", "source=spk.monitor", "sink=micfeed"]
        command.append(f"latency_msec={delay}")
        done = subprocess.run(command, env=self.environment, capture_output=True, check=True, text=True)
        try:
            yield
        finally:
            command = ["pactl", "unload-module", done.stdout.strip()]
            subprocess.run(command, env=self.environment, check=False, stderr=subprocess.DEVNULL)

    def recording(self) -> bool:
        """Whether any program has the microphone open."""
        (microphone,) = [line[0] for line in self._list("sources") if line[1] == "mic"]
        return any(line[1] == microphone for line in self._list("source-outputs"))

    def kill(self) -> None:
        """As if every device had been unplugged."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(5)

    def start(self) -> None:
        """Start the server, also once more after `kill`: the devices are plugged in again."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *("pulseaudio", "-n", "-F", str(self.folder / "rig.pa")),
                    *("--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"),
                ],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait_for("sources")

    def _list(self, kind: str) -> list[list[str]]:
        command = ["pactl", "list", "short", kind]
        done = subprocess.run(command, env=self.environment, capture_output=True, check=True, text=True)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def _wait_for(self, kind: str) -> None:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            command = ["pactl", "list", "short", kind]
            if subprocess.run(command, env=self.environment, capture_output=True, check=False).stdout.strip():
                return
            time.sleep(0.01)
        raise TimeoutError(f"PulseAudio has no {kind}")


@contextmanager
def virtual_audio() -> Iterator[VirtualAudio]:
    """Start a server; it ends with the block."""
    with tempfile.TemporaryDirectory(prefix="aside-audio-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        socket = folder / "native"
        (folder / "rig.pa").write_text(SETUP.format(socket=socket))
        environment = dict(os.environ) | {
            "PULSE_SERVER": f"unix:{socket}",
            "XDG_RUNTIME_DIR": name,
            "PULSE_RUNTIME_PATH": name,
            "PULSE_COOKIE": str(folder / "cookie"),
        }
        audio = VirtualAudio(folder, environment)
        try:
            audio.start()
            yield audio
        finally:
            if audio.process is not None:
                audio.process.terminate()
                audio.process.wait(5)


def espeak(text: str, path: Path, voice: str = "en-us") -> Samples:
    """Speech of espeak-ng as a WAV file; returns its samples at the file's rate (22,050 Hz)."""
    subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "-w", str(path), text], check=True)
    samples, _ = soundfile.read(path, dtype="float32")
    return np.asarray(samples, np.float32)


def similarity(recorded: Samples, reference: Samples) -> float:
    """The largest normalised correlation of ``reference`` with any stretch of ``recorded``, same rate."""
    size = 1 << (recorded.size + reference.size - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(recorded, size) * np.conj(np.fft.rfft(reference, size)), size)
    at = int(np.argmax(product))
    at = at - size if at > recorded.size else at
    start, end = max(at, 0), min(at + reference.size, recorded.size)
    stretch, part = recorded[start:end], reference[start - at : end - at]
    norm = float(np.linalg.norm(stretch) * np.linalg.norm(reference))
    return float(np.dot(stretch, part)) / norm if norm else 0.0


def share_heard(recorded: Samples, reference: Samples, rate: int = 16_000) -> float:
    """How much of ``reference`` is in ``recorded``, 0 to 1, same rate: of its quarters of a second that are
    not silent, the share which is somewhere there, with a correlation above 0.8.

    Unlike `similarity`, a block that a loaded machine dropped costs only the quarter in which it was.
    """
    step = rate // 4
    parts = [reference[at : at + step] for at in range(0, reference.size - step + 1, step)]
    loud = [part for part in parts if np.abs(part).max() > 0.1 * np.abs(reference).max()]
    size = 1 << (recorded.size + step - 1).bit_length()
    spectrum = np.fft.rfft(recorded, size)
    energy = np.concatenate(([0.0], np.cumsum(np.square(recorded, dtype=np.float64))))
    norms = np.sqrt(np.maximum(energy[step:] - energy[:-step], 1e-9))
    found = 0
    for part in loud:
        product = np.fft.irfft(spectrum * np.conj(np.fft.rfft(part, size)), size)[: norms.size]
        found += bool((product / (norms * np.linalg.norm(part))).max() > 0.8)
    return found / len(loud)
