"""The camera in the window: seen live, taken into a question, sent with what is asked aloud, and closed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from real_window import LIGHT, desktop, load_nano, wait_until
from virtual_camera import stream, video
from virtual_screen import VirtualScreen

from assistant.settings import Camera as CameraSettings
from assistant.settings import Privacy, Settings
from assistant.turn import Phase
from ui.app import Desktop


def looking_at(source: object) -> Settings:
    return replace(LIGHT, camera=CameraSettings(str(source)))


def choose(one: Desktop, address: str) -> None:
    one.window.camera.chosen.emit(address)
    wait_until(lambda: one.settings.camera.source == address)


def lit(one: Desktop) -> frozenset[str]:
    return one.window.header.lamps.on & {"camera", "network"}


def test_a_picture_is_taken_with_the_keyboard_and_asked_about(
    qt: QApplication, screen: VirtualScreen, tmp_path: Path
) -> None:
    settings = looking_at(video(tmp_path / "scene.avi"))
    with desktop(qt, tmp_path / "data", settings) as one:
        load_nano(one)
        camera, composer = one.window.camera, one.window.composer
        composer.text.setFocus()
        screen.xdotool("key", "ctrl+shift+v")
        wait_until(lambda: camera.view.frame is not None)
        wait_until(lambda: lit(one) == {"camera"})
        first = camera.view.frame
        wait_until(lambda: camera.view.frame is not first)  # it is live
        wait_until(camera.view.hasFocus)
        screen.xdotool("key", "space")
        wait_until(lambda: len(composer.question().pictures) == 1)
        wait_until(composer.text.hasFocus)
        camera.several_button.click()
        wait_until(lambda: len(composer.question().pictures) == 5)
        composer.text.setPlainText("what colour is the square")
        composer.send()
        wait_until(lambda: one.conductor.state.turn == 1 and one.conductor.state.phase is Phase.IDLE)
        camera.view.setFocus()
        screen.xdotool("key", "Escape")
        wait_until(lambda: not camera.isVisible())
        wait_until(lambda: lit(one) == frozenset())
        assert one.usage.now & {"camera", "network"} == frozenset()
    with desktop(qt, tmp_path / "data", settings) as one:  # kept with its pictures
        wait_until(lambda: one.window.side.list.count() == 1)


def test_what_is_asked_aloud_gets_a_fresh_picture(qt: QApplication, tmp_path: Path) -> None:
    with desktop(qt, tmp_path) as one, stream() as source:
        choose(one, source.address)
        load_nano(one)
        one.obey("camera")
        wait_until(lambda: one.window.camera.view.frame is not None)
        wait_until(lambda: lit(one) == {"camera", "network"})
        assert len(one.conductor.companions().pictures) == 1
        one.window.camera.live.setChecked(False)
        assert one.conductor.companions().empty
        one.obey("camera")  # once more: a picture for the composer
        wait_until(lambda: one.window.composer.question().pictures)
        one.window.camera.live.setChecked(True)
        assert len(one.conductor.companions().pictures) == 2
        assert one.window.composer.question().empty
        one.window.close()
        wait_until(lambda: one.usage.now & {"camera", "network"} == frozenset())
        assert one.conductor.companions().empty


@pytest.mark.parametrize("how", ["frozen", "ended"])
def test_a_camera_that_is_lost_is_said_and_never_sent(how: str, qt: QApplication, tmp_path: Path) -> None:
    with desktop(qt, tmp_path) as one, stream() as source:
        choose(one, source.address)
        camera = one.window.camera
        one.obey("camera")
        wait_until(lambda: camera.view.frame is not None)
        getattr(source, how).set()
        wait_until(lambda: "stopped giving pictures" in camera.view.said, 5)
        assert camera.view.frame is None
        assert one.conductor.companions().empty
        assert camera.again_button.isVisible()
        wait_until(lambda: one.usage.now & {"camera", "network"} == frozenset())
        getattr(source, how).clear()
        camera.again_button.click()
        wait_until(lambda: camera.view.frame is not None)


def test_what_can_not_be_opened_or_is_forbidden_is_said(qt: QApplication, tmp_path: Path) -> None:
    with desktop(qt, tmp_path, looking_at(tmp_path / "none.mp4")) as one:
        one.obey("camera")
        wait_until(lambda: "no video file" in one.window.camera.view.said)
        assert "camera" not in one.usage.now
        path = video(tmp_path / "scene.avi")
        one.window.camera.chosen.emit(str(path))
        wait_until(lambda: one.window.camera.view.frame is not None)
        assert one.settings.camera.source == str(path)
        one.choices.change({"privacy.camera": False})
        wait_until(lambda: not one.window.camera.isVisible())
        wait_until(lambda: "camera" not in one.usage.now)
    with desktop(qt, tmp_path, replace(LIGHT, privacy=Privacy(camera=False))) as one:
        one.obey("camera")
        assert "switched off" in one.window.banner.text
        assert not one.window.camera.isVisible()


@pytest.mark.parametrize("how", ["minimised", "forbidden", "closed"])
def test_who_does_not_see_it_is_not_seen(
    how: str, qt: QApplication, screen: VirtualScreen, tmp_path: Path
) -> None:
    with desktop(qt, tmp_path / "data", looking_at(video(tmp_path / "scene.avi"))) as one:
        one.obey("camera")
        wait_until(lambda: lit(one) == {"camera"})
        if how == "minimised":
            screen.xdotool("windowminimize", str(int(one.window.winId())))
        elif how == "forbidden":
            one.choices.change({"privacy.camera": False})
        else:
            one.window.close()
        wait_until(lambda: not one.window.camera.open)
        wait_until(lambda: lit(one) == frozenset())
        assert one.usage.now & {"camera"} == frozenset()
        assert not one.conductor.companions().pictures


def test_closed_while_it_opens_it_leaves_nothing_open(qt: QApplication, tmp_path: Path) -> None:
    with desktop(qt, tmp_path) as one, stream() as source:
        choose(one, source.address)
        for _ in range(3):
            one.obey("camera")
            one.window.camera.end()
        wait_until(lambda: one.usage.now & {"camera", "network"} == frozenset())
        one.obey("camera")
