"""The tables, and how an older file gets the newest ones.

`PRAGMA user_version` is the number of steps that a file has seen. A step is never changed once it was
released; a new one is appended. All steps that are due run in one transaction.

Salvaging tells the tables apart by the number and types of their columns (`assistant.history.salvage`), so
none is WITHOUT ROWID, and their column lists must stay different. Long texts stand last: what is damaged of
them then costs no other column.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from models.errors import HistoryError

APPLICATION_ID: Final = 0x41736964  # "Asid", in the header of the file
PAGE_SIZE: Final = 4096  # bytes
DATABASE: Final = "history.db"
MEDIA: Final = "media"
DAMAGED: Final = "damaged-"  # and a number: folders with what was replaced by what could be salvaged

STEPS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE conversation (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            title TEXT NOT NULL,
            mode TEXT NOT NULL,
            created REAL NOT NULL,
            changed REAL NOT NULL,
            used INTEGER NOT NULL
        ) STRICT""",
        "CREATE INDEX conversation_used ON conversation (used)",
        """CREATE TABLE turn (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            conversation INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
            role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
            state TEXT NOT NULL CHECK (state IN ('open', 'complete', 'stopped', 'failed')),
            problem TEXT NOT NULL,
            model TEXT NOT NULL,
            figures TEXT NOT NULL,
            created REAL NOT NULL,
            hidden_by INTEGER,
            writer TEXT NOT NULL,
            text TEXT NOT NULL,
            transcript TEXT,
            heard TEXT
        ) STRICT""",
        "CREATE INDEX turn_conversation ON turn (conversation)",
        "CREATE INDEX turn_open ON turn (state) WHERE state = 'open'",
        """CREATE TABLE piece (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            turn INTEGER NOT NULL REFERENCES turn (id) ON DELETE CASCADE,
            text TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX piece_turn ON piece (turn)",
        """CREATE TABLE attachment (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            turn INTEGER NOT NULL REFERENCES turn (id) ON DELETE CASCADE,
            sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
            media_type TEXT NOT NULL,
            bytes INTEGER NOT NULL,
            name TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX attachment_turn ON attachment (turn)",
        """CREATE TABLE call (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            turn INTEGER NOT NULL REFERENCES turn (id) ON DELETE CASCADE,
            name TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('proposed', 'done', 'refused', 'failed')),
            arguments TEXT NOT NULL,
            result TEXT
        ) STRICT""",
        "CREATE INDEX call_turn ON call (turn)",
        # rowid: a turn's id, or minus a conversation's for its title
        'CREATE VIRTUAL TABLE found USING fts5 (body, tokenize = "unicode61 remove_diacritics 2 categories '
        "'L* N* Co So'\")",
    ),
)


def version(connection: sqlite3.Connection) -> int:
    """How many steps the file has seen; 0 if it is new."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check(connection: sqlite3.Connection, path: Path, steps: Sequence[Sequence[str]] = STEPS) -> None:
    """Raise HistoryError if the file is another program's, or a newer Aside's."""
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    objects = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    if application != APPLICATION_ID and (application or objects):
        raise HistoryError(f"{path} is not a history of Aside.", "Move it away or use another folder.")
    if version(connection) > len(steps):
        raise HistoryError(
            f"{path} was written by a newer Aside (format {version(connection)}, not {len(steps)}).",
            "Update Aside; the file was left as it is.",
        )


def migrate(connection: sqlite3.Connection, path: Path, steps: Sequence[Sequence[str]] = STEPS) -> None:
    """Run the steps that are due, all or none. Raises HistoryError as `check` does, sqlite3.Error."""
    if version(connection) == len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        check(connection, path, steps)
        for step in steps[version(connection) :]:  # another process may have run them meanwhile
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
