"""Opening a history: examined without writing a byte, then for writing; if it can't be, a copy in memory."""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assistant.history import faults, salvage, schema
from assistant.history.faults import SALVAGE, explained
from assistant.history.media import MediaFolder, make_folder
from models.errors import HistoryError

_NO_ROOM: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_REFUSED: Final = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
_AGAIN: Final = 0.02  # s between tries that SQLite's own patience does not cover


@dataclass(frozen=True)
class Opened:
    """A connection; ``problem`` is why it is a copy in memory that nothing can be added to, or None."""

    connection: sqlite3.Connection
    problem: HistoryError | None = None


def open_history(folder: Path, timeout: float) -> Opened:
    """Open the history in a folder, new if there is none; ``timeout`` (s) is the patience with others.

    Raises HistoryError if it is another program's or a newer Aside's, locked, or unreadable.
    """
    path = folder / schema.DATABASE
    with explained(folder):
        make_folder(folder)
        # The log is looked at first: a process that is just making the history makes the file before it.
        left = _size(path.with_name(path.name + "-wal")) or MediaFolder(folder / schema.MEDIA).names()
        exists = _size(path) > 0
        if left and not exists:
            # SQLite would take it for new, and drop the log; we would drop the media
            return _in_memory(
                folder, HistoryError(f"{path} is empty or missing, and its media are not.", SALVAGE)
            )
        try:
            if exists:
                _examine(path, timeout)
            return Opened(_connect(path, timeout))
        except sqlite3.Error as error:
            reason = faults.code(error)
            if exists and reason in (*faults.DAMAGED, *_NO_ROOM, *_REFUSED):
                return _in_memory(folder, _sentence(error, folder))
            raise


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sentence(error: sqlite3.Error, folder: Path) -> HistoryError:
    """At opening an I/O error comes from the shared index, for which there is no room."""
    if faults.code(error) == sqlite3.SQLITE_IOERR and faults.free_space(folder) < 2**20:
        return faults.disk_full(folder)
    return faults.of_sqlite(error, folder)


def _examine(path: Path, timeout: float) -> None:
    """Look for damage through a connection that can't write, not even a checkpoint when it closes."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=timeout, isolation_level=None
    )
    try:
        schema.check(connection, path)
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    finally:
        connection.close()
    if found != "ok":
        error = sqlite3.DatabaseError(found)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _connect(path: Path, timeout: float) -> sqlite3.Connection:
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    elif os.name == "posix" and path.stat().st_mode & 0o077:
        path.chmod(0o600)
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        for pragma in (
            f"page_size = {schema.PAGE_SIZE}",
            "foreign_keys = ON",
            "trusted_schema = OFF",
            "cell_size_check = ON",
            "temp_store = MEMORY",  # no text in /tmp
            "secure_delete = ON",  # freed bytes are overwritten
            "synchronous = FULL",  # a commit returns when it is on the disk
            "fullfsync = ON",  # also on macOS
            "checkpoint_fullfsync = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")
        _log_ahead(connection, timeout)
        schema.migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _log_ahead(connection: sqlite3.Connection, timeout: float) -> None:
    """Switch to a write-ahead log; SQLite has no patience with another process that does so, too."""
    until = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if faults.code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_AGAIN)


def _in_memory(folder: Path, problem: HistoryError) -> Opened:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        schema.migrate(connection, folder / schema.DATABASE)
        salvage.read(folder, connection)
        connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return Opened(connection, problem)
