"""Hotkeys and screenshots on Wayland: the real application and a real bus, with a portal of ours."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtWidgets import QApplication
from real_window import desktop, load_nano, wait_until
from virtual_screen import VirtualScreen

from assistant.turn import Phase
from models.errors import AsideError, Cancelled, DeviceError
from ui.outside import portal
from ui.outside.hotkeys import Pressed, Released

SERVICE = Path(__file__).parent / "portal_service.py"
COLOUR = (10, 200, 30)


@pytest.fixture(scope="module")
def bus() -> Iterator[None]:
    """A session bus of our own, and Wayland as far as the environment says."""
    command = ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon,
        pytest.MonkeyPatch.context() as patch,
    ):
        assert daemon.stdout is not None
        patch.setenv("DBUS_SESSION_BUS_ADDRESS", daemon.stdout.readline().strip())
        yield
        daemon.terminate()


@pytest.fixture
def wayland(bus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")


@contextmanager
def service(picture: Path | None) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(SERVICE), "no" if picture is None else str(picture)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.terminate()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Of the whole screen, twice as fine as its logical size."""
    path = tmp_path / "screen.png"
    Image.new("RGB", (2560, 1600), COLOUR).save(path)
    return path


def write(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def read_until(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    while word not in (line := process.stdout.readline()):
        assert line
    return line


def test_a_trigger_is_written_as_the_specification_says() -> None:
    assert portal.trigger("Ctrl+Alt+Space") == "CTRL+ALT+space"
    assert portal.trigger("Super+Shift+S") == "LOGO+SHIFT+s"
    assert portal.trigger("F9") == "F9"


@pytest.mark.usefixtures("bus")
def test_keys_are_bound_and_told(picture: Path) -> None:
    told: queue.Queue[Pressed | Released | AsideError] = queue.Queue()
    with service(picture) as desk:
        keys = {"talk": ("Ctrl+Alt+Space", "Talk"), "screen": ("", "Screen")}
        hotkeys = portal.PortalHotkeys(keys, told.put, told.put)
        try:
            assert "'aside'" in read_until(desk, "Register")
            bound = read_until(desk, "BindShortcuts")
            assert "CTRL+ALT+space" in bound
            assert "screen" not in bound
            deadline = time.monotonic() + 20
            while told.empty() and time.monotonic() < deadline:  # it listens as soon as it has the answer
                write(desk, "press talk")
                time.sleep(0.05)
            assert told.get(timeout=1) == Pressed("talk")
            write(desk, "press other")
            write(desk, "release talk")
            released = told.get(timeout=10)
            assert isinstance(released, Released)
            assert released.held > 0
            assert told.empty()
        finally:
            hotkeys.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "portal"]


@pytest.mark.usefixtures("bus")
def test_a_picture_comes_and_leaves_nothing(picture: Path) -> None:
    with service(picture):
        assert portal.screenshot(threading.Event()) == picture.read_bytes()
    assert list(picture.parent.rglob("*.png")) == [picture]


@pytest.mark.usefixtures("bus")
def test_a_no_and_a_missing_portal_are_said() -> None:
    with service(None), pytest.raises(DeviceError, match="did not allow it"):
        portal.screenshot(threading.Event())
    with pytest.raises(DeviceError, match="no portal"):
        portal.screenshot(threading.Event())
    told: queue.Queue[object] = queue.Queue()
    hotkeys = portal.PortalHotkeys({"talk": ("F9", "Talk")}, told.put, told.put)
    assert "aside listen" in str(told.get(timeout=20))
    hotkeys.close()


@pytest.mark.usefixtures("bus")
def test_it_does_not_wait_for_a_person_when_the_application_ends(picture: Path) -> None:
    closed = threading.Event()
    closed.set()
    with service(picture), pytest.raises(Cancelled):
        portal.screenshot(closed)


@pytest.mark.usefixtures("wayland")
def test_the_application_uses_them(
    qt: QApplication, screen: VirtualScreen, picture: Path, tmp_path: Path
) -> None:
    with service(picture) as desk, desktop(qt, tmp_path / "data") as one:
        load_nano(one)
        one.grab_keys()
        read_until(desk, "BindShortcuts")
        deadline = time.monotonic() + 20
        while not one.screens.frozen and time.monotonic() < deadline:  # it listens when it has the answer
            write(desk, "press screen")
            qt.processEvents()
            time.sleep(0.02)
        write(desk, "release screen")
        screen.xdotool("mousemove", 100, 100, "mousedown", 1, "mousemove", 150, 150)
        screen.xdotool("mousemove", 200, 200, "mouseup", 1)
        wait_until(lambda: one.window.composer.question().pictures)
        (region,) = one.window.composer.question().pictures
        taken = tmp_path / "region.png"
        taken.write_bytes(region)
        with Image.open(taken) as found:
            assert abs(found.width - 200) <= 4  # of a picture that is twice as fine
            assert found.convert("RGB").getpixel((50, 50)) == COLOUR
        write(desk, "press talk")
        wait_until(lambda: one.conductor.state.phase is not Phase.IDLE or one.window.banner.isVisible())


@pytest.mark.usefixtures("wayland")
def test_without_a_portal_the_window_says_what_to_do(qt: QApplication, tmp_path: Path) -> None:
    with desktop(qt, tmp_path) as one:
        one.capture()
        wait_until(one.window.banner.isVisible)
        assert not one.screens.frozen
