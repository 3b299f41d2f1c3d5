"""Access to PortAudio, which loads a system library and looks for devices when it is first imported."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final

from models.errors import DeviceError

_INSTALL: Final = (
    "Install it: sudo apt install libportaudio2 libasound2-plugins"
    if sys.platform == "linux"
    else "Install Aside again."
)


def portaudio() -> Any:
    """The sounddevice module. Raises DeviceError if PortAudio is missing."""
    try:
        return importlib.import_module("sounddevice")
    except OSError as error:
        raise DeviceError(
            "The library for microphone and speaker, PortAudio, is missing.", _INSTALL
        ) from error


def names(kind: str) -> list[str]:
    """The names of all devices for ``input`` or ``output``, the default one first. Raises DeviceError."""
    audio = portaudio()
    default = audio.default.device[0 if kind == "input" else 1]
    found = list(enumerate(audio.query_devices()))
    found.sort(key=lambda item: item[0] != default)
    return [str(d["name"]) for _, d in found if d[f"max_{kind}_channels"] > 0]
