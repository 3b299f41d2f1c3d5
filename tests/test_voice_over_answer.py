"""Short commands spoken over a loud answer: each interrupts it, and the model understands it.

The room has no clock, so nothing depends on how busy the machine is; ear, cancellers, voices, model are the
real ones.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from virtual_audio import espeak

from assistant.engine.process import EngineProcess
from assistant.media.sound import RATE, Sound, resample
from assistant.modes import Mode
from assistant.voice.ear import Ear, Listening
from assistant.voice.echo import Echo
from assistant.voice.endpoint import trimmed
from assistant.voice.microphone import FRAMES, Samples
from models import package
from models.errors import Cancelled
from ui.work.ear import Recording
from ui.work.scribe import scribe

ANSWER = (
    "I am the small demonstration model. I can set timers and alarms, switch lights, set the heating, play "
    "music, take notes, do sums, and ask for the weather."
)
COMMANDS = (
    "Set a timer for five minutes.",
    "What is five plus six?",
    "Wake me at seven.",
    "What can you do?",
    "Turn off the light in the bedroom.",
    "Play some music.",
)
SPEAKS = 3.0  # s of the answer before the person does
SILENT = 7  # blocks that are still heard after the speaker was stopped


class Overlap:
    """A microphone in a room with a loudspeaker, and a person who speaks over the answer."""

    def __init__(self, answer: Samples, person: Samples, echo: Echo) -> None:
        seed = np.random.default_rng(3)
        tail = np.arange(round(0.12 * RATE))
        room = 0.05 * seed.standard_normal(tail.size) * np.exp(-tail / (0.025 * RATE))
        room[0] = 0.9
        self._room = np.pad(room, (round(0.08 * RATE), 0)).astype(np.float32)
        self._answer = iter(blocks(answer))
        late = np.pad(person, (round(SPEAKS * RATE), 2 * RATE))
        self._person = blocks(late + 1e-4 * seed.standard_normal(late.size).astype(np.float32))
        self._echo = echo
        self.left = 10_000  # blocks that the speaker still plays
        self.ready = threading.Event()

    def blocks(self, cancel: threading.Event | None = None) -> Iterator[Samples]:
        self.ready.wait()
        silence = np.zeros(FRAMES, np.float32)
        coming = np.zeros(self._room.size + FRAMES, np.float32)
        for said in self._person:
            given = next(self._answer, silence) if self.left > 0 else silence
            self.left -= 1
            coming[: self._room.size + FRAMES - 1] += np.convolve(given, self._room)
            self._echo.played(given, RATE)
            yield (said + coming[:FRAMES]).astype(np.float32)
            coming = np.pad(coming[FRAMES:], (0, FRAMES))
        while cancel is None or not cancel.wait(0.02):
            yield silence
        raise Cancelled("Recording was stopped.")

    def close(self) -> None:
        """Nothing is open."""


def blocks(samples: Samples) -> Samples:
    return np.pad(samples, (0, -samples.size % FRAMES)).astype(np.float32).reshape(-1, FRAMES)


def recorded(answer: Samples, person: Samples) -> tuple[Sound, int]:
    """What goes to the model, and how many blocks of the answer were played."""
    echo, found = Echo(), list[Listening]()
    room = Overlap(answer, person, echo)
    interrupted = threading.Event()

    def interrupt() -> None:
        found.append(ear.listen())
        room.left = min(room.left, SILENT)
        interrupted.set()

    with Ear(lambda _: room, "", preroll=True, interrupted=interrupt, echo=echo) as ear:
        ear.watch(True)
        room.ready.set()
        assert interrupted.wait(30), "nobody was noticed"
        with found[0] as source:
            heard = Recording().listen(source, lambda *_: None, lambda *_: None)
    return Sound(trimmed(heard.samples), RATE), len(found)


@pytest.fixture(scope="module")
def nano() -> Iterator[EngineProcess]:
    with EngineProcess(package.embedded()) as session:
        yield session


def test_commands_over_an_answer_are_understood(nano: EngineProcess, tmp_path: Path) -> None:
    answer = resample(espeak(ANSWER, tmp_path / "answer.wav"), 22050, RATE)
    understood = {}
    for command in COMMANDS:
        person = resample(espeak(command, tmp_path / "said.wav", "en-gb"), 22050, RATE)
        sound, times = recorded(answer, person)
        assert times == 1
        wanted = " ".join(re.findall("[a-z]+", command.lower()))
        never = threading.Event()
        understood[wanted] = scribe(nano, sound, Mode("transcribe"), never, lambda _: None).transcript
    wrong = {wanted: got for wanted, got in understood.items() if got != wanted}
    assert not wrong
