"""The tray: the real application in a real tray (trayer), with a real mouse."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from place import Place, eventually
from virtual_audio import VirtualAudio
from virtual_screen import VirtualScreen, virtual_screen

from models import package

WIDE, HIGH = 120, 28
ICON = 1280 - 12, HIGH // 2
ASIDE = itertools.cycle((-9, 0, 9))  # two clicks at one place would be a double click
OPEN, SPEAK, SCREEN, STOP, QUIT = 1, 2, 3, 5, -1  # in the menu; from its end if negative


@pytest.fixture(scope="module")
def screen() -> Iterator[VirtualScreen]:
    with virtual_screen() as one:
        yield one


@pytest.fixture(scope="module")
def tray(screen: VirtualScreen) -> Iterator[None]:
    command = ["trayer", "--edge", "top", "--align", "right", "--widthtype", "pixel", "--width", str(WIDE)]
    command += ["--heighttype", "pixel", "--height", str(HIGH)]
    with subprocess.Popen(command, env=screen.environment) as process:
        screen.wait_for_window("^panel$")
        yield
        process.terminate()


@pytest.fixture
def place(screen: VirtualScreen, audio_server: VirtualAudio, tmp_path: Path) -> Place:
    return Place(screen, audio_server, tmp_path, package.embedded())


def boxes(place: Place) -> list[tuple[int, int]]:
    """Top and width of all that Aside shows: its window, its icon, a menu."""
    command = ["xdotool", "search", "--onlyvisible", "--class", "aside"]
    found = subprocess.run(command, env=place.environment, capture_output=True, text=True, check=False)
    sizes = []
    for number in found.stdout.split():
        command = ["xdotool", "getwindowgeometry", "--shell", number]
        told = subprocess.run(command, env=place.environment, capture_output=True, text=True, check=False)
        size = dict(line.split("=") for line in told.stdout.split())
        if size:  # it may have gone meanwhile
            sizes.append((int(size["Y"]), int(size["WIDTH"])))
    return sizes


def shown(place: Place) -> bool:
    return any(wide > 500 for _, wide in boxes(place))


def icon(place: Place) -> bool:
    return any(top < HIGH and wide < WIDE for top, wide in boxes(place))


def menu(place: Place) -> bool:
    return any(top < HIGH and WIDE < wide < 500 for top, wide in boxes(place))


def close(place: Place) -> None:
    """Close the window by the keyboard, which the tray may have had."""
    place.screen.xdotool("windowactivate", "--sync", place.screen.wait_for_window("^Aside$"))
    place.screen.xdotool("key", "alt+F4")
    eventually(lambda: not shown(place))


def choose(place: Place, entry: int) -> None:
    """From the icon's menu."""
    x, y = ICON
    place.screen.xdotool("mousemove", x + next(ASIDE), y, "click", 3)
    eventually(lambda: menu(place))
    place.screen.xdotool("key", *["Down" if entry > 0 else "Up"] * abs(entry), "Return")
    eventually(lambda: not menu(place))


@pytest.mark.usefixtures("tray")
def test_a_closed_window_lives_on_in_the_tray(place: Place) -> None:
    with place.running() as process:
        eventually(lambda: shown(place))
        close(place)
        assert icon(place)
        place.screen.xdotool("mousemove", *ICON, "click", 1)
        eventually(lambda: shown(place))
        close(place)
        assert place.aside("show").wait(20) == 0
        eventually(lambda: shown(place))
        assert process.poll() is None


@pytest.mark.usefixtures("tray")
def test_the_menu_of_the_icon_does_what_it_says(place: Place) -> None:
    with place.running() as process:
        eventually(lambda: shown(place))
        choose(place, SPEAK)
        eventually(lambda: place.told("phase", phase="listening"))
        choose(place, STOP)
        eventually(lambda: place.told("phase", phase="idle"))
        close(place)
        choose(place, OPEN)
        eventually(lambda: shown(place))
        choose(place, SCREEN)
        place.screen.wait_for_window("^Ask about the screen$")
        place.screen.xdotool("mousemove", 600, 400, "click", 3)  # gives it up
        eventually(lambda: not any(wide == 1280 for _, wide in boxes(place)))
        choose(place, QUIT)
        assert process.wait(25) == 0  # longer than the application gives itself


@pytest.mark.usefixtures("tray")
def test_at_login_there_is_only_the_icon(place: Place) -> None:
    with place.running("--hidden") as process:
        eventually(lambda: icon(place))
        assert not shown(place)
        assert process.poll() is None
        assert place.aside("show").wait(20) == 0
        eventually(lambda: shown(place))
