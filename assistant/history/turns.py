"""Rows of turns, with their media and tool calls, to records and back. Transactions are the caller's."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from assistant.history import words
from assistant.history.records import Media, NewTurn, State, ToolCall, Turn

ENDED: Final = "Aside ended before the reply was complete."
_COLUMNS: Final = (
    "id, conversation, role, state, text, transcript, heard, problem, model, figures, created, hidden_by"
)


def clean(text: str) -> str:
    """Text that UTF-8 can hold: lone surrogates become U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def insert(
    db: sqlite3.Connection,
    conversation: int,
    turn: NewTurn,
    media: Iterable[Media],
    *,
    state: State,
    writer: str = "",
) -> int:
    """Insert a turn, whose media have been placed; returns its id."""
    cursor = db.execute(
        "INSERT INTO turn (conversation, role, state, problem, model, figures, created, writer, text,"
        " transcript, heard) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(conversation, turn.role, state, clean(turn.problem), clean(turn.model), as_json(turn.figures)),
            *(time.time(), writer, clean(turn.text)),
            *(text if text is None else clean(text) for text in (turn.transcript, turn.heard)),
        ),
    )
    number = int(cursor.lastrowid or 0)
    insert_media(db, number, media)
    insert_calls(db, number, turn.calls)
    if state != "open":
        index(db, number)
    return number


def insert_media(db: sqlite3.Connection, turn: int, media: Iterable[Media]) -> None:
    """Add media, which have been placed, to a turn."""
    db.executemany(
        "INSERT INTO attachment (turn, sha256, media_type, bytes, name) VALUES (?, ?, ?, ?, ?)",
        ((turn, m.sha256, m.media_type, m.bytes, clean(m.name)) for m in media),
    )


def insert_calls(db: sqlite3.Connection, turn: int, calls: Iterable[ToolCall]) -> None:
    """Add tool calls to a turn."""
    db.executemany(
        "INSERT INTO call (turn, name, state, arguments, result) VALUES (?, ?, ?, ?, ?)",
        (
            (
                turn,
                clean(c.name),
                c.state,
                as_json(c.arguments),
                None if c.result is None else clean(c.result),
            )
            for c in calls
        ),
    )


def select(db: sqlite3.Connection, where: str, values: tuple[Any, ...], limit: int = -1) -> list[Turn]:
    """The last ``limit`` turns that fulfil a condition (SQL of our own), in their order."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM turn WHERE {where} ORDER BY id DESC LIMIT ?",  # noqa: S608 # our own words
        (*values, limit),
    ).fetchall()
    found = []
    for row in reversed(rows):
        number, conversation, role, state, text, transcript, heard, problem, model, figures, *rest = row
        if state == "open":
            text += "".join(piece for (piece,) in db.execute(_PIECES, (number,)))
        media = tuple(
            Media(*one)
            for one in db.execute(
                "SELECT sha256, media_type, bytes, name FROM attachment WHERE turn = ? ORDER BY id", (number,)
            )
        )
        calls = tuple(
            ToolCall(name, _object(arguments), call_state, result)
            for name, arguments, call_state, result in db.execute(
                "SELECT name, arguments, state, result FROM call WHERE turn = ? ORDER BY id", (number,)
            )
        )
        created, hidden_by = rest
        found.append(
            Turn(
                *(number, conversation, role, state, text, transcript, heard, problem, model),
                *(_object(figures), created, hidden_by, media, calls),
            )
        )
    return found


_PIECES: Final = "SELECT text FROM piece WHERE turn = ? ORDER BY id"


def close(db: sqlite3.Connection, number: int, state: State, problem: str = "") -> bool:
    """End a reply that is being written; False if it has ended before."""
    row = db.execute("SELECT text FROM turn WHERE id = ? AND state = 'open'", (number,)).fetchone()
    if row is None:
        return False
    text = row[0] + "".join(piece for (piece,) in db.execute(_PIECES, (number,)))
    db.execute(
        "UPDATE turn SET state = ?, text = ?, problem = ?, writer = '' WHERE id = ?",
        (state, text, clean(problem), number),
    )
    db.execute("DELETE FROM piece WHERE turn = ?", (number,))
    index(db, number)
    return True


def close_open(db: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Make failed turns of replies that nobody writes any more, with their text as far as it got."""
    for number in numbers:
        close(db, number, "failed", ENDED)


def index(db: sqlite3.Connection, number: int) -> None:
    """Put all texts of a turn into the index."""
    texts = list(db.execute("SELECT text, transcript FROM turn WHERE id = ?", (number,)).fetchone() or ())
    for row in db.execute("SELECT name, arguments, result FROM call WHERE turn = ? ORDER BY id", (number,)):
        texts += row
    texts += (name for (name,) in db.execute("SELECT name FROM attachment WHERE turn = ?", (number,)))
    words.index(db, number, texts)


def as_json(value: Mapping[str, Any]) -> str:
    """An object as the tables keep it."""
    return clean(json.dumps(dict(value), ensure_ascii=False))


def _object(text: str) -> dict[str, Any]:
    """JSON that we wrote; what damage has left of it is given as it is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {"unreadable": text}
    return value if isinstance(value, dict) else {"unreadable": text}
