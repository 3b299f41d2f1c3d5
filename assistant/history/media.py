"""Pictures and sound of the history: one file each, named by its SHA-256 and ending.

A file is written under another name, flushed, and renamed, so a name stands for its content or for nothing.
New files get their names, and old ones go, inside a write transaction of the database: that is the lock
between processes.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from assistant.history import writer
from assistant.history.records import Media, NewMedia
from models.errors import HistoryError

_TEMPORARY: Final = "new-"
_BLOCK: Final = 1 << 20  # bytes copied at once


class MediaFolder:
    """The folder, made when the first file comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def staged(self, media: Iterable[NewMedia | Media]) -> Iterator[list[tuple[Media, Path | None]]]:
        """Write new files under temporary names, for `place`; what is left of them goes at the end.

        What is kept already has no path. Raises OSError, HistoryError.
        """
        found: list[tuple[Media, Path | None]] = []
        try:
            for one in media:
                if isinstance(one, Media):
                    self.path(one)
                    found.append((one, None))
                    continue
                make_folder(self.folder)
                temporary = self.folder / f"{_TEMPORARY}{writer.me()}-{secrets.token_hex(8)}"
                try:
                    found.append((_written(one, temporary), temporary))
                except BaseException:
                    temporary.unlink(missing_ok=True)
                    raise
            yield found
        finally:
            for _, path in found:
                if path:
                    path.unlink(missing_ok=True)

    def place(self, staged: Iterable[tuple[Media, Path | None]]) -> None:
        """Give staged files their names, durably. Raises OSError."""
        moved = False
        for media, path in staged:
            if path:
                path.replace(self.folder / media.file_name)
                moved = True
        if moved:
            flush_folder(self.folder)

    def path(self, media: Media) -> Path:
        """Where a file is. Raises HistoryError if it is missing."""
        path = self.folder / media.file_name
        if not path.is_file():
            raise HistoryError(
                f"{_called(media)} is missing: {path} is gone.", "The rest of the turn is intact."
            )
        return path

    def read(self, media: Media) -> bytes:
        """The content. Raises HistoryError if the file is missing or was changed, OSError."""
        path = self.path(media)
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != media.sha256:
            raise _changed(media, path)
        return data

    def checked(self, media: Media) -> Path:
        """Where a file is, after its content was compared, block by block. Raises as `read` does."""
        path = self.path(media)
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != media.sha256:
                raise _changed(media, path)
        return path

    def names(self) -> list[str]:
        """The files that have their name."""
        return sorted(name for name in self._all() if not name.startswith(_TEMPORARY))

    def sweep(self, kept: Collection[str]) -> None:
        """Remove every file but those named, and what processes that have died left half-written."""
        gone = False
        for name in self._all():
            if name in kept or (name.startswith(_TEMPORARY) and writer.lives(_writer(name))):
                continue
            (self.folder / name).unlink(missing_ok=True)
            gone = True
        if gone:
            flush_folder(self.folder)

    def _all(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner can look into."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name == "posix" and folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def flush_folder(folder: Path) -> None:
    """Make the names in a folder durable; Windows does so by itself."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _written(media: NewMedia, path: Path) -> Media:
    digest = hashlib.sha256()
    size = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for block in _blocks(media.source):
            digest.update(block)
            size += len(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    name = media.name or (media.source.name if isinstance(media.source, Path) else "")
    return Media(digest.hexdigest(), media.media_type, size, name)


def _blocks(source: bytes | Path) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _writer(name: str) -> str:
    """The process that a temporary file's name tells."""
    return name.removeprefix(_TEMPORARY).rpartition("-")[0]


def _called(media: Media) -> str:
    kind = {"image": "picture", "audio": "recording"}.get(media.media_type.partition("/")[0], "file")
    return f"The {kind} {media.name}" if media.name else f"A {kind}"


def _changed(media: Media, path: Path) -> HistoryError:
    return HistoryError(
        f"{_called(media)} was changed: {path} is not what was kept.", "The rest of the turn is intact."
    )
