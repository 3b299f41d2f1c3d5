"""Starting in the tray at login: an entry that the system reads, there exactly while the setting is on.

    autostart.follow(file.change({"interface.autostart": True}))

On Linux it is a file of the XDG autostart specification, on macOS a launch agent, on Windows a value in the
registry's Run key. The last two have not been tried on real systems.
"""

from __future__ import annotations

import os
import plistlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from assistant import atomic
from assistant.settings import Settings
from models.errors import SettingsError

KEY: Final = "interface.autostart"
"""The setting."""
_NAME: Final = "aside"
_RUN: Final = r"Software\Microsoft\Windows\CurrentVersion\Run"
_MUST_BE_ESCAPED: Final = '\\"`$'


def follow(settings: Settings) -> None:
    """Make the system's entry what the setting says. Raises SettingsError, and the entry is as it was."""
    put(settings.interface.autostart)


def put(on: bool) -> None:
    """Write or remove the entry. Raises SettingsError."""
    try:
        if sys.platform == "win32":
            _put_registry(on)
        elif on:
            atomic.make_folder(path().parent)  # and no lock there: the desktop reads all that lies in it
            atomic.replace(path(), _agent() if sys.platform == "darwin" else _entry())
        else:
            path().unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(
            f"Starting at login can't be changed in {path()}: {atomic.reason(error)}.",
            "It is as it was before.",
        ) from error


def path() -> Path:
    """The entry's file, where the system has one."""
    if sys.platform == "darwin":
        return Path.home() / f"Library/LaunchAgents/{_NAME}.plist"
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "autostart" / f"{_NAME}.desktop"


def command() -> list[str]:
    """The words that start this very Aside in the tray."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "desktop", "--hidden"]
    script = Path(sys.executable).with_name("aside.exe" if sys.platform == "win32" else "aside")
    begin = [str(script)] if script.is_file() else [sys.executable, "-m", "assistant"]
    return [*begin, "desktop", "--hidden"]


def quoted(words: Sequence[str]) -> str:
    """A command line as the Desktop Entry specification wants it in ``Exec``."""
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    word = word.replace("%", "%%")
    if word and all(c.isalnum() or c in "/-_.=%+:," for c in word):
        return word
    escaped = "".join("\\" + c if c in _MUST_BE_ESCAPED else c for c in word)
    return '"' + escaped.replace("\\", "\\\\") + '"'  # the file's own escape comes on top


def _entry() -> bytes:
    lines = (
        "[Desktop Entry]",
        "Type=Application",
        "Name=Aside",
        "Comment=Speak, show, ask",
        f"Exec={quoted(command())}",
        "Icon=aside",
        "Terminal=false",
        "X-GNOME-Autostart-enabled=true",
    )
    return ("\n".join(lines) + "\n").encode()


def _agent() -> bytes:
    return plistlib.dumps({"Label": _NAME, "ProgramArguments": command(), "RunAtLoad": True})


if sys.platform == "win32":  # not tried
    import subprocess
    import winreg
    from contextlib import suppress

    def _put_registry(on: bool) -> None:
        with winreg.CreateKey(winreg.HKEY_CURRENT_USER, _RUN) as key:
            if on:
                winreg.SetValueEx(key, _NAME, 0, winreg.REG_SZ, subprocess.list2cmdline(command()))
            else:
                with suppress(FileNotFoundError):
                    winreg.DeleteValue(key, _NAME)
