"""The settings while the window is open: read here, changed here, and heard of when anybody changes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from PySide6.QtCore import QFileSystemWatcher, QObject, QTimer, Signal

from assistant import atomic, autostart
from assistant.settings import Loaded, Settings, SettingsFile
from models.errors import AsideError
from ui.gate import Gate

_SETTLE: Final = 50  # ms after the folder changed, for the file to be complete

Refused = Callable[[AsideError], Any]


class Choices(QObject):
    """Belongs to the GUI thread. The file may be changed by the command line at any time."""

    changed = Signal(object, object)
    """The settings as they are now and as they were, when they differ."""
    remarked = Signal(str)
    """A sentence about the file."""

    def __init__(self, gate: Gate, file: SettingsFile, now: Settings) -> None:
        super().__init__()
        self._gate = gate
        self.file = file
        self.now = now
        self._known = now  # as the file had it last
        self._waiting: deque[tuple[Mapping[str, Any], Refused]] = deque()
        self._busy = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SETTLE)
        self._timer.timeout.connect(self.read)
        self._watcher = QFileSystemWatcher(self)
        self._watcher.directoryChanged.connect(lambda _: self._timer.start())
        self._watcher.fileChanged.connect(lambda _: self._timer.start())
        with suppress(OSError):
            atomic.make_folder(file.path.parent)
        self._watch()

    def change(self, values: Mapping[str, Any], refused: Refused = lambda _: None) -> None:
        """Set values by their keys and keep them; ``refused`` hears why that can't be."""
        self._waiting.append((values, refused))
        self._next()

    def read(self) -> None:
        """Look whether somebody else has changed them."""
        if self._busy:
            self._timer.start()
        else:
            self._gate.run(self.file.load, self._loaded)

    def _watch(self) -> None:
        """The folder tells of a file that is replaced, the file of one that is written over."""
        for path in (self.file.path.parent, self.file.path):
            if path.exists() and str(path) not in (*self._watcher.files(), *self._watcher.directories()):
                self._watcher.addPath(str(path))

    def _next(self) -> None:
        """One change after another, so that the last one is what stays."""
        if self._busy or not self._waiting:
            return
        self._busy = True
        values, refused = self._waiting.popleft()
        before = {key: self.now.get(key) for key in values}
        self._gate.run(partial(self._change, values, before), self._kept, partial(self._refused, refused))

    def _change(self, values: Mapping[str, Any], before: Mapping[str, Any]) -> Settings:
        """In a thread of the gate."""
        settings = self.file.change(values)
        if autostart.KEY in values:
            try:
                autostart.follow(settings)
            except AsideError:
                self.file.change(before)
                raise
        return settings

    def _kept(self, settings: Settings) -> None:
        self._busy = False
        self._take(settings)
        self._next()

    def _refused(self, refused: Refused, error: AsideError) -> None:
        self._busy = False
        refused(error)
        self._next()

    def _loaded(self, loaded: Loaded) -> None:
        if self._busy:  # what was read is already old
            self._timer.start()
            return
        self._watch()
        for remark in loaded.remarks:
            self.remarked.emit(remark)
        if loaded.settings != self._known:
            self._take(loaded.settings)

    def _take(self, settings: Settings) -> None:
        self._known = settings
        before, self.now = self.now, settings
        if settings != before:
            self.changed.emit(settings, before)
