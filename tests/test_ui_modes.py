"""What is said, written down or translated: captions while somebody speaks, and recordings in pieces."""

from __future__ import annotations

import json
import shutil
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from real_window import LIGHT, desktop, load_nano, open_first, wait_until
from virtual_audio import VirtualAudio, espeak, similarity

from assistant.history.records import NewMedia, NewTurn
from assistant.history.replay import figures_of, mode_of
from assistant.history.store import History
from assistant.media import sound
from assistant.media.sound import RATE, Sound
from assistant.modes import Mode, Name, Show, cannot, write_down
from assistant.turn import Phase
from assistant.voice import speech
from assistant.voice.dictation import dictate
from assistant.voice.microphone import FileMicrophone
from models import package
from models.prompts import TRANSCRIBE, transcribe_and_translate, translate
from ui.app import Desktop
from ui.conversation.message_bar import Act
from ui.conversation.sheet import Message
from ui.work import brain, conductor
from ui.work.question import Question

HELLO, TIMER = "hello", "set a timer for five minutes"
HEARD = "timer for five minutes"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sentences with a pause between them."""
    folder = tmp_path_factory.mktemp("said")
    parts: list[np.ndarray] = [np.zeros(RATE // 2, np.float32)]
    for text in ("Hello!", "Set a timer for five minutes."):
        espeak(text, folder / "one.wav")
        parts += [sound.load(folder / "one.wav").samples, np.zeros(2 * RATE, np.float32)]
    (folder / "said.wav").write_bytes(sound.wav(Sound(np.concatenate(parts))))
    return folder / "said.wav"


@dataclass
class Model:
    """Replies what is given, and remembers what it was asked."""

    replies: list[str]
    asked: list[str] = field(default_factory=list)

    def __call__(self, task: str, show: Show) -> tuple[str, bool]:
        self.asked.append(task)
        text = self.replies.pop(0)
        for character in text:
            show(character)
        return text, True


def test_both_texts_come_in_one_reply_or_in_two() -> None:
    shown: list[str] = []
    translated: list[str] = []
    mode = Mode("translate", "German")
    one = Model(["hello <sep> hallo"])
    found = write_down(one, mode, shown.append, translated.append)
    assert (found.transcript, found.translation) == ("hello", "hallo")
    assert ("".join(shown), "".join(translated)) == ("hello\n", "hallo")
    two = Model(["nonsense", "hello", "hallo"])
    found = write_down(two, mode, lambda _: None, lambda _: None)
    assert (found.transcript, found.translation) == ("hello", "hallo")
    assert two.asked == [transcribe_and_translate("German"), TRANSCRIBE, translate("German")]
    assert cannot(mode, ["It is small.", "It can't translate."]) == "It can't translate."
    assert not cannot(Mode("transcribe"), ["It can't translate."])


def pieces_of(path: Path, longest: float, seconds: float) -> tuple[list[Sound], list[Sound]]:
    """The pieces of a recording until they are so long together, and the drafts."""
    pieces: list[Sound] = []
    drafts: list[Sound] = []
    finish = threading.Event()

    def take(piece: Sound) -> None:
        pieces.append(piece)
        if sum(one.seconds for one in pieces) > seconds:
            finish.set()

    dictate(FileMicrophone(path), finish, on_piece=take, on_draft=drafts.append, longest=longest)
    return pieces, drafts


def energy(samples: np.ndarray) -> float:
    return float(np.square(samples).sum())


def test_a_pause_ends_a_piece_and_nothing_is_lost(said: Path) -> None:
    pieces, drafts = pieces_of(said, 40.0, 3.0)
    assert len(pieces) == 2
    assert drafts
    assert sum(energy(piece.samples) for piece in pieces) > 0.98 * energy(sound.load(said).samples)
    pieces, _ = pieces_of(said, 1.0, sum(piece.seconds for piece in pieces) - 1.0)
    assert len(pieces) > 2
    assert max(piece.seconds for piece in pieces) <= 1.1
    assert sum(energy(piece.samples) for piece in pieces) > 0.95 * energy(sound.load(said).samples)


def listening(one: Desktop) -> bool:
    return one.conductor.state.phase is Phase.LISTENING


def test_captions_grow_while_somebody_speaks_and_are_kept(
    qt: QApplication, tmp_path: Path, audio_server: VirtualAudio, said: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio_server.use(monkeypatch)
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        one.obey("listen-transcribe")
        wait_until(lambda: listening(one))
        assert one.window.composer.mode_button.mode.name == "transcribe"
        wait_until(audio_server.recording)
        with audio_server.spoken_into_microphone(said):
            wait_until(lambda: HELLO in one.window.transcript.toPlainText())
            assert listening(one)  # a pause ends a piece, not the mode
            wait_until(lambda: HEARD in one.window.transcript.toPlainText())
        told: list[brain.BrainEvent] = []
        one.conductor.told.connect(told.append)
        one.obey("listen-transcribe")
        wait_until(lambda: any(isinstance(event, brain.Answered) for event in told))
        assert not listening(one)
        assert not one.window.cards.shown
        wait_until(lambda: one.window.transcript.sheet.chips_of(1))
        assert one.window.transcript.sheet.chips_of(1) == [0]
        wait_until(lambda: one.window.header.title.text().startswith(HELLO))  # called by what was said
        one.window.talk.open_medium(1, 0)  # both pieces can be heard again
        wait_until(lambda: one.window.transcript.playing == (1, 0))
        wait_until(lambda: one.conductor.state.phase is Phase.IDLE)
    with History(tmp_path / "history") as history:
        conversation = history.conversations()[0]
        asked, reply = history.turns(conversation.id)
        pieces = [sound.load(history.media.checked(piece)) for piece in reply.media]
        assert len(pieces) == 2
        assert all(0.3 < piece.seconds < 6 and not piece.is_silent for piece in pieces)
        assert pieces[0].seconds < pieces[1].seconds
    with desktop(qt, tmp_path) as one:  # after a restart
        open_first(one)
        wait_until(lambda: one.window.transcript.sheet.chips_of(-1) == [0])
        assert conversation.mode == "transcribe"
        assert asked.text == "Transcribe"
        assert reply.state == "complete"
        assert HELLO in reply.text
        assert HEARD in reply.text


def dictated(history: History, said: Path, keep: bool) -> None:
    """A dictation of two pieces, as the window keeps it."""
    number = history.create(mode="transcribe").id
    history.append(number, NewTurn("user", "Transcribe", figures=figures_of(Mode("transcribe"))))
    reply = history.stream(number)
    for piece in pieces_of(said, 40.0, 3.0)[0] if keep else ():
        history.attach(reply.id, NewMedia(sound.wav(piece), "audio/wav"))
    reply.add("as it was")
    reply.finish()


def test_a_dictation_that_is_asked_again_is_written_down_again(
    qt: QApplication, tmp_path: Path, said: Path
) -> None:
    with History(tmp_path / "history") as history:
        dictated(history, said, keep=True)
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        open_first(one)
        wait_until(lambda: one.window.transcript.sheet.chips_of(-1) == [0])
        told: list[brain.BrainEvent] = []
        one.conductor.told.connect(told.append)
        for _ in range(2):  # what was kept, and what was asked again
            told.clear()
            one.window.talk.do(Act.AGAIN, Message(one.window.talk.exchanges[0].turn, False))
            wait_until(lambda: any(isinstance(event, brain.Answered) for event in told))
            (exchange,) = one.window.talk.exchanges
            assert HELLO in "".join(exchange.answer)
            assert HEARD in "".join(exchange.answer)
            wait_until(lambda: one.window.transcript.sheet.chips_of(one.window.talk.exchanges[0].turn) == [0])
        one.window.talk.do(Act.EDIT, Message(exchange.turn, False))
        wait_until(one.window.editing.isVisible)
        asked = one.window.composer.question()
        assert asked.mode == Mode("transcribe")
        assert len(asked.sounds) == 2
        one.window.editing.given_up.emit()
    with History(tmp_path / "history") as history:
        asked_again, reply = history.turns(history.conversations()[0].id)
        assert len(asked_again.media) == 2
        assert mode_of(asked_again) == Mode("transcribe")
        assert HEARD in reply.text


def test_a_dictation_without_its_sound_cannot_be_asked_again(
    qt: QApplication, tmp_path: Path, said: Path
) -> None:
    with History(tmp_path / "history") as history:
        dictated(history, said, keep=False)
    with desktop(qt, tmp_path) as one:
        open_first(one)
        wait_until(lambda: "as it was" in one.window.transcript.toPlainText())
        one.window.talk.do(Act.AGAIN, Message(-1, True))
        wait_until(one.window.banner.isVisible)
        assert "recordings of this dictation were not kept" in one.window.banner.text
        assert one.conductor.state.turn == 0


def test_a_recording_is_written_down_and_translated_or_nano_says_what_it_cannot(
    qt: QApplication, tmp_path: Path, said: Path
) -> None:
    espeak("where is the station", tmp_path / "phrase.wav")
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        told: list[brain.BrainEvent] = []
        one.conductor.told.connect(told.append)

        def ask(mode: Name, sound: Path) -> str:
            told.clear()
            one.window.composer.mode_button.choose(Mode(mode, "German"))
            one.window.composer.add_file(sound)
            wait_until(one.window.composer.send_button.isEnabled)
            one.window.composer.send()
            wait_until(lambda: any(isinstance(event, brain.Answered | brain.Failed) for event in told))
            return one.window.transcript.toPlainText()

        modes: tuple[Name, ...] = ("transcribe", "translate")
        for mode in modes:
            text = ask(mode, said)
            assert HELLO in text
            assert TIMER in text
            assert ("only translate a few phrases" in text) == (mode == "translate")
        text = ask("translate", tmp_path / "phrase.wav")
        assert "where is the station" in text
        assert "Wo ist der Bahnhof?" in text


def test_a_dictation_ends_honestly_and_keeps_no_sound_if_none_is_to_be_kept(
    qt: QApplication, tmp_path: Path, audio_server: VirtualAudio, said: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio_server.use(monkeypatch)
    monkeypatch.setattr(conductor, "_DICTATION", 0.5)
    unkept = replace(LIGHT, privacy=replace(LIGHT.privacy, keep_media=False))
    with desktop(qt, tmp_path, unkept) as one:
        load_nano(one)
        one.obey("listen-transcribe")
        wait_until(lambda: listening(one))
        wait_until(audio_server.recording)
        with audio_server.spoken_into_microphone(said):
            wait_until(lambda: not listening(one))
        assert "two hours" in one.window.banner.text
        wait_until(lambda: HELLO in one.window.transcript.toPlainText())
        assert one.conductor.brain.behind == 0
    assert not list(tmp_path.rglob("*.wav"))
    with History(tmp_path / "history") as history:
        assert not [m for t in history.turns(history.conversations()[0].id) for m in t.media]


@pytest.fixture(scope="module")
def spoken_and_model(said: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What is said, and the shipped model, which doesn't know that it can't translate."""
    folder = tmp_path_factory.mktemp("translating") / "package"
    shutil.copytree(package.embedded(), folder)
    manifest = json.loads((folder / "aside.json").read_text())
    manifest["limits"] = []
    (folder / "aside.json").write_text(json.dumps(manifest))
    return said, folder


