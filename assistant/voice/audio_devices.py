"""Access to PortAudio, which loads a system library and looks for devices when it is first imported."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any, Final, Literal

from assistant.voice.endpoint import BLOCK
from models.errors import DeviceError

_INSTALL: Final = (
    "Install it: sudo apt install libportaudio2 libasound2-plugins"
    if sys.platform == "linux"
    else "Install Aside again."
)
_CHECK: Final = {
    "microphone": "Plug it in, allow its use in the system's settings, and see `aside doctor`.",
    "speaker": "Plug it in or choose another in the system's settings, and see `aside doctor`.",
}


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


def open_stream(
    thing: Literal["microphone", "speaker"],
    device: str | int | None,
    rate: int,
    on_block: Callable[..., None],
    on_end: Callable[[], None],
) -> tuple[Any, str, int]:
    """A running stream of mono float32 blocks of 20 ms, the device's name, and the stream's rate in Hz.

    That is ``rate`` if the device can, else the device's own. ``on_block`` is called by PortAudio's thread.
    Raises DeviceError, and then nothing stays open.
    """
    audio = portaudio()
    way, check, make = {
        "microphone": ("input", audio.check_input_settings, audio.InputStream),
        "speaker": ("output", audio.check_output_settings, audio.OutputStream),
    }[thing]
    try:
        found = audio.query_devices(device, way)
        try:
            check(device=device, channels=1, dtype="float32", samplerate=rate)
        except audio.PortAudioError:
            rate = int(found["default_samplerate"])
        stream = make(
            samplerate=rate,
            blocksize=round(rate * BLOCK),
            device=device,
            channels=1,
            dtype="float32",
            latency="low",
            callback=on_block,
            finished_callback=on_end,
        )
        try:
            stream.start()
        except BaseException:
            stream.close(ignore_errors=True)
            raise
    except (audio.PortAudioError, ValueError) as error:
        reason = str(error.args[0]) if error.args else str(error)
        reason = "there is none" if "querying device -1" in reason else reason
        raise DeviceError(f"No {thing} can be opened ({reason}).", _CHECK[thing]) from error
    return stream, str(found["name"]), rate


def lost(thing: Literal["microphone", "speaker"], name: str) -> DeviceError:
    """The error of a device that stopped working."""
    return DeviceError(f"The {thing} {name} stopped working.", _CHECK[thing])
