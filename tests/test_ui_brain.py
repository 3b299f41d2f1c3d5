"""The engine's thread: pictures that are ready before the question, and an engine that dies or hangs."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import pytest
from engine_package import small_package
from PIL import Image, ImageDraw
from PySide6.QtWidgets import QApplication
from real_window import desktop, load_nano, wait_until
from virtual_audio import espeak

from assistant.engine.process import Patience
from assistant.engine.protocol import Clip, Picture
from assistant.engine.windows import Windows
from assistant.media import sound
from assistant.modes import Mode
from assistant.voice.microphone import FileMicrophone
from models import package
from ui.work import brain
from ui.work.brain import Brain
from ui.work.ear import Recording
from ui.work.question import Question

QUESTION = "what colour is the circle"


def circle(colour: str) -> bytes:
    image, data = Image.new("RGB", (448, 448), "white"), BytesIO()
    ImageDraw.Draw(image).ellipse((100, 100, 348, 348), fill=colour)
    image.save(data, "PNG")
    return data.getvalue()


class Told:
    """A brain outside of any window, and what it told."""

    def __init__(self, patience: Patience | None = None) -> None:
        self.events: list[brain.BrainEvent] = []
        self._told = threading.Condition()
        self.brain = Brain(self._tell) if patience is None else Brain(self._tell, patience)

    def _tell(self, event: brain.BrainEvent) -> None:
        with self._told:
            self.events.append(event)
            self._told.notify_all()

    def wait(self, condition: Callable[[brain.BrainEvent], bool], seconds: float = 60.0) -> brain.BrainEvent:
        with self._told:
            assert self._told.wait_for(lambda: any(map(condition, self.events)), seconds), self.events
            return next(filter(condition, self.events))

    def ask(self, turn: int, question: Question) -> tuple[str, brain.Answered]:
        self.brain.ask(turn, question)
        end = self.wait(lambda e: isinstance(e, brain.Answered | brain.Failed) and e.turn == turn)
        assert isinstance(end, brain.Answered), end
        text = "".join(e.text for e in self.events if isinstance(e, brain.Wrote) and e.turn == turn)
        return text, end


@contextmanager
def loaded(patience: Patience | None = None, path: Path | None = None) -> Iterator[Told]:
    one = Told(patience)
    try:
        one.brain.load(path or package.embedded(), "nano")
        one.wait(lambda e: isinstance(e, brain.Loaded | brain.LoadFailed))
        yield one
    finally:
        one.brain.close()


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> sound.Sound:
    path = tmp_path_factory.mktemp("said") / "said.wav"
    espeak("What colour is the circle?", path)
    return sound.load(path)


def draft(one: Told, turn: int, said: sound.Sound) -> str:
    """A draft of the transcript comes after what is being prepared, and doesn't interrupt it."""
    one.brain.understand(turn, said, final=False)
    event = one.wait(lambda e: isinstance(e, brain.Understood) and e.turn == turn)
    assert isinstance(event, brain.Understood)
    return event.text


def prepare(one: Told, *pictures: bytes) -> None:
    one.events.clear()
    one.brain.prepare([Picture(data) for data in pictures])
    one.wait(lambda e: e == brain.Prepared(len(pictures)))


def test_a_picture_is_ready_before_the_question(spoken: sound.Sound) -> None:
    blue, red = circle("blue"), circle("red")
    with loaded() as one:
        expected, cost = one.ask(1, Question(QUESTION, (blue,)))
        second, _ = one.ask(2, Question(QUESTION, (red, blue)))
        spoken_answer, _ = one.ask(3, Question("", (blue,), (spoken,)))
    assert cost.statistics.seconds["vision"] > 0
    with loaded() as one:
        prepare(one, blue)
        text, ready = one.ask(1, Question(QUESTION, (blue,)))
        assert text == expected
        assert not ready.statistics.seconds.get("vision")
        assert ready.statistics.prefilled < cost.statistics.prefilled / 4
        assert ready.statistics.recomputed == 0
        prepare(one, red)
        prepare(one, red, blue)
        assert one.ask(2, Question(QUESTION, (red, blue)))[0] == second
        prepare(one, blue)
        text, ready = one.ask(3, Question("", (blue,), (spoken,)))
        assert text == spoken_answer
        assert not ready.statistics.seconds.get("vision")


