"""More voices for training, besides espeak-ng: SVOX Pico and festival's Kurt (`ked`).

Nothing of flite's is here, nor of its speakers: the report asks how well that one is understood.
"""

from __future__ import annotations

import importlib
import random
import shutil
import subprocess
import tempfile
import wave
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from models.errors import DeviceError

Sound = tuple[NDArray[np.float32], int]
LOWEST: Final = 50
"""Pico's lowest pitch, in percent of its usual one."""


class Voice(Protocol):
    """A synthesiser."""

    @property
    def share(self) -> float:
        """Its share of the training."""
        ...

    def say(self, text: str, rng: random.Random, size: float) -> Sound:
        """Samples in -1…1 and their rate in Hz.

        Pitch and speed are such that they are usual ones once the sound is played `size` times faster.
        """
        ...


class Pico:
    """SVOX Pico, a woman of Britain and one of America."""

    share: Final = 0.40

    def __init__(self) -> None:
        """Raises DeviceError if the package is missing."""
        try:
            module: Any = importlib.import_module("ttspico")
        except ImportError as error:
            raise DeviceError(
                "The package ttspico is missing.", "Install the `voices` extra; it needs a C compiler."
            ) from error
        self._engines = [module.TtsEngine(language) for language in ("en-GB", "en-US")]

    def say(self, text: str, rng: random.Random, size: float) -> Sound:
        """As `Voice` tells; a pitch between a man's and a child's."""
        engine = rng.choice(self._engines)
        engine.pitch = max(LOWEST, round(rng.uniform(58, 125) / size))
        engine.rate = round(rng.uniform(78, 130) / size)
        return np.frombuffer(engine.speak(text), np.int16).astype(np.float32) / np.float32(32768), 16_000


class Ked:
    """Festival with the diphones of a man of America, one process for all that is said."""

    share: Final = 0.15

    def __init__(self) -> None:
        """Raises DeviceError if the program or the voice is missing."""
        missing = DeviceError(
            "festival or its voice ked is missing.", "Install them: apt install festival festvox-kdlpc16k."
        )
        if shutil.which("festival") is None:
            raise missing
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "said.wav"
        self._process = subprocess.Popen(
            ["festival", "--pipe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            self._do("(voice_ked_diphone)")
        except DeviceError:
            raise missing from None

    def _do(self, scheme: str) -> None:
        """Evaluates; festival keeps what it prints to itself unless told."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f'{scheme} (format t "done\\n") (fflush nil)\n')
        self._process.stdin.flush()
        if self._process.stdout.readline() != "done\n":
            raise DeviceError("festival stopped.", "Look whether `festival --pipe` works.")

    def say(self, text: str, rng: random.Random, size: float) -> Sound:
        """As `Voice` tells."""
        mean, deviation, stretch = rng.uniform(80, 150), rng.uniform(8, 25), rng.uniform(0.85, 1.35)
        self._do(
            f"(set! int_lr_params '((target_f0_mean {mean / size:.0f}) (target_f0_std {deviation:.0f})"
            " (model_f0_mean 170) (model_f0_std 34)))"
            f" (Parameter.set 'Duration_Stretch {stretch * size:.2f})"
            f' (utt.save.wave (utt.synth (Utterance Text "{text}")) "{self._path}" \'riff)'
        )
        with wave.open(str(self._path)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
            return samples.astype(np.float32) / np.float32(32768), file.getframerate()


def others() -> list[Voice]:
    """All of them; DeviceError if one is missing, for without it the training would be another one."""
    return [Pico(), Ked()]
