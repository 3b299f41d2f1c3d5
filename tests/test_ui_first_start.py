"""The page of the first start: seen once, honest about nano, and out of the way of whoever asks at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command import ROOT
from place import Place, eventually
from PySide6.QtWidgets import QApplication, QLabel
from real_window import desktop, load_nano, wait_until
from virtual_audio import VirtualAudio
from virtual_screen import VirtualScreen

from assistant.settings import SettingsFile
from models import package
from ui.settings.model import ModelPage
from ui.window.first_start import FirstStart
from ui.work.question import Question

START = {"interface.language": "en", "interface.theme": "light"}


def texts(page: FirstStart) -> str:
    return "\n".join(label.text() for label in page.findChildren(QLabel))


def test_it_is_seen_once_and_says_what_nano_cannot_do(
    qt: QApplication, screen: VirtualScreen, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = SettingsFile(tmp_path / "config" / "settings.json")
    file.change(START)
    with desktop(qt, tmp_path / "data", file.load().settings, file) as one:
        one.greet(file.load())
        page = one.window.findChild(FirstStart)
        assert page is not None
        wait_until(page.isVisible)
        wait_until(lambda: all(limit in texts(page) for limit in package.check(package.embedded()).limits))
        assert "Ctrl + Alt + Space" in texts(page)
        page.autostart.setFocus()
        page.preroll.click()
        wait_until(lambda: not one.settings.privacy.preroll)
        file.change({"hotkeys.talk": "Ctrl+Alt+J"})
        wait_until(lambda: "Ctrl + Alt + J" in texts(page))
        page.more.emit()
        wait_until(one.preferences.isActiveWindow)
        assert isinstance(one.preferences.page, ModelPage)
        one.preferences.close()
        page.start_button.setFocus()
        screen.xdotool("windowactivate", "--sync", int(one.window.winId()))
        wait_until(page.start_button.hasFocus)
        screen.xdotool("key", "space")
        wait_until(one.window.composer.text.hasFocus)
        wait_until(lambda: file.load().settings.interface.welcomed)
        file.change({"hotkeys.talk": "Ctrl+Alt+L"})  # the page is gone: nobody minds
        wait_until(lambda: one.settings.hotkeys.talk == "Ctrl+Alt+L")
        assert not file.load().settings.privacy.preroll
    with desktop(qt, tmp_path / "data", file.load().settings, file) as one:
        one.greet(file.load())
        assert one.window.findChild(FirstStart) is None
        assert one.window.composer.isVisible()
    assert "Traceback" not in capfd.readouterr().err


def test_who_asks_at_once_sees_the_answer(qt: QApplication, tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "config" / "settings.json")
    settings = file.change(START)
    with desktop(qt, tmp_path / "data", settings, file) as one:
        load_nano(one)
        one.welcome()
        assert not one.window.composer.isVisible()
        one.conductor.ask(Question("hello"))  # as a hotkey does
        wait_until(one.window.transcript.isVisible)
        assert not file.load().settings.interface.welcomed  # it was not read: it comes again


def test_the_microphone_is_not_opened_before_the_page_was_left(
    screen: VirtualScreen, audio_server: VirtualAudio, tmp_path: Path
) -> None:
    """By what the sound server says: the page tells that it will be open, and how to say no."""
    place = Place(screen, audio_server, tmp_path, package.embedded())
    file = SettingsFile(tmp_path / "config/aside/settings.json")
    file.change({"interface.welcomed": False})
    with place.running() as process:  # also the model is loaded by now, and the speaker open
        assert not audio_server.recording()
        screen.xdotool("key", "Return")
        eventually(lambda: file.load().settings.interface.welcomed)
        eventually(audio_server.recording)
        assert place.aside("quit").wait(20) == 0
        assert process.wait(20) == 0
    file.change({"interface.welcomed": False})
    with place.running():  # who asks at once is heard
        assert place.aside("listen").wait(20) == 0
        eventually(audio_server.recording)
        assert place.aside("stop").wait(20) == 0
        eventually(lambda: not audio_server.recording())


def test_a_damaged_file_is_said_until_it_is_dismissed(qt: QApplication, tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "config" / "settings.json")
    file.change(START)
    file.path.write_text('{"interface": {"theme": "pink", "language": "en", "welcomed": true}}')
    loaded = file.load()
    with desktop(qt, tmp_path / "data", loaded.settings, file) as one:
        one.greet(loaded)
        wait_until(one.window.banner.isVisible)
        assert "interface.theme" in one.window.banner.text
        assert not one.window.banner.passing


def test_the_command_opens_the_settings_of_the_running_window(screen: VirtualScreen, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    environment = screen.environment | {
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "LANG": "en_US.UTF-8",
    }
    aside = [sys.executable, "-m", "assistant"]

    def run(*words: str) -> int:
        command = [*aside, *words]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, check=False, timeout=60, capture_output=True
        )
        return done.returncode

    assert run("settings", "open") == 2  # there is none
    with subprocess.Popen([*aside, "desktop"], cwd=ROOT, env=environment) as window:
        screen.wait_for_window("^Aside$")
        assert run("settings", "open") == 0
        screen.wait_for_window("^Settings$")
        assert run("settings", "set", "interface.language", "zh") == 0
        screen.wait_for_window("^设置$")
        assert run("quit") == 0
        assert window.wait(30) == 0
