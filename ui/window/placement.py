"""Where the window was when it was closed last: its place, its size, and the list at its left."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path

from PySide6.QtCore import QByteArray

from assistant import atomic
from ui.window.main import Window


class Placement:
    """A small file. What can't be read or written leaves the window as it is."""

    def __init__(self, path: Path, window: Window) -> None:
        self._path, self._window = path, window

    def restore(self) -> None:
        """As it was. Qt keeps it on a screen that there is."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            kept = json.loads(atomic.read(self._path) or b"{}")
            if not self._window.restoreGeometry(QByteArray(base64.b64decode(kept["window"]))):
                return
            self._window.splitter.restoreState(QByteArray(base64.b64decode(kept["list"])))
            self._window.side.setVisible(kept["shown"] is True)

    def keep(self) -> None:
        """For the next start."""
        kept = {
            "window": _text(self._window.saveGeometry()),
            "list": _text(self._window.splitter.saveState()),
            "shown": not self._window.side.isHidden(),
        }
        with contextlib.suppress(OSError):
            atomic.make_folder(self._path.parent)
            atomic.replace(self._path, json.dumps(kept).encode())


def _text(data: QByteArray) -> str:
    return base64.b64encode(data.data()).decode()
