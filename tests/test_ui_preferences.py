"""The window of settings: what is chosen counts at once, is on the disk, and what is refused is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLineEdit, QWidget
from real_window import desktop, wait_until
from virtual_screen import VirtualScreen

from assistant.settings import SettingsFile
from ui import theme
from ui.app import Desktop
from ui.form import Page
from ui.preferences_look import LookPage

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
    qt: QApplication, screen: VirtualScreen, tmp_path: Path
) -> None:
    with opened(qt, tmp_path) as (one, file):
        one.window.composer.text.setPlainText("half a question")
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
        assert kept(file, "interface.language") == "zh"
        assert one.preferences.windowTitle() == "设置"
        assert one.tray.menu.actions()[0].text() == "打开 Aside"
        assert one.window.composer.text.toPlainText() == "half a question"
        again = one.preferences.turn_to(LookPage)
        assert isinstance(again, LookPage)
        again.language.button("en").click()
        wait_until(lambda: one.window.side.search.placeholderText() == "Search")
        assert one.window.header.title.text() == "New conversation"
        assert one.tray.menu.actions()[0].text() == "Open Aside"


def test_what_the_command_line_changes_arrives(qt: QApplication, tmp_path: Path) -> None:
    with opened(qt, tmp_path) as (one, file):
        page = one.preferences.turn_to(LookPage)
        assert isinstance(page, LookPage)
        SettingsFile(file.path).change({"interface.theme": "dark"})
        wait_until(lambda: one.theme is theme.DARK)
        assert page.theme.button("dark").isChecked()
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
                if isinstance(control, QAbstractButton):
                    assert control.accessibleName() or control.text(), control
                if isinstance(control, QLineEdit):
                    assert control.accessibleName(), control
