"""What SQLite and the disk complain about, as a sentence."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from models.errors import HistoryError

DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_REFUSED: Final = (
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
)
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SALVAGE: Final = "`aside history salvage` saves what can be read; `aside history export` works too."


class DiskFullError(HistoryError):
    """There is no room; what was kept before is intact."""


class BusyError(HistoryError):
    """Another process holds the file."""


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Inside, errors of SQLite and of the file system become HistoryError."""
    try:
        yield
    except sqlite3.Error as error:
        raise of_sqlite(error, folder) from error
    except OSError as error:
        raise of_system(error, folder) from error


def code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for an error of Python's own."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def of_sqlite(error: sqlite3.Error, folder: Path) -> HistoryError:
    """The sentence for an error of SQLite."""
    reason = code(error)
    if reason == sqlite3.SQLITE_FULL:
        return disk_full(folder)
    if reason in _BUSY:
        return BusyError(
            f"Another program is using the history in {folder}.",
            "Wait until it has finished, then try again.",
        )
    if reason in DAMAGED:
        return HistoryError(f"The history in {folder} is damaged.", SALVAGE)
    if reason in _REFUSED:
        return HistoryError(
            f"The history in {folder} can't be opened for writing.", "Check the permissions of the folder."
        )
    return HistoryError(f"The history in {folder} can't be used: {error}.", "Check the disk.")


def of_system(error: OSError, folder: Path) -> HistoryError:
    """The sentence for an error of the file system."""
    if error.errno in _FULL:
        return disk_full(folder)
    place = error.filename if isinstance(error.filename, str) else folder
    return HistoryError(
        f"{place} can't be used: {error.strerror or error}.", "Check the disk and the folder."
    )


def disk_full(folder: Path) -> DiskFullError:
    """The sentence for a full disk."""
    return DiskFullError(
        f"The disk is full: nothing more can be kept in {folder}.",
        "Make room; what was kept before is intact.",
    )


def free_space(folder: Path) -> int:
    """Bytes that can still be written, without what is set aside for root. Raises OSError."""
    return shutil.disk_usage(folder).free
