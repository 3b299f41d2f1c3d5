"""The start of the window's process, and its end: Qt, signals, and the application in between."""

from __future__ import annotations

import faulthandler
import gc
import signal
import socket
import sys
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final

from PySide6.QtCore import QSocketNotifier, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from assistant.instance import Instance
from assistant.settings import SettingsFile, default_path
from ui.app import Desktop
from ui.dev.trace import tracing

_STUCK: Final = 20.0  # s that ending may take, longer than all joins together: then it says where it hangs
_SWITCH: Final = 0.001  # s that a thread computes before it gives way to the window's


class Signals:
    """SIGINT and SIGTERM end the application as its menu does, also while Python has nothing to do."""

    def __init__(self, application: QApplication) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._before = signal.set_wakeup_fd(self._far.fileno(), warn_on_full_buffer=False)
        self._notifier = QSocketNotifier(self._near.fileno(), QSocketNotifier.Type.Read)
        self._notifier.activated.connect(lambda: self._near.recv(64))

        def end(_number: int, _frame: FrameType | None) -> None:
            application.quit()

        self._handlers = {n: signal.signal(n, end) for n in (signal.SIGINT, signal.SIGTERM)}

    def close(self) -> None:
        """Everything as it was before."""
        self._notifier.setEnabled(False)
        signal.set_wakeup_fd(self._before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._near.close()
        self._far.close()


def application() -> QApplication:
    """Qt's part of the process, with one look on all systems."""
    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    made = QApplication(["aside"])
    made.setApplicationName("Aside")
    made.setDesktopFileName("aside")
    made.setStyle("Fusion")
    made.setQuitOnLastWindowClosed(False)  # the tray, or `Desktop`, decides
    return made


def run(
    place: Instance,
    package: Path | None,
    name: str,
    data: Path,
    *,
    hidden: bool = False,
    trace: Path | None = None,
) -> int:
    """Show the window until the person ends it; returns the exit code.

    ``package``, called ``name``, is in place of the one in the settings; ``trace`` is for `ui.dev.trace`.
    """
    file = SettingsFile(default_path())
    loaded = file.load()
    sys.setswitchinterval(_SWITCH)
    qt = application()
    signals = Signals(qt)
    try:
        with (
            Desktop(qt, loaded.settings, data, file) as desktop,
            tracing(desktop.window, desktop.conductor, trace),
        ):
            place.serve(lambda request: desktop.gate.post(partial(desktop.obey, request)))
            if not hidden or not desktop.tray.there:
                desktop.show()
            desktop.greet(loaded)
            desktop.grab_keys()
            if package is None:
                desktop.load_model()
            else:
                desktop.conductor.brain.load(package, name)
            gc.freeze()  # what is there by now stays: no collection in a turn goes through it
            code = qt.exec()
            if sys.stderr is not None:  # as without a console
                faulthandler.dump_traceback_later(_STUCK, exit=True)
            return code
    finally:
        signals.close()
