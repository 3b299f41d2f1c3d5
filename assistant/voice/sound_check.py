"""Trying a microphone and a speaker out: the level of what comes in, and a sentence that is spoken."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from assistant.voice.endpoint import QUIETEST, level
from assistant.voice.microphone import BlockSource
from assistant.voice.speaker import Speaker
from assistant.voice.speech import Voice

_EVERY: Final = 2  # blocks between two levels: 25 a second


def watch_level(source: BlockSource, on_level: Callable[[float], None], cancel: threading.Event) -> None:
    """Tell the level of what comes in, in dBFS, until ``cancel``; then close it.

    Raises DeviceError, and Cancelled at the end.
    """
    loudest = QUIETEST
    try:
        for count, block in enumerate(source.blocks(cancel)):
            loudest = max(loudest, level(block))
            if count % _EVERY == 0:
                on_level(loudest)
                loudest = QUIETEST
    finally:
        source.close()


def speak(text: str, device: str, voice: str, cancel: threading.Event) -> None:
    """Speak a sentence; "" is the system's speaker or voice. Raises DeviceError, Cancelled."""
    with Speaker(device or None) as speaker, Voice(name=voice) as spoken:
        speaker.play(spoken.synthesise(text, cancel))
        speaker.wait(cancel)


def voices(cancel: threading.Event) -> list[str]:
    """The names of all voices in their order. Raises DeviceError, Cancelled."""
    with Voice() as voice:
        return sorted(voice.names(cancel))
