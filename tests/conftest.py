"""Fixtures that more than one test file uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from command import Aside
from engine_package import small_package
from real_window import qt, screen
from virtual_audio import VirtualAudio, virtual_audio

__all__ = ["qt", "screen"]  # fixtures: one application for all tests of a run

ORIGINAL = 300  # tokens


@pytest.fixture(scope="session")
def audio_server() -> Iterator[VirtualAudio]:
    """A virtual microphone and speaker for subprocesses (see `VirtualAudio.environment`)."""
    with virtual_audio() as audio:
        yield audio


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with random weights: it answers quickly, and nonsense."""
    return small_package(tmp_path_factory.mktemp("model") / "small")


@pytest.fixture(scope="session")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with RoPE factors that change at `ORIGINAL` tokens."""
    return small_package(tmp_path_factory.mktemp("model") / "crossing", original=ORIGINAL)


@pytest.fixture
def aside(tmp_path: Path, small_model: Path) -> Aside:
    """The `aside` command in an empty folder, with that package."""
    return Aside(tmp_path, small_model)
