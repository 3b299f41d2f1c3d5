"""Hotkeys: the pure part by table and at random, the grabbing on a real X server with real key presses."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_screen import VirtualScreen, virtual_screen

from models.errors import DeviceError
from ui.outside.hotkeys import Hotkeys, Pressed, Presses, Released, available

KEYS = {"talk": "Ctrl+Alt+Space", "screen": "Ctrl+Alt+S"}


@pytest.fixture(scope="module")
def server() -> Iterator[VirtualScreen]:
    with virtual_screen() as one, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISPLAY", one.display)
        yield one


@pytest.fixture
def told(server: VirtualScreen) -> Iterator[queue.Queue[Pressed | Released]]:
    heard: queue.Queue[Pressed | Released] = queue.Queue()
    hotkeys = Hotkeys(KEYS, heard.put)
    assert hotkeys.taken == []
    yield heard
    hotkeys.close()


def play(*times: tuple[str, float]) -> list[Pressed | Released]:
    """What is told of (down or up, seconds)."""
    presses = Presses()
    told: list[Pressed | Released] = []
    for what, now in times:
        told += presses.press("k", now) if what == "down" else presses.release("k", now)
    return told


def test_a_held_key_that_repeats_is_one_press() -> None:
    repeats = [("down", 0.5 + n / 30) for n in range(60)]
    assert play(("down", 0.0), *repeats, ("up", 3.0)) == [Pressed("k"), Released("k", 3.0)]


def test_two_taps_are_two() -> None:
    told = play(("down", 0.0), ("up", 0.1), ("down", 1.0), ("up", 1.5))
    assert told == [Pressed("k"), Released("k", 0.1), Pressed("k"), Released("k", 0.5)]


def test_a_key_whose_release_another_program_got_can_be_pressed_again() -> None:
    presses = Presses()
    assert presses.press("k", 0.0) == [Pressed("k")]
    presses.forget("k")
    assert presses.press("k", 0.01) == [Pressed("k")], "watched anew, it is no storm"
    assert presses.release("k", 0.02)
    presses.forget("k")
    assert presses.press("k", 0.03) == [Pressed("k")]


@given(st.lists(st.floats(0.001, 0.2), min_size=1, max_size=200))
def test_a_storm_is_one_press(gaps: list[float]) -> None:
    """Presses that follow one another faster than a person means them."""
    now, times = 0.0, []
    for gap in gaps:
        times += [("down", now), ("up", now + gap / 2)]
        now += gap
    told = play(*times)
    assert [type(one) for one in told] == [Pressed, Released]


@given(st.lists(st.tuples(st.sampled_from(["down", "up"]), st.floats(0, 1)), max_size=60))
def test_press_and_release_alternate(steps: list[tuple[str, float]]) -> None:
    now, times = 0.0, []
    for what, gap in steps:
        now += gap
        times.append((what, now))
    kinds = [type(one) for one in play(*times)]
    assert kinds[::2] == [Pressed] * len(kinds[::2])
    assert kinds[1::2] == [Released] * len(kinds[1::2])


def test_a_real_key_is_heard_whatever_the_locks_say(
    server: VirtualScreen, told: queue.Queue[Pressed | Released]
) -> None:
    for lock in (None, "Num_Lock", "Caps_Lock"):
        if lock:
            server.xdotool("key", lock)
        server.xdotool("key", "ctrl+alt+s")
        assert told.get(timeout=10) == Pressed("screen")
        assert isinstance(told.get(timeout=10), Released)
        time.sleep(0.3)  # a person's pause: a press that follows at once is a storm
        if lock:
            server.xdotool("key", lock)


def test_a_held_key_is_held(server: VirtualScreen, told: queue.Queue[Pressed | Released]) -> None:
    server.xdotool("keydown", "ctrl", "keydown", "alt", "keydown", "space")
    assert told.get(timeout=10) == Pressed("talk")
    time.sleep(1.2)  # long enough to repeat
    server.xdotool("keyup", "space", "keyup", "alt", "keyup", "ctrl")
    released = told.get(timeout=10)
    assert isinstance(released, Released)
    assert released.held > 1.0
    assert told.empty()


def test_a_storm_of_real_presses_is_one(server: VirtualScreen, told: queue.Queue[Pressed | Released]) -> None:
    server.xdotool("key", "--delay", "5", *["ctrl+alt+space"] * 60)
    assert told.get(timeout=10) == Pressed("talk")
    assert isinstance(told.get(timeout=10), Released)
    assert told.empty()


@pytest.mark.usefixtures("told")
def test_a_key_that_another_program_has_is_named(server: VirtualScreen) -> None:
    second = Hotkeys({"talk": KEYS["talk"], "other": "Ctrl+Alt+K"}, lambda _: None)
    try:
        assert second.taken == [KEYS["talk"]]
    finally:
        second.close()


# python-xlib leaves the socket of a connection that failed to the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_where_keys_can_not_be_grabbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":9999")
    with pytest.raises(DeviceError, match="aside listen"):
        Hotkeys(KEYS, lambda _: None)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert not available()


def test_esc_counts_each_time_it_is_watched_however_soon(server: VirtualScreen) -> None:
    heard: queue.Queue[Pressed | Released] = queue.Queue()
    hotkeys = Hotkeys({}, heard.put)
    try:
        for _ in range(3):
            hotkeys.catch_escape(True)
            time.sleep(0.15)  # it is grabbed by a thread of its own
            server.xdotool("key", "Escape")
            assert heard.get(timeout=5) == Pressed("escape")
            assert isinstance(heard.get(timeout=5), Released)
            hotkeys.catch_escape(False)
    finally:
        hotkeys.close()
