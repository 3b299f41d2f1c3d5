"""What Aside keeps on the disk: where it lies and how much space it takes."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from assistant.atomic import reason
from assistant.packages import MODELS
from assistant.usage import FILE
from models.errors import SettingsError


@dataclass(frozen=True)
class Place:
    """Where something is kept, and its size. ``name``: history, tools, models or settings."""

    name: str
    path: Path
    bytes: int


def places(data: Path, settings: Path) -> tuple[Place, ...]:
    """All of them; what isn't there has no size."""
    found = [(name, data / name) for name in ("history", "tools", MODELS)] + [("settings", settings)]
    return tuple(Place(name, path, size(path)) for name, path in found)


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; links are not followed."""
    if not path.is_dir():
        with suppress(OSError):
            return path.lstat().st_size
        return 0
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += (Path(folder) / name).lstat().st_size
    return total


def size_words(count: int) -> str:
    """A size as people read it: ``3.2 MB``."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"


def forget_uses(data: Path) -> None:
    """Delete the log of what was used when. Raises SettingsError."""
    try:
        (data / FILE).unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(f"{data / FILE} can't be deleted: {reason(error)}.") from error
