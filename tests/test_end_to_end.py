"""The whole way as a person goes it, with nothing in place of anything.

Another window has the focus and shows a picture. The hotkey freezes the screen, the mouse drags a region of
it, the talk key is held while a question is spoken. The transcript, the answer and what the speaker
played are those of that picture.
"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageGrab
from place import Place, eventually
from virtual_audio import VirtualAudio, espeak, share_heard
from virtual_screen import VirtualScreen, virtual_screen

from assistant.bench.rig import Ear
from assistant.history.records import Turn
from assistant.history.store import History
from assistant.media.sound import RATE, load, resample
from assistant.voice.speech import Voice
from models import package

PICTURE = Path(__file__).parent.parent / "assistant/cli/demo_files/shapes.png"  # a blue circle, 448 x 448
QUESTION = "What colour is the circle?"
LEFT, TOP = 700, 250
_SHOW = """
import sys
from PySide6.QtCore import Qt
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QApplication, QLabel
app = QApplication([])
label = QLabel()
label.setWindowTitle("a picture")
label.setWindowFlags(Qt.WindowType.FramelessWindowHint)
label.setPixmap(QPixmap(sys.argv[1]))
label.move(int(sys.argv[2]), int(sys.argv[3]))
label.show()
app.exec()
"""


@pytest.fixture(scope="module")
def screen() -> Iterator[VirtualScreen]:
    with virtual_screen("1280x800") as one:
        yield one


def pixels(picture: Image.Image) -> NDArray[np.int64]:
    return np.asarray(picture.convert("RGB")).astype(np.int64)


@contextmanager
def shown(screen: VirtualScreen, picture: Path) -> Iterator[None]:
    """Another program's window with the picture, in front of all others."""
    command = [sys.executable, "-c", _SHOW, str(picture), str(LEFT), str(TOP)]
    viewer = subprocess.Popen(command, env=screen.environment)
    wanted = pixels(Image.open(picture))
    box = (LEFT, TOP, LEFT + wanted.shape[1], TOP + wanted.shape[0])

    def in_front() -> bool:
        seen = pixels(ImageGrab.grab(box, xdisplay=screen.display))
        return bool(np.abs(seen - wanted).mean() < 1)

    try:
        number = screen.wait_for_window("^a picture$")
        screen.xdotool("windowactivate", "--sync", number, "windowraise", number)
        eventually(in_front)
        yield
    finally:
        viewer.kill()
        viewer.wait()


def last(place: Place, role: str) -> Turn | None:
    """The last turn of that kind that is complete."""
    turns = [t for t in place.turns() if t.role == role and t.state == "complete"]
    return turns[-1] if turns else None


def test_a_region_of_the_screen_is_asked_about_aloud_and_the_answer_is_heard(
    screen: VirtualScreen, audio_server: VirtualAudio, tmp_path: Path
) -> None:
    espeak(QUESTION, tmp_path / "question.wav")
    place = Place(screen, audio_server, tmp_path, package.embedded())
    with place.used(), shown(screen, PICTURE):
        screen.xdotool("key", "ctrl+alt+s")
        screen.wait_for_window("^Ask about the screen$")
        screen.xdotool("mousemove", LEFT + 2, TOP + 2, "mousedown", 1)
        screen.xdotool("mousemove", LEFT + 200, TOP + 200, "mousemove", LEFT + 446, TOP + 446, "mouseup", 1)
        with (
            Ear("mic", audio_server.environment) as said,
            Ear("spk.monitor", audio_server.environment) as loud,
            audio_server.recorded_speaker() as heard,
        ):
            screen.xdotool("keydown", "ctrl", "keydown", "alt", "keydown", "space")
            screen.wait_for_window("Aside is listening")
            with audio_server.spoken_into_microphone(tmp_path / "question.wav"):
                pass
            assert said.wait_for_silence(0.3, 10.0), "the question was not heard at the microphone"
            screen.xdotool("keyup", "space", "keyup", "alt", "keyup", "ctrl")
            eventually(lambda: place.told("phase", phase="speaking"))
            eventually(lambda: place.told("phase")[-1]["phase"] == "idle")
            assert loud.wait_for_silence(0.5, 20.0), "nothing was heard"
        answer = eventually(lambda: last(place, "assistant"))
        asked = eventually(lambda: (t := last(place, "user")) and t.transcript and t)

        assert {"colour", "circle"} <= set(asked.transcript.split())
        assert sorted(m.media_type for m in asked.media) == ["audio/wav", "image/png"]
        with History(place.folder / "data/aside/history") as history:
            data = history.media.read(next(m for m in asked.media if m.media_type == "image/png"))
        region, wanted = pixels(Image.open(io.BytesIO(data))), pixels(Image.open(PICTURE))[2:-2, 2:-2]
        assert abs(region.shape[0] - wanted.shape[0]) <= 2
        rows, columns = (min(a, b) for a, b in zip(region.shape[:2], wanted.shape[:2], strict=True))
        assert np.abs(region[:rows, :columns] - wanted[:rows, :columns]).mean() < 5
        assert "blue" in answer.text
        assert answer.heard is None, "it was heard to its end"

    with Voice() as voice:
        right, wrong = (voice.synthesise(text) for text in (answer.text, "A red triangle, I think."))
    recorded = load(heard).samples
    assert share_heard(recorded, resample(right.samples, right.rate, RATE)) > 0.7
    assert share_heard(recorded, resample(wrong.samples, wrong.rate, RATE)) < 0.3
