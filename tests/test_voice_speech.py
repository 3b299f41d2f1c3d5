"""The system's voice, and text cut into sentences."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from assistant.media.sound import Sound
from assistant.voice.sentences import Sentences, speakable
from assistant.voice.speaker import FileSpeaker
from assistant.voice.speech import Narrator, Voice
from models.errors import Cancelled, DeviceError, MediaError


def test_text_becomes_sound() -> None:
    with Voice() as voice:
        one = voice.synthesise("Hello.")
        many = voice.synthesise("Hello, this is a much longer sentence about nothing at all.")
        again = voice.synthesise("Hello.")
    assert not one.is_silent
    assert many.seconds > 2 * one.seconds
    assert again.seconds == pytest.approx(one.seconds, rel=0.1)


@pytest.mark.parametrize("text", ["", "  \n", "...", "\0", "***", "```\ncode\n```"])
def test_nothing_to_say(text: str) -> None:
    with Voice() as voice:
        assert voice.synthesise(text).samples.size == 0


def test_odd_text_is_spoken() -> None:
    with Voice() as voice:
        for text in (
            "<speak>A & B</speak>",
            "日本語 text",
            "a\0b",
            "0v\x15 H\x15",
            "\x01150S a",
            "-v en --stdin",
        ):
            assert not voice.synthesise(text).is_silent


def test_long_text_comes_whole_also_as_the_first() -> None:
    text = "one two three four five six seven eight nine ten " * 6
    with Voice() as voice:
        lengths = [voice.synthesise(text).seconds for _ in range(3)]
    assert min(lengths) > 15
    assert max(lengths) < 1.1 * min(lengths)


def test_many_sentences_one_after_the_other() -> None:
    with Voice() as voice:
        lengths = [voice.synthesise(f"This is sentence number {n}.").seconds for n in range(100)]
    assert min(lengths) > 1
    assert max(lengths) < 4


def test_a_voice_for_the_language() -> None:
    with Voice("German") as german, Voice("English") as english:
        text = "Ich gehe nach Hause"
        a, b = german.synthesise(text), english.synthesise(text)
    assert a.samples.size != b.samples.size


def test_a_voice_that_hangs_is_replaced() -> None:
    with Voice(deadline=0.4) as voice:
        assert not voice.synthesise("One.").is_silent
        pid = voice._process.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(DeviceError, match="did not answer"):
            voice.synthesise("Two.")
        assert time.monotonic() - start < 3
        assert not voice.synthesise("Three.").is_silent


def test_a_voice_that_dies_is_replaced() -> None:
    with Voice() as voice:
        assert not voice.synthesise("One.").is_silent
        pid = voice._process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        voice._process.join(5)
        assert not voice.synthesise("Two.").is_silent


def test_cancel_while_speaking() -> None:
    with Voice() as voice:
        assert not voice.synthesise("One.").is_silent
        pid = voice._process.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        cancel = threading.Event()
        threading.Timer(0.2, cancel.set).start()
        start = time.monotonic()
        with pytest.raises(Cancelled):
            voice.synthesise("Two.", cancel)
        assert time.monotonic() - start < 1.0


def test_a_reply_into_a_file(tmp_path: Path) -> None:
    path = tmp_path / "reply.wav"
    with Voice() as voice, FileSpeaker(path) as sink, Narrator(voice, sink) as narrator:
        for part in ("The circle is", " red. The sq", "uare is blue"):
            narrator.push(part)
        assert not path.exists(), "nothing half-written"
        narrator.finish()
    samples, rate = soundfile.read(path)
    assert rate == 22050
    assert len(samples) / rate > 1.5
    assert np.abs(samples).max() > 0.1
    assert [p.name for p in tmp_path.iterdir()] == ["reply.wav"]


def test_a_narrator_does_not_wait_for_a_slow_disk(tmp_path: Path) -> None:
    class SlowFile(FileSpeaker):
        writing = threading.Event()

        def play(self, sound: Sound) -> None:
            self.writing.set()
            time.sleep(1.5)  # the disk is busy
            super().play(sound)

    with Voice() as voice, SlowFile(tmp_path / "a.wav") as sink:
        with Narrator(voice, sink) as narrator:
            narrator.push("One sentence. Another one.")
            assert sink.writing.wait(30)
            start = time.monotonic()
        assert time.monotonic() - start < 1
        narrator._thread.join()


def test_a_file_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="can't be written"):
        FileSpeaker(tmp_path / "no folder" / "a.wav")
    with pytest.raises(MediaError, match="is a folder"):
        FileSpeaker(tmp_path)
    with contextlib.suppress(KeyError), FileSpeaker(tmp_path / "a.wav") as sink:
        sink.play(Sound(np.ones(100, np.float32)))
        raise KeyError
    with FileSpeaker(tmp_path / "b.wav"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("The circle is red. The square is blue.", ["The circle is red.", "The square is blue."]),
        ("It costs 3.50 dollars. Yes!", ["It costs 3.50 dollars.", "Yes!"]),
        ("Dr. Smith came. He left.", ["Dr. Smith came.", "He left."]),
        ("Fruit, e.g. apples. Good?", ["Fruit, e.g. apples.", "Good?"]),
        ("1. First one\n2. Second one\n", ["1. First one", "2. Second one"]),
        ('He said "Go." Then left.', ['He said "Go."', "Then left."]),
        ("红色的圆。蓝色的方。", ["红色的圆。", "蓝色的方。"]),
        ("No end", ["No end"]),
        ("Wait... what?", ["Wait...", "what?"]),
    ],
)
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_sentences(text: str, sentences: list[str], step: int) -> None:
    splitter = Sentences()
    found = [s for i in range(0, len(text), step) for s in splitter.push(text[i : i + step])]
    found += [rest] if (rest := splitter.rest()) else []
    assert found == sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "I can set timers and alarms, switch lights, and more. One, two, three apples, and a pear.",
            [
                "I can set timers and alarms,",
                "switch lights, and more.",
                "One, two, three apples, and a pear.",
            ],
        ),
        ("Yes, it is 1,000 metres high. Good.", ["Yes, it is 1,000 metres high.", "Good."]),
        ("我可以设置闹钟和计时器，也可以开灯。好。", ["我可以设置闹钟和计时器，", "也可以开灯。", "好。"]),
    ],
)
def test_the_first_clause_comes_before_its_sentence(text: str, sentences: list[str]) -> None:
    splitter = Sentences()
    found = [sentence for character in text for sentence in splitter.push(character)]
    assert [*found, *([rest] if (rest := splitter.rest()) else [])] == sentences


def test_text_without_an_end_is_cut() -> None:
    splitter = Sentences()
    parts = splitter.push("word " * 1000)
    assert all(len(part) <= 400 for part in parts)
    assert " ".join([*parts, splitter.rest()]).split() == ["word"] * 1000


def test_markup_is_not_read_aloud() -> None:
    assert speakable("**Bold** and `code`, see [here](https://x.org/a).") == "Bold and code , see here."
