"""Aside in the desktop's menu, by a desktop entry and an icon: `aside desktop --install`.

Portals know a program by the name of its entry, too. Linux only: elsewhere, installers do this.
"""

from __future__ import annotations

import os
import sys
from importlib import resources
from pathlib import Path
from typing import Final

from assistant import atomic
from assistant.autostart import command, quoted
from models.errors import SettingsError

_NAME: Final = "aside"
_ACTIONS: Final = {
    "listen": ("Speak", "说话"),
    "screenshot": ("Ask about the screen", "就屏幕提问"),
    "quit": ("Quit", "退出"),
}


def install() -> list[Path]:
    """Write entry and icon for this person; returns the files. Raises SettingsError."""
    if sys.platform != "linux":
        raise SettingsError("Only Linux has desktop entries.", "Pin the window's icon instead.")
    base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    icon = base / f"icons/hicolor/scalable/apps/{_NAME}.svg"
    found = base / f"applications/{_NAME}.desktop"
    try:
        for path, data in ((icon, (resources.files(__package__) / icon.name).read_bytes()), (found, entry())):
            atomic.make_folder(path.parent)
            atomic.replace(path, data)
    except OSError as error:
        raise SettingsError(
            f"{found} can't be written: {atomic.reason(error)}.", "Free some space."
        ) from error
    return [icon, found]


def entry() -> bytes:
    """The desktop entry, with what the tray's menu offers as its actions."""
    start = [word for word in command() if word != "--hidden"]
    lines = [
        "[Desktop Entry]",
        "Type=Application",
        "Name=Aside",
        "Comment=Speak, show, ask: an assistant on this machine alone",
        "Comment[zh]=说话、展示、提问：只在本机运行的助手",
        f"Exec={quoted(start)}",
        f"Icon={_NAME}",
        "Terminal=false",
        "Categories=Utility;AudioVideo;",
        "Keywords=assistant;voice;screen;",
        f"StartupWMClass={_NAME}",
        f"Actions={''.join(f'{word};' for word in _ACTIONS)}",
    ]
    for word, (name, chinese) in _ACTIONS.items():
        lines += ["", f"[Desktop Action {word}]", f"Name={name}", f"Name[zh]={chinese}"]
        lines.append(f"Exec={quoted([*start[:-1], word])}")
    return ("\n".join(lines) + "\n").encode()
