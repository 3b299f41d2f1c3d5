"""Small files that are replaced whole: a reader, or who comes after a crash, finds old or new content.

A change is made under a lock that lies beside the file, so two processes never lose each other's changes:

    with atomic.locked(path):
        atomic.replace(path, changed(atomic.read(path)))

All functions raise OSError.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

LARGEST: Final = 4 * 2**20  # bytes of a file that is read whole
_PATIENCE: Final = 10.0  # s, for whoever holds the lock
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, as one thread of one process; makes its folder. TimeoutError after 10 s."""
    make_folder(path.parent)
    with path.with_name(path.name + ".lock").open("ab") as file:
        until = time.monotonic() + _PATIENCE
        while not try_lock(file):
            if time.monotonic() > until:
                raise TimeoutError(errno.ETIMEDOUT, "Another program holds it", str(path))
            time.sleep(0.005)
        yield


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner can look into; one that exists is left as it is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def read(path: Path) -> bytes | None:
    """The content; None if there is no file."""
    try:
        # without O_NONBLOCK, opening a pipe waits for somebody to write into it
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "It is not a plain file", str(path))
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise OSError(errno.EFBIG, "It is far too large", str(path))
    return data


def replace(path: Path, data: bytes) -> None:
    """Give the file this content, which is on the disk on return. Hold the lock.

    A link is followed, so settings that are kept elsewhere stay there. Only the owner may read the file.
    """
    path = Path(os.path.realpath(path))
    new = path.with_name(path.name + ".new")  # one name, so that a killed process leaves one file at most
    try:
        new.unlink(missing_ok=True)  # never write through what lies there
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def append(path: Path, data: bytes) -> None:
    """Add to the end of a file; what doesn't fit on the disk is taken back. Hold the lock."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(handle, "ab", buffering=0) as file:
        before = os.fstat(handle).st_size
        try:
            while data:
                data = data[file.write(data) :]
            os.fsync(handle)
        except OSError:
            with suppress(OSError):
                file.truncate(before)
            raise
    flush_folder(path.parent)


def set_aside(path: Path) -> Path:
    """Rename a damaged file, so that it can be looked at; returns its new path. Hold the lock."""
    number = 1
    while (aside := path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")).exists():
        number += 1
    path.replace(aside)
    flush_folder(path.parent)
    return aside


def flush_folder(folder: Path) -> None:
    """Make the names in a folder durable; Windows does so by itself."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def reason(error: OSError) -> str:
    """Why it failed, as the end of a sentence: ``the disk is full``."""
    if error.errno in _FULL:
        return "the disk is full"
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


if sys.platform == "win32":  # not tried
    import msvcrt

    def try_lock(file: IO[bytes]) -> bool:
        """Take the lock of an open file, which lasts until it is closed; False if another has it."""
        file.seek(0)  # the lock is on a byte
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def try_lock(file: IO[bytes]) -> bool:
        """Take the lock of an open file, which lasts until it is closed; False if another has it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
