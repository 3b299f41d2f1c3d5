"""How closely `aside ask` looks at pictures, and what it says about that before it does."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from assistant import detail
from assistant.cli.console import note
from assistant.engine.prompt import Part
from assistant.eyes import Eyes
from assistant.settings import LEVELS, SettingsFile, default_path
from models.package import CROPS, PackageInfo


def level(text: str) -> str:
    """A type for argparse: a level, or a number of crops."""
    if text in LEVELS or (text.isdecimal() and 1 <= int(text) <= CROPS):
        return text
    raise argparse.ArgumentTypeError(
        f"{text!r} is none of {', '.join(LEVELS)}, nor a number from 1 to {CROPS}"
    )


def open_eyes(package: PackageInfo, wanted: str | None) -> Eyes:
    """Looks as ``wanted``, or as the settings say."""
    return Eyes(package, wanted or SettingsFile(default_path()).load().settings.pictures.detail)


def sized(eyes: Eyes, parts: Sequence[Part]) -> list[Part]:
    """The parts of a question; what is lost in its pictures, and how long it takes, is said on stderr."""
    found, looks = eyes.sized(parts)
    for said in dict.fromkeys(detail.loss(look) for look in looks):
        if said:
            note(said)
    seconds = eyes.seconds(parts)
    if seconds > detail.LONG:
        note(f"About {detail.rounded(seconds)} s until the answer begins.")
    return found
