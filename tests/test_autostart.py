"""Starting at login: an entry that is there exactly while the setting is on."""

from __future__ import annotations

import configparser
import subprocess
from pathlib import Path

import pytest
from command import Aside

from assistant import autostart
from assistant.settings import SettingsFile
from models.errors import SettingsError


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def test_the_entry_follows_the_setting_and_starts_aside(config: Path) -> None:
    file = SettingsFile(config / "aside/settings.json")
    autostart.follow(file.change({autostart.KEY: True}))
    entry = configparser.ConfigParser(interpolation=None)
    entry.read(config / "autostart/aside.desktop")
    words = entry["Desktop Entry"]["Exec"].split()
    assert words[-2:] == ["desktop", "--hidden"]
    helped = subprocess.run([*words, "--help"], capture_output=True, text=True, check=True, timeout=60)
    assert "in the tray" in helped.stdout
    assert [one.name for one in (config / "autostart").iterdir()] == ["aside.desktop"]
    autostart.follow(file.change({autostart.KEY: False}))
    autostart.follow(file.reset())
    assert not list((config / "autostart").iterdir())


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["/usr/bin/aside", "desktop"], "/usr/bin/aside desktop"),
        (["/home/a b/aside"], '"/home/a b/aside"'),
        (["/x/50%/aside"], "/x/50%%/aside"),
        (['/x/"$y`'], '"/x/\\\\"\\\\$y\\\\`"'),
        (["/x/a\\b"], '"/x/a\\\\\\\\b"'),
    ],
)
def test_a_command_is_quoted_as_the_specification_wants(words: list[str], line: str) -> None:
    assert autostart.quoted(words) == line


def test_a_file_in_the_way_is_named(config: Path) -> None:
    (config / "autostart").write_text("")
    with pytest.raises(SettingsError, match="autostart"):
        autostart.put(True)


def test_the_command_line_writes_it_too(aside: Aside) -> None:
    entry = aside.path("config/autostart/aside.desktop")
    assert aside("settings", "set", "interface.autostart", "on").code == 0
    assert entry.is_file()
    assert aside("settings", "reset", "interface.autostart").code == 0
    assert not entry.exists()