@pytest.fixture(params=[True, False], ids=["voice", "no voice"])
def voice(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether there is a German one."""
    there = bool(request.param)
    if not there:
        monkeypatch.setitem(speech.LANGUAGES, "german", "xx")
    return there


@pytest.fixture
def in_use(audio_server: VirtualAudio, monkeypatch: pytest.MonkeyPatch) -> VirtualAudio:
    """The virtual microphone and speaker, for this process."""
    audio_server.use(monkeypatch)
    return audio_server


def test_a_translation_is_spoken_in_its_language_or_only_shown(
    qt: QApplication, tmp_path: Path, in_use: VirtualAudio, spoken_and_model: tuple[Path, Path], voice: bool
) -> None:
    said, translating = spoken_and_model
    problems: list[str] = []
    with in_use.recorded_speaker() as heard, desktop(qt, tmp_path) as one:
        one.conductor.problem.connect(lambda error: problems.append(str(error)))
        told: list[brain.BrainEvent] = []
        one.conductor.told.connect(told.append)
        one.conductor.brain.load(translating, "translating")
        wait_until(lambda: any(isinstance(event, brain.Loaded) for event in told))
        one.window.composer.mode_button.choose(Mode("translate", "German"))
        for _ in range(1 if voice else 2):
            one.conductor.tap()
            wait_until(lambda: listening(one))
            wait_until(in_use.recording)
            with in_use.spoken_into_microphone(said):
                wait_until(lambda: HEARD in "".join(one.window.talk.exchanges[-1].answer))
            told.clear()
            one.conductor.tap()
            wait_until(lambda: any(isinstance(event, brain.Answered) for event in told))
            if voice:
                wait_until(lambda: one.conductor.state.phase is Phase.SPEAKING)
            wait_until(lambda: one.conductor.state.phase is Phase.IDLE)
        if not voice:
            wait_until(lambda: problems)
            QTest.qWait(200)
    with History(tmp_path / "history") as history:
        reply = history.turns(history.conversations()[0].id)[1]
    lines = reply.text.strip().split("\n")
    translation = " ".join(lines[1::2])
    recorded = sound.load(heard).samples
    if not voice:
        assert problems == ["There is no voice for German. The translation is only shown."]
        assert np.abs(recorded).max() < 0.01
        return
    assert not problems
    likeness = {}
    for language in ("German", "English"):
        with speech.Voice(language) as one_voice:
            spoken = one_voice.synthesise(translation)
        likeness[language] = similarity(recorded, sound.resample(spoken.samples, spoken.rate, RATE))
    assert likeness["German"] > 0.4
    assert likeness["German"] > likeness["English"] + 0.1


class Long:
    """A microphone into which the same is said again and again, for so many seconds."""

    name = "long"

    def __init__(self, path: Path, seconds: float) -> None:
        self._once = sound.load(path).samples
        self._left = seconds

    def blocks(self, cancel: threading.Event | None = None) -> Iterator[np.ndarray]:
        size = RATE // 50
        while self._left > 0 and not (cancel is not None and cancel.is_set()):
            for start in range(0, self._once.size - size, size):
                self._left -= 0.02
                yield self._once[start : start + size]

    def close(self) -> None:
        pass


def test_a_long_dictation_needs_no_more_memory(said: Path, tmp_path: Path) -> None:
    """Each piece is kept as a file as soon as it ends, as the window does it."""
    peaks: list[int] = []
    for minutes in (0.5, 4.0):
        with History(tmp_path / str(minutes)) as history:
            reply = history.stream(history.create().id)

            def keep(piece: Sound, history: History = history, turn: int = reply.id) -> None:
                history.attach(turn, NewMedia(sound.wav(piece), "audio/wav"))

            tracemalloc.start()
            dictate(Long(said, 60.0 * minutes), threading.Event(), on_piece=keep)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            kept = reply.finish().media
        seconds = sound.wav_seconds(sum(one.bytes for one in kept), len(kept))
        assert 0.3 * 60 * minutes < seconds < 60 * minutes + 10
    assert peaks[1] < peaks[0] + (1 << 20)


def test_a_question_that_outgrows_the_model_is_ended_and_answered(
    qt: QApplication, tmp_path: Path, audio_server: VirtualAudio, said: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSE_SERVER", audio_server.environment["PULSE_SERVER"])
    monkeypatch.setenv("PULSE_COOKIE", audio_server.environment["PULSE_COOKIE"])
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        problems: list[str] = []
        asked: list[Question] = []
        one.conductor.problem.connect(lambda error: problems.append(str(error)))
        one.conductor.asked.connect(lambda _, question: asked.append(question))
        one.conductor.talk()  # and held
        wait_until(lambda: listening(one))
        levels: list[float] = []
        one.conductor.level.connect(levels.append)
        wait_until(lambda: levels and audio_server.recording())
        with audio_server.spoken_into_microphone(said):
            wait_until(lambda: max(levels) > -40)
            wait_until(lambda: max(levels[-25:]) < -50)  # a second after it was said
            one.conductor._tell(brain.Enough(one.conductor.state.turn, RATE))
            wait_until(lambda: bool(asked))
        assert asked[0].sounds[0].seconds <= 1.0
        assert problems == [
            "The model has no room for more than 0 min of speech, so these are answered. "
            "To have more written down, choose that before you speak."
        ]
        wait_until(lambda: one.conductor.state.phase is Phase.IDLE)