@pytest.fixture(scope="module")
def long(spoken: sound.Sound) -> sound.Sound:
    """It is said for a minute and a half."""
    return sound.Sound(np.tile(spoken.samples, round(92 / spoken.seconds)))


def test_a_long_question_is_computed_while_it_is_spoken(long: sound.Sound, tmp_path: Path) -> None:
    """All but its last window; with a picture that was there before, or that comes while it is spoken."""
    (tmp_path / "long.wav").write_bytes(sound.wav(long))
    source = FileMicrophone(tmp_path / "long.wav")
    recording, windows, drafts = Recording(), list[Clip](), list[tuple[float, bool]]()
    recording.held.set()

    def draft(said: sound.Sound, later: bool) -> None:
        drafts.append((said.seconds, later))
        if len(drafts) > 90:
            recording.finish()

    said = recording.listen(source, lambda _: None, draft, windows.append)
    assert len(windows) == int(said.seconds // 40) == 2
    assert max(seconds for seconds, _ in drafts) <= 31
    assert (drafts[0][1], drafts[-1][1]) == (False, True)
    blue = circle("blue")
    for pictures in ((), (blue,)):
        question = Question("", pictures, (said,))
        with loaded() as one:
            expected, cost = one.ask(1, question)
        with loaded() as one:
            one.brain.listen(1)
            one.brain.hear(1, windows[0])
            if pictures:
                one.brain.prepare([Picture(data) for data in pictures])
            one.brain.hear(1, windows[1])
            one.brain.hear(2, windows[1])  # of a turn that isn't spoken
            text, last = one.ask(1, question)
            again, _ = one.ask(2, Question("hello"))
        assert text == expected
        assert again
        assert last.statistics.prefilled < 500
        assert cost.statistics.prefilled > 1000
        assert last.statistics.recomputed <= 1


def test_what_comes_before_a_spoken_question_is_computed_once(spoken: sound.Sound) -> None:
    with loaded() as one:
        one.brain.listen(1)
        text, first = one.ask(1, Question("", (), (spoken,)))
        assert (first.statistics.recomputed, text != "") == (0, True)
        assert first.statistics.prefilled < 13 * spoken.seconds + 5, "its own sound, and the end of the turn"
        one.brain.listen(2)
        one.brain.drop(2)
        typed, _ = one.ask(3, Question("hello"))
    with loaded() as one:
        assert one.ask(1, Question("", (), (spoken,)))[0] == text
        assert one.ask(3, Question("hello"))[0] == typed


def test_a_model_that_hears_a_recording_as_a_whole_gets_it_at_the_end(
    long: sound.Sound, tmp_path: Path
) -> None:
    """As packages of older exporters do."""
    small = small_package(tmp_path / "small", layers=1)
    speech = onnx.load(small / "phi-4-mm-speech.onnx", load_external_data=False)
    speech.graph.input.remove(next(value for value in speech.graph.input if value.name == "audio_context"))
    onnx.save(speech, small / "phi-4-mm-speech.onnx")
    manifest = json.loads((small / package.MANIFEST).read_text("utf-8"))
    del manifest["files"]
    (small / package.MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    cut = Windows()
    with loaded(path=small) as one:
        one.brain.listen(1)
        for window in cut.push(long.samples):
            one.brain.hear(1, window)
        _, last = one.ask(1, Question("", (), (long,)))
        assert last.statistics.prefilled > 1000


def test_a_recording_without_room_for_more_is_ended(long: sound.Sound, tmp_path: Path) -> None:
    small = small_package(tmp_path / "small", context=1600, layers=1)
    with loaded(path=small) as one:
        one.brain.listen(1)
        cut = Windows()
        for window in cut.push(np.tile(long.samples, 2)):
            one.brain.hear(1, window)
        enough = one.wait(lambda e: isinstance(e, brain.Enough))
        assert isinstance(enough, brain.Enough)
        assert enough.samples / 16_000 == 80, "the third window leaves too little for an answer"
        one.brain.drop(1)
        assert one.ask(2, Question("hello"))[0]


def test_a_question_about_a_picture_that_is_not_ready_yet_goes_on_from_there(spoken: sound.Sound) -> None:
    blue = circle("blue")
    with loaded() as one:
        expected, cost = one.ask(1, Question("", (blue,), (spoken,)))
    assert cost.statistics.crops == 2
    with loaded() as one:
        one.brain.prepare([Picture(blue)])
        one.brain.listen(1)
        text, last = one.ask(1, Question("", (blue,), (spoken,)))
        assert text == expected
        assert one.events.count(brain.Prepared(1)) >= 1
        assert last.statistics.crops == last.statistics.recomputed == 0
        assert last.statistics.prefilled < 13 * spoken.seconds + 5


def test_looking_at_a_picture_gives_way_and_is_done_afterwards(spoken: sound.Sound) -> None:
    screen, data = Image.new("RGB", (896, 896), "white"), BytesIO()
    screen.save(data, "PNG")
    with loaded() as one:
        one.brain.prepare([Picture(data.getvalue())])
        one.brain.caption(1, spoken, Mode("transcribe"))
        one.brain.end_captions(1)
        one.wait(lambda e: e == brain.Prepared(1))
        wrote = next(i for i, event in enumerate(one.events) if isinstance(event, brain.Wrote))
        assert wrote < one.events.index(brain.Prepared(1))
        _, last = one.ask(2, Question(QUESTION, (data.getvalue(),)))
        assert last.statistics.crops == 0


def test_drafts_hear_what_is_said_and_not_what_is_seen(spoken: sound.Sound) -> None:
    blue = circle("blue")
    with loaded() as one:
        expected, _ = one.ask(1, Question(QUESTION, (blue,)))
    with loaded() as one:
        prepare(one, blue)
        assert draft(one, 11, spoken) == QUESTION
        assert one.ask(1, Question(QUESTION, (blue,)))[0] == expected
        assert draft(one, 12, spoken) == QUESTION


def test_a_picture_that_was_taken_away_or_replaced_leaves_no_trace(spoken: sound.Sound) -> None:
    blue, red = circle("blue"), circle("red")
    with loaded() as one:
        first, cost = one.ask(1, Question("hello"))
        second, _ = one.ask(2, Question(QUESTION, (red,)))
    with loaded() as one:
        one.brain.prepare([Picture(blue)])
        draft(one, 11, spoken)
        one.brain.prepare([])
        text, free = one.ask(1, Question("hello"))
        assert (text, free.statistics.generated) == (first, cost.statistics.generated)
        one.brain.prepare([Picture(blue)])
        draft(one, 12, spoken)
        assert one.ask(2, Question(QUESTION, (red,)))[0] == second
        one.brain.prepare([Picture(blue)])
        one.brain.rewind(1)
        assert one.ask(3, Question(QUESTION, (red,)))[0] == second
        one.brain.prepare([Picture(blue)])
        one.brain.begin()
        assert one.ask(4, Question("hello"))[0] == first


def test_a_picture_in_the_window_is_prepared_and_given_up(qt: QApplication, tmp_path: Path) -> None:
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        told: list[brain.BrainEvent] = []
        one.conductor.told.connect(told.append)
        one.window.composer.add_picture(circle("blue"), "circle")
        wait_until(lambda: brain.Prepared(1) in told)
        one.window.composer.text.setPlainText(QUESTION)
        one.window.composer.send()
        wait_until(lambda: any(isinstance(event, brain.Answered) for event in told))
        answered = next(event for event in told if isinstance(event, brain.Answered))
        assert not answered.statistics.seconds.get("vision")
        assert "blue" in one.window.transcript.toPlainText()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_an_engine_that_dies_or_hangs_in_mid_answer_is_back_within_five_seconds(how: signal.Signals) -> None:
    with loaded() as one:
        first, _ = one.ask(1, Question("hello"))
        pid = one.brain.pid
        assert pid is not None
        os.kill(pid, how)
        started = time.monotonic()
        one.brain.ask(2, Question("hello"))
        failed = one.wait(lambda e: isinstance(e, brain.Failed | brain.Answered) and e.turn == 2)
        assert isinstance(failed, brain.Failed)
        text, _ = one.ask(3, Question("hello"))
        assert time.monotonic() - started < 5.0 + 1.0  # the second answer takes its time as well
        assert text
        assert one.brain.pid != pid
    del first
