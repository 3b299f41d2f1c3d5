"""A second synthesiser, for the report only: flite, which training never uses."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
import wave
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

VOICES: Final = ("kal", "awb", "rms", "slt")
MISSING: Final = "flite is not installed: apt install flite."
_TIMEOUT: Final = 30.0  # s


def installed() -> bool:
    """Whether the program is there."""
    return shutil.which("flite") is not None


def say(text: str, rng: random.Random) -> tuple[NDArray[np.float32], int]:
    """`text` in one of its voices: samples in -1…1 at a random level, and their rate in Hz."""
    stretch = rng.uniform(0.9, 1.2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        command = ["flite", "-voice", rng.choice(VOICES), "--setf", f"duration_stretch={stretch:.2f}"]
        subprocess.run([*command, "-t", text, "-o", str(path)], check=True, timeout=_TIMEOUT)
        with wave.open(str(path)) as file:
            rate = file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    sound = samples.astype(np.float32) / np.float32(32768)
    level = float(np.sqrt(np.mean(sound**2))) + 1e-6
    pause = np.zeros(int(0.2 * rate), np.float32)
    whole = np.concatenate((pause, sound * np.float32(10 ** rng.uniform(-2.0, -1.0) / level), pause))
    whole += np.random.default_rng(rng.getrandbits(32)).standard_normal(whole.size).astype(np.float32) * 1e-4
    return np.clip(whole, -1, 1), rate
