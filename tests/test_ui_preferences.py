"""The window of settings: what is chosen counts at once, is on the disk, and what is refused is said."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import ROOT
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QMessageBox,
    QWidget,
)
from real_window import desktop, wait_until
from virtual_audio import VirtualAudio, espeak
from virtual_camera import video
from virtual_screen import VirtualScreen

from assistant.history import schema
from assistant.history.store import History
from assistant.media import sound
from assistant.modes import Mode
from assistant.settings import SettingsFile
from assistant.tools.toolbox import Toolbox
from ui.app import Desktop
from ui.look import theme
from ui.look.form import Page, Row
from ui.outside.hotkeys import Hotkeys
from ui.settings.camera import CameraPage
from ui.settings.hotkeys import HotkeysPage
from ui.settings.look import LookPage
from ui.settings.model import ModelPage
from ui.settings.privacy import PrivacyPage
from ui.settings.sound import SoundPage
from ui.settings.tools import ToolsPage
from ui.work.question import Question

START = {"interface.language": "en", "interface.theme": "light"}


@contextmanager
def opened(qt: QApplication, folder: Path, **values: Any) -> Iterator[tuple[Desktop, SettingsFile]]:
    """The application with its settings open, and their file."""
    file = SettingsFile(folder / "config" / "settings.json")
    settings = file.change(START | {key.replace("__", "."): value for key, value in values.items()})
    with desktop(qt, folder / "data", settings, file) as one:
        one.open_preferences()
        wait_until(one.preferences.isActiveWindow)
        yield one, file


def focus(widget: QWidget) -> None:
    widget.activateWindow()
    widget.setFocus()
    wait_until(widget.hasFocus)


def kept(file: SettingsFile, key: str) -> Any:
    """What the file on the disk says."""
    group, _, name = key.partition(".")
    return json.loads(file.path.read_text()).get(group, {}).get(name)


def test_language_theme_and_letters_change_in_place(
    qt: QApplication, screen: VirtualScreen, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with opened(qt, tmp_path) as (one, file):
        one.window.composer.text.setPlainText("half a question")
        one.window.header.title.setText("Back in 5 s")  # a person's words
        one.window.header.model.setText("nano is ready")
        one.window.composer.mode_button.choose(Mode("translate", "German"))
        page = one.preferences.turn_to(LookPage)
        assert isinstance(page, LookPage)
        focus(page.theme.button("light"))
        screen.xdotool("key", "Right")  # the arrow goes to dark, as in any group of buttons
        wait_until(lambda: one.theme is theme.DARK and kept(file, "interface.theme") == "dark")
        focus(page.letters)
        before = one.window.composer.text.font().pixelSize()
        screen.xdotool("key", "Right")
        wait_until(lambda: kept(file, "interface.font_size") == 12)
        wait_until(lambda: one.window.composer.text.font().pixelSize() > before)
        page.language.button("zh").click()
        wait_until(lambda: one.window.side.search.placeholderText() == "搜索")
        wait_until(lambda: kept(file, "interface.language") == "zh")
        assert one.preferences.windowTitle() == "设置"
        assert one.window.header.title.text() == "Back in 5 s"
        assert one.window.header.model.text() == "nano 已就绪"
        assert one.tray.menu.actions()[0].text() == "打开 Aside"
        assert one.window.composer.mode_button.text() == "翻译成德语 ▾"
        assert one.window.composer.mode_button.accessibleName() == "如何处理语音：翻译成德语"
        assert one.window.side.preferences_button.text().strip() == "设置"
        assert one.window.composer.text.toPlainText() == "half a question"
        again = one.preferences.turn_to(LookPage)
        assert isinstance(again, LookPage)
        again.language.button("en").click()
        wait_until(lambda: one.window.side.search.placeholderText() == "Search")
        assert one.window.header.model.text() == "nano is ready"
        assert one.tray.menu.actions()[0].text() == "Open Aside"
        assert one.window.composer.mode_button.text() == "Translate to German ▾"
        one.preferences.list.setCurrentRow(0)  # devices are being listed when the page goes
        file.change({"interface.language": "zh"})
        wait_until(lambda: one.preferences.windowTitle() == "设置")
        page = one.preferences.pages[0]
        assert isinstance(page, SoundPage)
        wait_until(lambda: page.voice.count() > 10)
    assert "Traceback" not in capfd.readouterr().err


def test_large_letters_cut_no_name(qt: QApplication, tmp_path: Path) -> None:
    with opened(qt, tmp_path, interface__font_size=24) as (one, _):
        for place, page in enumerate(one.preferences.pages):
            one.preferences.list.setCurrentRow(place)
            wait_until(page.isVisible)
            qt.processEvents()
            for row in page.findChildren(Row):
                words = map(row.name.fontMetrics().horizontalAdvance, row.name.text().split())
                assert row.name.width() >= max(words, default=0), (page.title, row.name.text())


def test_what_the_command_line_changes_arrives(qt: QApplication, tmp_path: Path) -> None:
    with opened(qt, tmp_path) as (one, file):
        page = one.preferences.turn_to(LookPage)
        assert isinstance(page, LookPage)
        SettingsFile(file.path).change({"interface.theme": "dark"})
        wait_until(lambda: one.theme is theme.DARK)
        wait_until(page.theme.button("dark").isChecked)
        file.path.write_text("no settings")
        wait_until(lambda: "damaged" in one.window.banner.text)
        assert not file.path.exists()


def test_a_refused_change_is_said_and_the_old_value_stays(
    qt: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "autostart").write_text("in the way")
    with opened(qt, tmp_path) as (one, file):
        page = one.preferences.turn_to(LookPage)
        assert isinstance(page, LookPage)
        page.autostart.click()
        wait_until(lambda: page.rows["interface.autostart"].problem)
        assert not page.autostart.isChecked()
        assert kept(file, "interface.autostart") is False
        (tmp_path / "autostart").unlink()
        page.autostart.click()
        wait_until((tmp_path / "autostart/aside.desktop").is_file)
        wait_until(lambda: one.settings.interface.autostart)
        assert not page.rows["interface.autostart"].problem


def test_every_control_has_a_name_and_the_keyboard_opens_and_closes(
    qt: QApplication, screen: VirtualScreen, tmp_path: Path
) -> None:
    with opened(qt, tmp_path) as (one, _):
        screen.xdotool("key", "Escape")
        wait_until(lambda: not one.preferences.isVisible())
        wait_until(one.window.isActiveWindow)
        screen.xdotool("key", "ctrl+comma")
        wait_until(one.preferences.isActiveWindow)
        for place, page in enumerate(one.preferences.pages):
            assert isinstance(page, Page)
            one.preferences.list.setCurrentRow(place)
            for control in page.findChildren(QWidget):
                if isinstance(control, QAbstractButton) and not control.objectName().startswith("qt_"):
                    assert control.accessibleName() or control.text(), control
                if isinstance(control, QLineEdit):
                    assert control.accessibleName(), control


def _moved(qt: QApplication, before: QWidget | None) -> bool:
    return qt.focusWidget() is not before


def test_tab_and_the_arrows_reach_every_control(
    qt: QApplication, screen: VirtualScreen, tmp_path: Path
) -> None:
    """From the list of pages, through each page and back; letters of any size have room."""
    with opened(qt, tmp_path) as (one, file):
        file.change({"interface.font_size": 24})
        wait_until(lambda: one.settings.interface.font_size == 24)
        pages = one.preferences
        for place, page in enumerate(pages.pages):
            pages.list.setCurrentRow(place)
            pages.list.setFocus()
            wait_until(pages.list.hasFocus)
            wanted = {
                w
                for w in page.findChildren(QWidget)
                if w.isVisible()
                and w.isEnabled()
                and isinstance(w, QAbstractButton | QLineEdit | QComboBox)
                and w.focusPolicy() & Qt.FocusPolicy.TabFocus
            }
            met: set[QWidget] = set()
            for _ in range(6 * len(wanted) + 20):
                before = qt.focusWidget()
                screen.xdotool("key", "Tab")
                wait_until(partial(_moved, qt, before))
                focus = qt.focusWidget()
                assert focus is not None
                met.add(focus)
                groups = {b.group() for b in met if isinstance(b, QAbstractButton) and b.group() is not None}
                missed = {
                    w for w in wanted - met if not (isinstance(w, QAbstractButton) and w.group() in groups)
                }
                if focus is pages.list and not missed:  # else once more: lists of devices come a little later
                    break
            assert not missed
        assert pages.list.sizeHintForColumn(0) <= pages.list.viewport().width()


def test_a_hotkey_is_taken_by_pressing_it(qt: QApplication, screen: VirtualScreen, tmp_path: Path) -> None:
    with opened(qt, tmp_path) as (one, file):
        one.grab_keys()
        page = one.preferences.turn_to(HotkeysPage)
        assert isinstance(page, HotkeysPage)
        talk, camera = page.fields["talk"], page.fields["camera"]
        focus(talk)
        screen.xdotool("key", "space")
        wait_until(lambda: one.keys.grabbed is None)  # ours are given back meanwhile
        screen.xdotool("key", "ctrl+alt+k")
        wait_until(lambda: kept(file, "hotkeys.talk") == "Ctrl+Alt+K")
        wait_until(lambda: one.keys.grabbed is not None and not one.keys.grabbed.taken)
        wait_until(lambda: talk.text() == "Ctrl + Alt + K")

        focus(camera)
        screen.xdotool("key", "space")
        wait_until(lambda: "Press" in camera.text())
        screen.xdotool("key", "ctrl+alt+k")
        wait_until(lambda: "hotkeys.talk" in page.rows["hotkeys.camera"].problem)
        assert camera.text() == "None"
        screen.xdotool("key", "space")
        wait_until(lambda: "Press" in camera.text())
        screen.xdotool("key", "a")
        wait_until(lambda: "nobody could type" in page.rows["hotkeys.camera"].problem)
        screen.xdotool("key", "space")
        wait_until(lambda: "Press" in camera.text())
        screen.xdotool("key", "Escape")
        wait_until(lambda: camera.text() == "None")
        assert one.preferences.isVisible()

        with contextlib.closing(Hotkeys({"": "Super+F7"}, lambda _: None)):  # another program's
            screen.xdotool("key", "space")
            wait_until(lambda: "Press" in camera.text())
            screen.xdotool("key", "super+F7")
            wait_until(lambda: "Super+F7" in page.rows["hotkeys.camera"].problem)
        assert not kept(file, "hotkeys.camera")

        focus(talk)
        screen.xdotool("key", "space")
        wait_until(lambda: "Press" in talk.text())
        screen.xdotool("key", "BackSpace")
        wait_until(lambda: kept(file, "hotkeys.talk") == "")
        wait_until(lambda: talk.text() == "None")


def test_another_model_is_loaded_at_once_and_a_bad_one_is_not_kept(
    qt: QApplication, tmp_path: Path, small_model: Path
) -> None:
    with opened(qt, tmp_path) as (one, file):
        one.load_model()
        wait_until(lambda: one.model.ready)
        page = one.preferences.turn_to(ModelPage)
        assert isinstance(page, ModelPage)
        wait_until(lambda: any("600 English words" in label.text() for label in page.findChildren(QLabel)))
        one.window.composer.text.setPlainText("hello")
        one.window.composer.send()
        wait_until(lambda: one.model.usual is not None)
        assert "tokens a second" in "".join(label.text() for label in page.findChildren(QLabel))

        page.choose(str(tmp_path / "missing"))
        wait_until(lambda: "missing" in page.rows["model.package"].problem)
        assert one.window.ready

        broken = tmp_path / "broken"
        shutil.copytree(small_model, broken)
        graph = next(broken.glob("*text.onnx"))
        graph.write_bytes(graph.read_bytes()[:-200] + bytes(200))
        file.change({"model.package": str(broken)})  # as the command line may
        wait_until(one.window.banner.isVisible)
        wait_until(lambda: one.window.ready and one.model.name == "nano")
        wait_until(lambda: kept(file, "model.package") == "nano")

        page.choose(str(small_model))
        wait_until(lambda: one.model.ready and one.model.name == small_model.name)
        wait_until(lambda: kept(file, "model.package") == str(small_model))
        wait_until(lambda: "hello" in one.window.transcript.toPlainText())  # the conversation goes on
        page.package.picked.emit("nano")
        wait_until(lambda: one.model.ready and one.model.name == "nano")
        wait_until(lambda: kept(file, "model.package") == "nano")


def test_wiping_leaves_nothing_and_the_log_can_be_read(qt: QApplication, tmp_path: Path) -> None:
    with opened(qt, tmp_path) as (one, file):
        for place in range(2):
            one.archive.asked(place, Question(f"question {place}"), place, lambda _: None)
        one.usage.open("microphone", "USB Audio").close()
        page = one.preferences.turn_to(PrivacyPage)
        assert isinstance(page, PrivacyPage)
        wait_until(lambda: page.table.rowCount() == 1)
        cells = [page.table.item(0, column) for column in (0, 1)]
        assert [cell.text() for cell in cells if cell] == ["Microphone", "USB Audio"]
        said: list[str] = []

        def answer() -> None:
            box = QApplication.activeModalWidget()
            assert isinstance(box, QMessageBox)
            said.append(box.text() + box.informativeText())
            button = "Cancel" if len(said) == 1 else "Delete everything"
            next(b for b in box.buttons() if b.text() == button).click()

        QTimer.singleShot(200, answer)
        page.wipe_button.click()
        assert "Delete all conversations, pictures and recordings" in said[0]
        assert str(tmp_path / "data/history") in said[0]
        assert page.table.rowCount() == 1
        QTimer.singleShot(200, answer)
        page.wipe_button.click()
        wait_until(lambda: page.table.rowCount() == 0)
        assert not (tmp_path / "data/usage.jsonl").exists()
        wait_until(lambda: one.window.side.list.count() == 0)
        page.keep.click()
        wait_until(lambda: kept(file, "privacy.keep_history") is False)
    with History(tmp_path / "data/history") as history:
        assert not history.conversations()


def test_wiping_a_damaged_history_lets_a_new_one_begin(qt: QApplication, tmp_path: Path) -> None:
    folder = tmp_path / "data/history"
    folder.mkdir(parents=True)
    (folder / schema.DATABASE).write_bytes(b"no database " * 1000)
    with opened(qt, tmp_path) as (one, _):
        wait_until(lambda: one.archive.problem)
        page = one.preferences.turn_to(PrivacyPage)
        assert isinstance(page, PrivacyPage)
        page.wipe()
        wait_until(lambda: one.archive.problem is None)
        one.archive.asked(1, Question("kept again"), 0, lambda _: None)
    with History(folder) as history:
        assert [one.title for one in history.conversations()] == ["kept again"]


def test_tools_run_without_asking_only_where_somebody_said_so(qt: QApplication, tmp_path: Path) -> None:
    with opened(qt, tmp_path, tools__without_asking=["calculate"]) as (one, file):
        page = one.preferences.turn_to(ToolsPage)
        assert isinstance(page, ToolsPage)
        page.unasked["add_note"].click()
        page.unasked["set_timer"].click()
        wait_until(lambda: "add_note" in kept(file, "tools.without_asking"))
        wait_until(lambda: kept(file, "tools.without_asking") == ["set_timer", "calculate", "add_note"])
        page.weather.setText(str(tmp_path / "weather.json"))
        page.weather.editingFinished.emit()
        wait_until(lambda: kept(file, "tools.weather_file") == str(tmp_path / "weather.json"))
        toolbox = Toolbox.in_folder(tmp_path)
        effects = {name for name, tool in toolbox._tools.items() if tool.intent is not None}
        assert set(page.unasked) == effects


def test_a_full_disk_is_said_and_the_file_stays(qt: QApplication, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system can't be mounted here")
    try:
        file = SettingsFile(folder / "config" / "settings.json")
        settings = file.change(START)
        with desktop(qt, tmp_path / "data", settings, file) as one:
            one.open_preferences()
            page = one.preferences.turn_to(LookPage)
            assert isinstance(page, LookPage)
            before = file.path.read_bytes()
            with suppress(OSError), (folder / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(4096))
            page.theme.button("dark").click()
            wait_until(lambda: "full" in page.rows["interface.theme"].problem)
            assert page.theme.button("light").isChecked()
            assert one.theme is theme.LIGHT
            assert file.path.read_bytes() == before
            (folder / "filler").unlink()
            page.theme.button("dark").click()
            wait_until(lambda: one.theme is theme.DARK)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_the_microphone_is_tried_out_and_closed(
    screen: VirtualScreen, audio_server: VirtualAudio, tmp_path: Path
) -> None:
    """In a process of its own, because PortAudio looks for devices once."""
    espeak("One two three four five six seven eight nine ten.", tmp_path / "said.wav")
    child = subprocess.Popen(
        [sys.executable, Path(__file__).parent / "sound_page.py", str(tmp_path)],
        env=audio_server.environment | {"DISPLAY": screen.display, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    with child, audio_server.recorded_speaker() as heard:
        assert child.stdout.readline().strip() == "open"
        with audio_server.spoken_into_microphone(tmp_path / "said.wav"):
            assert child.stdout.readline().strip() == "heard"
        assert child.stdout.readline().strip() == "closed"
        assert child.stdout.readline().strip() == "played"
    assert child.returncode == 0
    assert np.abs(sound.load(heard).samples).max() > 0.05


def test_the_camera_is_seen_and_closed(qt: QApplication, screen: VirtualScreen, tmp_path: Path) -> None:
    film = video(tmp_path / "film.avi")
    with opened(qt, tmp_path) as (one, file):
        page = one.preferences.turn_to(CameraPage)
        assert isinstance(page, CameraPage)
        focus(page.address)
        screen.xdotool("type", "--delay", 2, film)
        screen.xdotool("key", "Return")
        wait_until(lambda: kept(file, "camera.source") == str(film))
        wait_until(lambda: page.source.currentData() == str(film))
        page.test.click()
        wait_until(lambda: page.view.frame is not None and "camera" in one.usage.now)
        file.change({"privacy.camera": False})  # by the command line
        wait_until(lambda: "camera" not in one.usage.now)
        assert not page.view.isVisible()
        page.test.click()
        assert "camera" not in one.usage.now
        file.change({"privacy.camera": True})
        wait_until(lambda: one.settings.privacy.camera)
        page.test.click()
        wait_until(lambda: page.view.frame is not None and "camera" in one.usage.now)
        one.preferences.close()
        wait_until(lambda: "camera" not in one.usage.now)
        one.open_preferences()
        file.change({"camera.source": str(tmp_path / "missing.avi")})
        wait_until(lambda: "missing" in one.settings.camera.source)
        page.test.click()
        wait_until(lambda: any("missing.avi" in row.problem for row in page.findChildren(Row)))
