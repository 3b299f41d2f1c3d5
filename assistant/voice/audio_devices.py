"""Access to PortAudio, which loads a system library and looks for devices when it is first imported.

Its list of devices is frozen from then on, and its connection to a sound server that died stays dead: where a
device can't be opened while no other one is, PortAudio is started anew and the device tried once more.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, Literal

from assistant.voice.endpoint import BLOCK
from models.errors import DeviceError

Thing = Literal["microphone", "speaker"]

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
    with _lock:  # it may be being started anew
        audio = portaudio()
        try:
            default = audio.default.device[0 if kind == "input" else 1]
            found = list(enumerate(audio.query_devices()))
        except audio.PortAudioError as error:
            raise DeviceError(f"Devices can't be listed ({error}).", "See `aside doctor`.") from error
    found.sort(key=lambda item: item[0] != default)
    return [str(d["name"]) for _, d in found if d[f"max_{kind}_channels"] > 0]


class Stream:
    """A running stream: the device's name, the rate in Hz, the latency in s. May be closed by any thread."""

    def __init__(self, stream: Any, name: str, ended: threading.Event) -> None:
        self._stream = stream
        self.name = name
        self.rate = int(stream.samplerate)
        self.latency = float(stream.latency)
        self.ended = ended
        """Set when it stopped by itself: the device is lost."""

    def close(self) -> None:
        """Give the device back; a second time does nothing."""
        with _lock:
            if self in _streams:
                _streams.remove(self)
                self._stream.close(ignore_errors=True)


_lock: Final = threading.RLock()  # PortAudio is one for the whole process, and its calls exclude each other
_streams: Final[set[Stream]] = set()


def open_stream(thing: Thing, device: str | int | None, rate: int, on_block: Callable[..., None]) -> Stream:
    """A running stream of mono float32 blocks of 20 ms, at ``rate`` Hz if the device can, else at its own.

    ``on_block`` is called by PortAudio's thread. Raises DeviceError, and then nothing stays open.
    """
    with _lock:
        try:
            return _open(thing, device, rate, on_block)
        except DeviceError:
            if not _renewed():
                raise
            return _open(thing, device, rate, on_block)


def renew() -> bool:
    """Have PortAudio look for devices anew; False if one is in use, and then nothing happens."""
    with _lock:
        return _renewed()


def _renewed() -> bool:
    """Start PortAudio anew, unless somebody uses it; whether it was."""
    for stream in list(_streams):
        if stream.ended.is_set():
            stream.close()
    if _streams:
        return False
    audio = portaudio()
    try:
        audio._terminate()
        audio._initialize()
    except audio.PortAudioError:
        return False
    return True


def _open(thing: Thing, device: str | int | None, rate: int, on_block: Callable[..., None]) -> Stream:
    audio = portaudio()
    way, check, make = {
        "microphone": ("input", audio.check_input_settings, audio.InputStream),
        "speaker": ("output", audio.check_output_settings, audio.OutputStream),
    }[thing]
    ended = threading.Event()
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
            finished_callback=ended.set,
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
    opened = Stream(stream, str(found["name"]), ended)
    _streams.add(opened)
    return opened


def lost(thing: Thing, name: str) -> DeviceError:
    """The error of a device that stopped working."""
    return DeviceError(f"The {thing} {name} stopped working.", _CHECK[thing])
