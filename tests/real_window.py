"""Aside's window in the test's own process, on a virtual screen, with the shipped model."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import psutil
import pytest
from PySide6.QtCore import QEvent, QEventLoop, QTimer
from PySide6.QtWidgets import QApplication
from virtual_screen import VirtualScreen, virtual_screen

from assistant.settings import Interface, Privacy, Settings, SettingsFile
from models import package
from ui import app, start
from ui.work import brain

LIGHT = Settings(interface=Interface(language="en", theme="light"), privacy=Privacy(preroll=False))


@pytest.fixture(scope="session")
def screen() -> Iterator[VirtualScreen]:
    with virtual_screen() as one:
        yield one


@pytest.fixture(scope="session")
def qt(screen: VirtualScreen) -> Iterator[QApplication]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WAYLAND_DISPLAY", "XDG_SESSION_TYPE", "QT_QPA_PLATFORM"):
            patch.delenv(name, raising=False)
        patch.setenv("DISPLAY", screen.display)
        made = start.application()
        resource_tracker.ensure_running()  # of multiprocessing: it lives as long as this process
        yield made
        made.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def wait_until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Let Qt work until the condition is true; one that raises is tried again, as long."""
    loop = QEventLoop()
    timer = QTimer()
    deadline = time.monotonic() + seconds

    def look() -> None:
        over = False
        try:
            over = bool(condition())
        finally:
            if over or time.monotonic() > deadline:
                loop.quit()

    timer.timeout.connect(look)
    timer.start(10)
    loop.exec()
    timer.stop()
    assert condition(), "it did not happen in time"


class Gaps:
    """How long this thread computed without a look at the event queue, in s.

    Other programs don't count, nor do other tests: a garbage collection leaves alone what they made.
    """

    def __init__(self) -> None:
        gc.collect()
        gc.freeze()
        self._seconds: list[float] = []
        self._last = time.thread_time()
        self._timer = QTimer()
        self._timer.timeout.connect(self._tick)
        self._timer.start(0)

    def taken(self) -> list[float]:
        """All of them, the longest last; a new list begins."""
        found, self._seconds = sorted(self._seconds), []
        return found

    def close(self) -> None:
        """No more."""
        self._timer.stop()
        gc.unfreeze()

    def _tick(self) -> None:
        now = time.thread_time()
        self._seconds.append(now - self._last)
        self._last = now


def open_first(one: app.Desktop) -> None:
    """Click the first conversation of the list, when there is one."""
    wait_until(lambda: one.window.side.list.count() > 0)
    one.window.side.list.itemClicked.emit(one.window.side.list.item(0))


@contextmanager
def desktop(
    qt: QApplication, folder: Path, settings: Settings = LIGHT, file: SettingsFile | None = None
) -> Iterator[app.Desktop]:
    """The whole application; afterwards, no thread and no process of it may be left."""
    resource_tracker.ensure_running()  # Python's own, which stays
    threads, processes = set(threading.enumerate()), set(psutil.Process().children(recursive=True))
    with app.Desktop(qt, settings, folder, file) as one:
        one.show()
        wait_until(one.window.isActiveWindow)
        yield one
    qt.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    left = [t.name for t in set(threading.enumerate()) - threads if t.is_alive()]
    assert not left
    new = set(psutil.Process().children(recursive=True)) - processes
    assert not [p for p in new if p.is_running() and p.name() != "pulseaudio"]  # that is the rig, plugged in


def load_nano(one: app.Desktop) -> None:
    """Wait until the shipped model is ready."""
    told: list[brain.BrainEvent] = []
    one.conductor.told.connect(told.append)
    one.conductor.brain.load(package.embedded(), "nano")
    wait_until(lambda: any(isinstance(event, brain.Loaded | brain.LoadFailed) for event in told), 120)
    one.conductor.told.disconnect(told.append)
    assert isinstance(told[-1], brain.Loaded), told
