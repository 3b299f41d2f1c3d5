"""What can still be read of a damaged history, put into a new one.

The damaged file is only read. `History` reads a damaged one through `read`, in memory; `into` writes a new
history elsewhere, `in_place` puts it where the damaged one was and keeps that beside it.
"""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assistant.history import pages, schema, turns, words
from assistant.history.faults import explained
from assistant.history.media import MediaFolder, flush_folder, make_folder
from assistant.history.pages import Row, Value
from assistant.history.records import SUFFIXES, Media
from models.errors import HistoryError


@dataclass(frozen=True)
class Salvaged:
    """What was found.

    conversations  that have their title, or stand in for one that is lost
    turns          in them
    media          files in place; ``lost`` are those that turns name and that are gone
    kept           where the damaged file is
    """

    conversations: int
    turns: int
    media: int
    lost: int
    kept: Path


@dataclass(frozen=True)
class _Table:
    name: str
    columns: tuple[str, ...]
    fits: Callable[[Row], bool]


def _is(row: Row, kinds: str) -> bool:
    """Whether columns have their types: k key, i integer, r real, t text; T and I may be null."""
    if len(row) != len(kinds):
        return False
    for value, kind in zip(row, kinds, strict=True):
        allowed: tuple[type, ...] = {
            "k": (),
            "i": (int,),
            "r": (int, float),  # whole numbers are stored as integers
            "t": (str,),
            "T": (str,),
            "I": (int,),
        }[kind]
        if value is None:
            if kind not in "kTI":
                return False
        elif not isinstance(value, allowed) or (isinstance(value, float) and not math.isfinite(value)):
            return False
    return True


# The columns of `assistant.history.schema`, in their order.
_TABLES: Final = (
    _Table(
        "conversation",
        ("id", "title", "mode", "created", "changed", "used"),
        lambda row: _is(row, "kttrri"),
    ),
    _Table(
        "turn",
        (
            *("id", "conversation", "role", "state", "problem", "model", "figures", "created"),
            *("hidden_by", "writer", "text", "transcript", "heard"),
        ),
        lambda row: (
            _is(row, "kitttttrIttTT")
            and row[2] in ("user", "assistant")
            and row[3] in ("open", "complete", "stopped", "failed")
        ),
    ),
    _Table("piece", ("id", "turn", "text"), lambda row: _is(row, "kit")),
    _Table(
        "attachment",
        ("id", "turn", "sha256", "media_type", "bytes", "name"),
        lambda row: _is(row, "kittit") and _is_digest(row[2]) and row[3] in SUFFIXES,
    ),
    _Table(
        "call",
        ("id", "turn", "name", "state", "arguments", "result"),
        lambda row: _is(row, "kitttT") and row[3] in ("proposed", "done", "refused", "failed"),
    ),
)


def _is_digest(value: Value) -> bool:
    return isinstance(value, str) and len(value) == 64 and not set(value) - set("0123456789abcdef")


def read(folder: Path, connection: sqlite3.Connection) -> None:
    """Fill an empty database with what can be read in the damaged one of ``folder``. Raises OSError."""
    found: dict[str, dict[int, Row]] = {table.name: {} for table in _TABLES}
    path = folder / schema.DATABASE
    if path.is_file():
        for rowid, row in pages.rows(path, schema.PAGE_SIZE):
            for table in _TABLES:
                if rowid > 0 and table.fits(row):
                    found[table.name].setdefault(rowid, (rowid, *row[1:]))
    times: dict[int, list[float]] = {}
    for row in found["turn"].values():
        times.setdefault(int(str(row[1])), []).append(float(str(row[7])))
    for number, when in times.items():
        found["conversation"].setdefault(number, (number, "", "chat", min(when), max(when), 0))
    for name in ("piece", "attachment", "call"):
        found[name] = {number: row for number, row in found[name].items() if row[1] in found["turn"]}
    with connection:
        connection.execute("BEGIN")
        for table in _TABLES:
            marks = ", ".join("?" * len(table.columns))
            connection.executemany(
                f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({marks})",  # noqa: S608 # our own names
                (found[table.name][number] for number in sorted(found[table.name])),
            )
        turns.close_open(connection, found["turn"])
        for number in found["turn"]:
            turns.index(connection, number)
        for number, row in found["conversation"].items():
            words.index(connection, -number, [str(row[1])])


def into(folder: Path, target: Path) -> Salvaged:
    """Write what can be read of the history in ``folder`` into a new one in ``target``.

    Raises HistoryError, also if there is something in ``target`` already.
    """
    with explained(target):
        if target.exists() and any(target.iterdir()):
            raise HistoryError(f"There is something in {target} already.", "Give a new folder.")
        make_folder(target)
        _database(folder, target / schema.DATABASE)
        return _media(folder, target, target / schema.DATABASE, folder / schema.DATABASE)


def in_place(folder: Path) -> Salvaged:
    """Put what can be read where the damaged history was, which is kept in a folder beside it.

    No other process may use the history meanwhile. Raises HistoryError.
    """
    path = folder / schema.DATABASE
    with explained(folder):
        kept = _new_folder(folder)
        log = path.with_name(path.name + "-wal")
        for file in (path, log):
            if file.is_file():
                _copy(file, kept / file.name)
        flush_folder(kept)
        fresh = folder / f"{schema.DATABASE}-new"
        fresh.unlink(missing_ok=True)
        _database(folder, fresh)
        # From here on the copies are complete; a log beside another database would be played into it.
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        fresh.replace(path)
        flush_folder(folder)
        named = set(_named(path))
        media = MediaFolder(folder / schema.MEDIA)
        for name in media.names():
            if name not in named:
                make_folder(kept / schema.MEDIA)
                (media.folder / name).replace(kept / schema.MEDIA / name)
        return _media(folder, folder, path, kept / schema.DATABASE)


def _database(folder: Path, path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size = {schema.PAGE_SIZE}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        schema.migrate(connection, path)
        read(folder, connection)
    finally:
        connection.close()


def _named(path: Path) -> dict[str, Media]:
    """The files that the turns of a database name."""
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute(
            "SELECT DISTINCT sha256, media_type, bytes, name FROM attachment"
        ).fetchall()
    finally:
        connection.close()
    return {media.file_name: media for media in (Media(*row) for row in rows)}


def _media(folder: Path, target: Path, path: Path, kept: Path) -> Salvaged:
    """Copy the media that a new database names, and count everything."""
    found = lost = 0
    for name in _named(path):
        source = folder / schema.MEDIA / name
        if not source.is_file():
            lost += 1
            continue
        found += 1
        if target != folder:
            make_folder(target / schema.MEDIA)
            _copy(source, target / schema.MEDIA / name)
    connection = sqlite3.connect(path)
    try:
        conversations, count = connection.execute(
            "SELECT (SELECT count(*) FROM conversation), (SELECT count(*) FROM turn)"
        ).fetchone()
    finally:
        connection.close()
    return Salvaged(conversations, count, found, lost, kept)


def _copy(source: Path, target: Path) -> None:
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb") as out, source.open("rb") as file:
        shutil.copyfileobj(file, out, 1 << 20)
        out.flush()
        os.fsync(out.fileno())


def _new_folder(folder: Path) -> Path:
    number = 1
    while (folder / f"{schema.DAMAGED}{number}").exists():
        number += 1
    make_folder(folder / f"{schema.DAMAGED}{number}")
    return folder / f"{schema.DAMAGED}{number}"
