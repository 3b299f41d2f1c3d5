"""The whole way as a person goes it, with nothing in place of anything.

Another window has the focus and shows a picture. The hotkey freezes the screen, the mouse drags a region of
it, the talk key is held while a question is spoken. The transcript, the answer and what the speaker
played are those of that picture.
"""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_ui_voice import Running, eventually, running
from virtual_audio import VirtualAudio, espeak
from virtual_screen import VirtualScreen, virtual_screen

from assistant.history.records import Turn
from assistant.history.store import History
from assistant.media.sound import RATE, load

PICTURE = Path(__file__).parent.parent / "assistant/cli/demo_files/shapes.png"  # a blue circle, 448 x 448
PLACE = (700, 250)
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


@contextmanager
def shown(screen: VirtualScreen, picture: Path) -> Iterator[str]:
    """Another program's window with the picture; its number."""
    command = [sys.executable, "-c", _SHOW, str(picture), *map(str, PLACE)]
    viewer = subprocess.Popen(command, env=screen.environment)
    try:
        yield screen.wait_for_window("^a picture$")
    finally:
        viewer.kill()
        viewer.wait()


def last(one: Running, role: str) -> Turn | None:
    """The last turn of that kind that is complete."""
    turns = [t for t in one.turns() if t.role == role and t.state == "complete"]
    return turns[-1] if turns else None


def test_a_region_of_the_screen_is_asked_about_aloud_and_the_answer_is_heard(
    screen: VirtualScreen, audio_server: VirtualAudio, tmp_path: Path
) -> None:
    espeak("What colour is the circle?", tmp_path / "question.wav")
    with (
        running(screen, audio_server, tmp_path) as one,
        audio_server.recorded_speaker() as heard,
        shown(screen, PICTURE) as viewer,
    ):
        one.tell("show")  # answers when the window does
        screen.xdotool("windowactivate", "--sync", viewer)
        screen.xdotool("windowraise", viewer)
        time.sleep(1.0)  # both have drawn themselves; nothing outside tells when
        screen.xdotool("key", "ctrl+alt+s")
        screen.wait_for_window("^Ask about the screen$")
        left, top = PLACE
        screen.xdotool("mousemove", left + 2, top + 2, "mousedown", 1)
        screen.xdotool("mousemove", left + 200, top + 200, "mousemove", left + 446, top + 446, "mouseup", 1)
        screen.xdotool("keydown", "ctrl", "keydown", "alt", "keydown", "space")
        screen.wait_for_window("Aside is listening")
        with audio_server.spoken_into_microphone(tmp_path / "question.wav"):
            pass
        screen.xdotool("keyup", "space", "keyup", "alt", "keyup", "ctrl")
        answer = eventually(lambda: last(one, "assistant"))
        asked = eventually(lambda: (t := last(one, "user")) and t.transcript and t)
        time.sleep(4.0)  # it is spoken

        assert {"colour", "circle"} & set(asked.transcript.split())  # nano may mishear a word
        assert sorted(m.media_type for m in asked.media) == ["audio/wav", "image/png"]
        with History(one.data / "aside/history") as history:
            data = history.media.read(next(m for m in asked.media if m.media_type == "image/png"))
        region = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
        wanted = np.asarray(Image.open(PICTURE).convert("RGB")).astype(int)[2:-2, 2:-2]
        assert abs(region.shape[0] - wanted.shape[0]) <= 2
        rows, columns = (min(a, b) for a, b in zip(region.shape[:2], wanted.shape[:2], strict=True))
        assert np.abs(region[:rows, :columns] - wanted[:rows, :columns]).mean() < 5
        assert "blue" in answer.text

    loud = np.abs(load(heard).samples) > 0.02
    assert loud.sum() / RATE > 0.1  # the answer was heard
