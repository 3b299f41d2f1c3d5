"""Fixtures that more than one test file uses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from virtual_audio import VirtualAudio, virtual_audio


@pytest.fixture(scope="session")
def audio_server() -> Iterator[VirtualAudio]:
    """A virtual microphone and speaker for subprocesses (see `VirtualAudio.environment`)."""
    with virtual_audio() as audio:
        yield audio
