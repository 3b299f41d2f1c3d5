"""The ear on a real (virtual) sound server: no first word is lost, and a lost microphone comes back."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from test_voice_devices import finished, line, program
from virtual_audio import VirtualAudio, espeak, similarity, virtual_audio

from assistant.media.sound import RATE, Sound, load, resample, wav
from assistant.voice.ear import PRE_ROLL, Ear, Listening
from assistant.voice.echo import Echo
from assistant.voice.microphone import FRAMES, BlockSource, FileMicrophone, Samples
from models.errors import Cancelled

SPOKEN = (
    "The circle in this picture is red, and the square next to it is green. There is a triangle as well, "
    "but I can not say much about it. Shall I go on?"
)
SENTENCE = "Blue is the colour of the circle in this picture."


def test_what_was_said_before_the_key_was_pressed_is_heard(
    audio_server: VirtualAudio, tmp_path: Path
) -> None:
    """The key is pressed 300 ms after the first sound; then it costs no time to record."""
    said = espeak(SENTENCE, tmp_path / "said.wav")
    code = """
        import sys, time
        from pathlib import Path
        from assistant.media import sound
        from assistant.voice.ear import Ear
        from assistant.voice.endpoint import level
        from assistant.voice.microphone import Microphone, listen
        with Ear(Microphone, preroll=True) as ear, ear.listen() as first:
            for count, block in enumerate(first.blocks()):
                if count == 0:
                    print("open", flush=True)
                if level(block) > -45:
                    break
            time.sleep(0.3)  # so much was said before the key is pressed
            pressed = time.monotonic()
            with ear.listen() as source:
                next(source.blocks())
                took = time.monotonic() - pressed
                heard = listen(source)
        Path(sys.argv[1]).write_bytes(sound.wav(heard))
        print(took)
    """
    process = program(audio_server, code, tmp_path / "heard.wav")
    assert line(process) == "open"
    with audio_server.spoken_into_microphone(tmp_path / "said.wav"):
        took = float(finished(process))
    assert took < 0.05
    begin = int(np.argmax(np.abs(said) > 0.01))
    word = resample(said[begin : begin + 22050 * 3 // 10], 22050, RATE)  # the 300 ms before the key
    heard = load(tmp_path / "heard.wav").samples
    assert similarity(heard, word) > 0.95
    assert similarity(heard, resample(said, 22050, RATE)) > 0.95


def test_a_lost_microphone_is_told_once_and_comes_back_without_a_restart(tmp_path: Path) -> None:
    """The sound server is killed in mid-sentence and started again, with a speaker open as well."""
    espeak("One two three four five six seven eight nine ten. " * 3, tmp_path / "said.wav")
    code = """
        import itertools, sys, time
        from assistant.usage import Usage
        from assistant.voice.ear import Ear
        from assistant.voice.microphone import Microphone, listen
        from assistant.voice.speaker import Speaker
        from models.errors import DeviceError
        told, usage = [], Usage()
        open_microphone = lambda name: Microphone(name, usage)
        with Speaker() as speaker, Ear(open_microphone, "", True, lost=told.append) as ear:
            with ear.listen() as source:
                next(source.blocks())
                print("open", sorted(usage.now), flush=True)
                heard = listen(source)
            print(len(told), told[0].what, sorted(usage.now), heard.seconds > 1, flush=True)
            try:
                with ear.listen() as source:
                    next(source.blocks())
            except DeviceError as error:
                print(error.what, flush=True)
            began = time.process_time(), time.monotonic()
            sys.stdin.readline()
            busy = (time.process_time() - began[0]) / (time.monotonic() - began[1])
            with ear.listen() as source:
                blocks = list(itertools.islice(source.blocks(), 50))
            print(len(blocks), sorted(usage.now), len(told), busy < 0.3)
            assert speaker.lost
            with Speaker() as again:
                again.wait()
        print(sorted(usage.now))
    """
    with virtual_audio() as audio:
        process = program(audio, code)
        assert line(process) == "open ['microphone']"
        with audio.spoken_into_microphone(tmp_path / "said.wav"):
            time.sleep(2.5)  # of speech; nothing tells how much was recorded
            audio.kill()
        assert line(process) == "1 The microphone default stopped working. [] True"
        assert line(process).startswith("No microphone can be opened")
        audio.start()
        assert finished(process, "\n").splitlines() == ["50 ['microphone'] 1 True", "[]"]


def test_the_pre_roll_is_what_was_said_last_and_is_forgotten_when_switched_off(tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0.1, 0.9, 200), FRAMES).astype(np.float32)  # each block is louder
    (tmp_path / "ramp.wav").write_bytes(wav(Sound(ramp)))
    opened: list[FileMicrophone] = []

    def open_microphone(_: str) -> FileMicrophone:
        opened.append(FileMicrophone(tmp_path / "ramp.wav", real_time=True))
        return opened[-1]

    with Ear(open_microphone, "", preroll=True) as ear:
        with ear.listen() as first:  # the ring is filled
            last = float(list(itertools.islice(first.blocks(), 70))[-1].max())
        with ear.listen() as second:
            kept = [float(block.max()) for block in itertools.islice(second.blocks(), 50)]
        assert len(kept) * FRAMES == PRE_ROLL * RATE
        assert kept == sorted(kept)
        assert kept[0] < last <= kept[-1] + 0.02
        ear.set("", preroll=False)
        ear.set("", preroll=True)
        with ear.listen() as third:  # by now it is another one, or the ring is empty
            assert not np.isclose(next(third.blocks()).max(), kept[0], atol=1e-3)
        ear.set("", preroll=False)
        closed = opened[-1]
        assert closed._closed.wait(10)
        number = len(opened)
        with ear.listen() as fourth:
            assert np.isclose(next(fourth.blocks()).max(), 0.1, atol=1e-3), "not from its beginning"
        assert len(opened) == number + 1


class Room:
    """A loudspeaker and a person at one microphone, without a clock: what is played comes back later.

    In the middle the playing stumbles, so that the canceller no longer knows when.
    """

    def __init__(self, played: Samples, said: Samples, echo: Echo, listen: Callable[[], None]) -> None:
        """``listen`` is called when all was played, 0.6 s before the person speaks."""
        silence = np.zeros(FRAMES, np.float32)
        aloud = played[: played.size // FRAMES * FRAMES].reshape(-1, FRAMES)
        self.end = len(aloud) + 2
        before, after = np.split(aloud, [len(aloud) - 20])
        late = [*[silence] * 5, *before, *[silence] * 3, *after, *[silence] * 500]
        self.person = np.pad(said, (0, -said.size % FRAMES)).reshape(-1, FRAMES)
        self._blocks = iter(
            [
                (given, heard, at == self.end)
                for at, (given, heard) in enumerate(zip([*aloud, *[silence] * 300], late, strict=False))
            ]
        )
        self._person = iter([*[silence] * (self.end + 30), *self.person])
        self._echo, self._listen = echo, listen

    def blocks(self, cancel: threading.Event | None = None) -> Iterator[Samples]:
        for given, heard, ended in self._blocks:
            if ended:
                self._listen()
            self._echo.played(given, RATE)
            yield heard + next(self._person, np.zeros(FRAMES, np.float32))
        while cancel is None or not cancel.wait(0.02):
            yield np.zeros(FRAMES, np.float32)
        raise Cancelled("Recording was stopped.")

    def close(self) -> None:
        """Nothing is open."""


def test_after_an_answer_nothing_of_it_is_heard_and_the_person_as_they_are(tmp_path: Path) -> None:
    """Hands-free listens as soon as the answer ends; its rest at the microphone is not the next question."""
    played = resample(espeak(SPOKEN, tmp_path / "spoken.wav"), 22050, RATE)
    played = played[: int(np.flatnonzero(np.abs(played) > 0.01)[-1])]
    said = resample(espeak(SENTENCE, tmp_path / "said.wav", "en-gb"), 22050, RATE)
    echo, found = Echo(), list[Listening]()
    room = Room(played, said, echo, lambda: found.append(ear.listen()))
    microphones: list[BlockSource] = [room]
    opened = threading.Event()

    def open_microphone(_: str) -> BlockSource:
        opened.wait()
        return microphones[0]

    with Ear(open_microphone, "", preroll=True, echo=echo) as ear:
        opened.set()
        while not found:
            time.sleep(0.01)
        with found[0] as source:
            heard = list(itertools.islice(source.blocks(), 30 + len(room.person)))
    assert max(float(np.abs(block).max()) for block in heard[:30]) < 0.003, "its own voice"
    assert np.array_equal(np.concatenate(heard[30:]), room.person.ravel()), "not as it was said"


def test_with_a_loudspeaker_only_the_person_interrupts(audio_server: VirtualAudio, tmp_path: Path) -> None:
    """What Aside says is loud at the microphone, and is not heard, also where the playing stumbles."""
    espeak(SPOKEN, tmp_path / "spoken.wav")
    said = espeak(SENTENCE, tmp_path / "said.wav", "en-gb")
    code = """
        import sys, threading, time
        from pathlib import Path
        from assistant.media import sound
        from assistant.voice.ear import Ear
        from assistant.voice.echo import Echo
        from assistant.voice.endpoint import level
        from assistant.voice.microphone import Microphone, listen
        from assistant.voice.speaker import Speaker
        spoken = sound.load(Path(sys.argv[1]))
        interrupted, echo, found = threading.Event(), Echo(), []
        def interrupt():
            found.append(ear.listen())
            speaker.stop()
            interrupted.set()
        ear = Ear(Microphone, "", True, interrupted=interrupt, echo=echo)
        with ear, Speaker(on_played=echo.played) as speaker:
            with ear.listen() as source:
                next(source.blocks())
            ear.watch(True)
            speaker.play(spoken)
            false = interrupted.wait(spoken.seconds + 0.5)
            speaker.play(spoken)
            time.sleep(1.0)  # of the answer, before somebody speaks over it
            print(false, flush=True)
            assert interrupted.wait(8)
            assert not speaker.playing
            with found[0] as source:
                heard = listen(source)
        Path(sys.argv[2]).write_bytes(sound.wav(heard))
    """

    def failed() -> str:
        """What was wrong in one try; "" is nothing."""
        with audio_server.loudspeaker():
            process = program(audio_server, code, tmp_path / "spoken.wav", tmp_path / "heard.wav")
            false = line(process)
            with audio_server.spoken_into_microphone(tmp_path / "said.wav"):
                _, err = process.communicate(timeout=60)
        if false != "False":
            return "it heard itself"
        if process.returncode:
            return str(err)
        heard = load(tmp_path / "heard.wav").samples
        begin = int(np.argmax(np.abs(said) > 0.01))
        # its first word is there, if softer: it was spoken on top of the answer
        if heard.size / RATE <= (said.size - begin) / 22050 - 0.1:
            return "its beginning is missing"
        end = int(np.flatnonzero(np.abs(said) > 0.01)[-1])
        rest = resample(said[end - 22050 : end], 22050, RATE)  # half the sentence at least was over by then
        return "" if similarity(heard, rest) > 0.9 else "the answer was not silent"

    first = failed()
    # a virtual sound card on a busy machine drops blocks now and then, which costs an interruption
    assert not first or not failed(), first
