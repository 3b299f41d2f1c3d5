"""The commands around the window, where there is no display and no window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from command import Aside


@pytest.fixture
def alone(aside: Aside, tmp_path: Path) -> Aside:
    """No display, and nobody else's instance."""
    nothing = dict.fromkeys(("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"), "")
    return replace(aside, environment=nothing | {"XDG_RUNTIME_DIR": str(tmp_path / "run")})


@pytest.mark.parametrize("words", [("desktop",), ("dev", "screenshots", "gallery")])
def test_without_a_display_it_says_so(alone: Aside, words: tuple[str, ...]) -> None:
    assert alone(*words).complaint().startswith("There is no display to open a window on.")


def test_requests_need_a_window_unless_they_end_one(alone: Aside) -> None:
    for word in ("show", "listen", "screenshot"):
        assert alone(word).complaint() == "Aside is not running. Start it: `aside desktop`"
    for word in ("stop", "quit"):
        assert alone(word).code == 0
