"""What a person gives to `aside ask`: texts, recordings and pictures in their order, loaded and checked."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assistant.cli.console import Status, note
from assistant.engine.prompt import Part
from assistant.engine.protocol import Clip, Picture
from assistant.packages import data_folder
from models.errors import DeviceError, MediaError

_LONGEST_TEXT: Final = 4 * 2**20  # characters; more than any context


@dataclass(frozen=True)
class Looking:
    """Through which camera, "" for that of the settings; ``frames`` pictures evenly over ``over`` seconds."""

    source: str = ""
    frames: int = 1
    over: float = 2.0


_LOOKING: Final = Looking()


def load(parts: Iterable[tuple[str, str]], looking: Looking = _LOOKING, pages: str = "") -> list[Part]:
    """Load all parts. Raises MediaError, DeviceError. Ctrl-C interrupts it as it does any program.

    ``pages`` are those of documents.
    """
    return [part for kind, value in parts for part in _load(kind, value, looking, pages)]


def _load(kind: str, value: str, looking: Looking, pages: str) -> Iterable[Part]:
    match kind:
        case "audio":
            return [recording(Path(value))]
        case "image":
            return [picture(Path(value))]
        case "camera":
            return seen(looking)
        case "document":
            return document(Path(value), pages)
        case "mic":
            return [spoken()]
        case _:
            return [typed(value)]


def typed(value: str) -> str:
    """Text as given; ``-`` reads standard input."""
    if value != "-":
        return value
    text = sys.stdin.buffer.read(_LONGEST_TEXT + 1)
    if len(text) > _LONGEST_TEXT:
        raise MediaError("The text on standard input is longer than 4 MB.", "Give a part of it.")
    if not text.strip():
        raise MediaError("The text on standard input is empty.", "Give some, or leave out --text -.")
    return text.decode("utf-8", "replace")


def picture(path: Path) -> Picture:
    """A picture file."""
    from assistant.media import picture as pictures

    Status.show(f"Opening {path.name} …")
    return Picture(pictures.load(path))


def document(path: Path, pages: str) -> list[Part]:
    """Pages of a PDF as pictures, then their text; or a text file."""
    from assistant.media import document as documents

    loaded = documents.load(
        path, pages, on_page=lambda done, of: Status.show(f"Page {done} of {of} of {path.name} …")
    )
    Status.clear()
    if loaded.total > len(loaded.pages):
        note(f"{path.name}: pages {loaded.used} of {loaded.total:,}; --pages chooses others.")
    return [*(Picture(data) for data in loaded.pictures), *([loaded.text] if loaded.text else [])]


def seen(looking: Looking) -> list[Picture]:
    """What a camera sees now."""
    from assistant import usage
    from assistant.media import camera
    from assistant.settings import SettingsFile, default_path

    settings = SettingsFile(default_path()).load().settings
    if not settings.privacy.camera:
        raise DeviceError("The camera is switched off.", "Allow it: `aside settings set privacy.camera true`")
    Status.show("Looking …")
    log = usage.Usage(data_folder() / usage.FILE)
    pictures = camera.snapshots(looking.source or settings.camera.source, looking.frames, looking.over, log)
    return [Picture(one) for one in pictures]


def recording(path: Path) -> Clip:
    """A sound file that has sound in it."""
    from assistant.media import sound

    Status.show(f"Opening {path.name} …")
    loaded = sound.load(path)
    if loaded.is_silent:
        raise MediaError(f"There is nothing to hear in {path.name}: it is silent.", "Record it again.")
    return Clip(loaded.samples, loaded.rate)


def spoken() -> Clip:
    """What is said into the microphone until it is silent."""
    from assistant.voice.microphone import Microphone, listen

    with Microphone() as microphone:
        note("Speak now.")
        heard = listen(microphone, on_level=_show_level)
    Status.clear()
    if heard.is_silent:
        raise MediaError(
            "Nothing was heard.", "Speak louder or closer; `aside doctor` looks at the microphone."
        )
    return Clip(heard.samples, heard.rate)


def _show_level(dbfs: float, speaking: bool) -> None:
    bar = "█" * max(0, round((dbfs + 70) / 2.5))
    Status.show(f"{'Listening' if speaking else 'Waiting':<10} {bar}")


def is_silent(clip: Clip) -> bool:
    """Whether there is nothing to hear in a clip."""
    from assistant.media.sound import Sound

    return Sound(clip.samples, clip.rate).is_silent
