"""Asking about the screen: a known picture on it, a region dragged with the real mouse."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import QApplication, QLabel
from real_window import desktop, load_nano, wait_until
from virtual_screen import VirtualScreen, split, virtual_screen

from assistant.settings import Interface, Privacy, Settings
from assistant.turn import Phase
from ui.app import Desktop


def pixels(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def frozen(one: Desktop) -> bool:
    return one.screens.frozen and all(c.isActiveWindow() or c.isVisible() for c in one.screens._covers)


@pytest.fixture
def known(qt: QApplication, tmp_path: Path) -> QLabel:
    """A red square with a blue one in it, at a known place, above all windows."""
    picture = Image.new("RGB", (200, 200), (255, 0, 0))
    picture.paste((0, 0, 255), (50, 50, 150, 150))
    picture.save(tmp_path / "known.png")
    label = QLabel()
    label.setWindowFlags(label.windowFlags() | label.windowFlags().BypassWindowManagerHint)
    label.setPixmap(QPixmap.fromImage(QImage(str(tmp_path / "known.png"))))
    label.setGeometry(100, 300, 200, 200)
    return label


def test_a_dragged_region_is_what_the_screen_shows(
    qt: QApplication, screen: VirtualScreen, tmp_path: Path, known: QLabel
) -> None:
    with desktop(qt, tmp_path / "data") as one:
        load_nano(one)
        known.show()
        known.raise_()
        wait_until(lambda: one.window.screen().grabWindow(0).toImage().pixelColor(110, 310).red() == 255)
        one.obey("screenshot")
        wait_until(lambda: frozen(one))
        known.close()  # what is asked about is what was there when the key was pressed
        screen.xdotool("mousemove", 140, 340, "mousedown", 1)
        screen.xdotool("mousemove", 200, 400, "mousemove", 260, 460, "mouseup", 1)
        wait_until(lambda: one.window.composer.question().pictures)
        region = pixels(one.window.composer.question().pictures[0])
        assert abs(region.shape[0] - 120) <= 1
        assert abs(region.shape[1] - 120) <= 1
        assert (region[60, 60] == (0, 0, 255)).all()
        assert (region[3, 3] == (255, 0, 0)).all()
        one.window.composer.text.setPlainText("what colour is the square")
        one.window.composer.send()
        wait_until(lambda: one.conductor.state.turn == 1 and one.conductor.state.phase is Phase.IDLE)
        assert one.window.transcript.toPlainText().count("\n") >= 2
    known.deleteLater()


def test_escape_gives_up_and_enter_takes_all(qt: QApplication, screen: VirtualScreen, tmp_path: Path) -> None:
    with desktop(qt, tmp_path) as one:
        one.obey("screenshot")
        wait_until(lambda: frozen(one))
        wait_until(lambda: one.window.header.lamps.on == {"screen"})
        screen.xdotool("key", "Escape")
        wait_until(lambda: not one.screens.frozen)
        wait_until(lambda: one.window.header.lamps.on == frozenset())
        assert one.window.composer.question().empty
        one.obey("screenshot")
        one.obey("screenshot")  # a second time changes nothing
        wait_until(lambda: frozen(one))
        screen.xdotool("key", "Return")
        wait_until(lambda: one.window.composer.question().pictures)
        assert pixels(one.window.composer.question().pictures[0]).shape == (800, 1280, 3)


def test_what_the_settings_forbid_is_not_done(qt: QApplication, tmp_path: Path) -> None:
    settings = Settings(interface=Interface(language="en"), privacy=Privacy(screen=False))
    with desktop(qt, tmp_path, settings) as one:
        one.obey("screenshot")
        assert not one.screens.frozen
        assert "switched off" in one.window.banner.text


def test_a_click_takes_the_window_under_the_pointer(
    qt: QApplication, screen: VirtualScreen, tmp_path: Path
) -> None:
    with desktop(qt, tmp_path) as one:
        upper = QLabel()
        upper.setStyleSheet("background: #00ff00;")
        upper.setWindowTitle("upper")
        upper.setGeometry(300, 250, 240, 160)
        upper.show()
        wait_until(upper.isActiveWindow)
        wait_until(lambda: one.window.screen().grabWindow(0).toImage().pixelColor(400, 320).green() == 255)
        one.obey("screenshot")
        wait_until(lambda: frozen(one))
        frame = upper.frameGeometry()
        screen.xdotool("mousemove", 400, 320, "mousemove", 401, 321)
        cover = one.screens._covers[0]
        wait_until(lambda: cover._under == frame)
        screen.xdotool("click", 1)
        wait_until(lambda: one.window.composer.question().pictures)
        taken = pixels(one.window.composer.question().pictures[0])
        assert taken.shape == (frame.height(), frame.width(), 3)
        assert (taken[frame.height() // 2, frame.width() // 2] == (0, 255, 0)).all()
        assert "Ask about it" in one.window.composer.text.placeholderText()
        wait_until(one.window.composer.text.hasFocus)
        one.obey("screenshot")  # and with the keyboard
        wait_until(lambda: frozen(one))
        one.screens._covers[0].activateWindow()
        screen.xdotool("key", "Tab", "Return")
        wait_until(lambda: len(one.window.composer.question().pictures) == 2)
        upper.close()
        upper.deleteLater()


@pytest.mark.parametrize(("scale", "two"), [("2", False), ("1", True), ("1.5", True)])
def test_several_screens_and_scale_factors(scale: str, two: bool, tmp_path: Path) -> None:
    with virtual_screen() as screen:
        if two:
            split(screen)
        child = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "screen_child.py"), str(tmp_path / "taken.png")],
            env=screen.environment
            | {"QT_SCALE_FACTOR": scale, "PYTHONPATH": str(Path(__file__).parent.parent)},
            stdout=subprocess.PIPE,
            text=True,
        )
        with child:
            assert child.stdout is not None
            told = json.loads(child.stdout.readline())
            assert told["screens"] == 1 + two
            x, y = told["at"]
            screen.xdotool("mousemove", x - 1, y, "mousemove", x, y, "click", 1)
            assert child.wait(30) == 0
        taken = pixels((tmp_path / "taken.png").read_bytes())
        frame = 4.5  # its edges are rounded to logical pixels, one by one
        assert abs(taken.shape[1] - told["size"][0]) <= frame
        assert abs(taken.shape[0] - told["size"][1]) <= frame
        assert (taken[taken.shape[0] // 2, taken.shape[1] // 2] == (255, 0, 0)).all()
