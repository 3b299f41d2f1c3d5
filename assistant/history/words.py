"""Search: text as the index takes it, a person's words as a query, snippets.

SQLite's tokenizer parts words at spaces. Chinese, Japanese, Korean and Thai hardly use them, so every
character of these scripts, and every emoji, becomes a word of its own, parted by zero-width spaces; a query
of several becomes a phrase. That finds words of any length, which an index of trigrams does not.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

from assistant.history.records import Hit, Run

_PARTED: Final = re.compile(
    "["
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u1100-\u11ff\uac00-\ud7af"  # Hangul
    "\u2190-\u2bff\U0001f000-\U0001faff"  # symbols, emoji
    "\u2e80-\u303f\u3040-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana and ideographs
    "\U00020000-\U0003ffff"
    "]"
)
_JOINT: Final = "\u200b"
_OPEN, _CLOSE = "\x02", "\x03"  # around what was found; removed from the text before it is indexed
_DROPPED: Final = dict.fromkeys(map(ord, (_JOINT, _OPEN, _CLOSE, "\0")), " ")
_MOST_WORDS: Final = 32  # of one query; FTS5 gives up at a depth of 256
_LONGEST: Final = 200  # characters of one word
_SNIPPET: Final = 24  # words; FTS5 allows 64


def indexed(text: str) -> str:
    """Text for the index."""
    return _PARTED.sub(lambda match: _JOINT + match[0] + _JOINT, text.translate(_DROPPED))


def query(words: str) -> str:
    """A person's words as an FTS5 query: all of them must occur, each at least as the beginning of a word.

    Whatever is written, it is searched for literally: inside double quotes FTS5 knows no syntax.
    """
    phrases = [indexed(word[:_LONGEST]).replace('"', '""') for word in words.translate(_DROPPED).split()]
    return " ".join(f'"{phrase}" *' for phrase in phrases[:_MOST_WORDS])


def index(connection: sqlite3.Connection, rowid: int, texts: Iterable[str | None]) -> None:
    """Put texts into the index, in place of what stood there under this number."""
    connection.execute("DELETE FROM found WHERE rowid = ?", (rowid,))
    body = "\n".join(dict.fromkeys(text for text in texts if text))
    if body:
        connection.execute("INSERT INTO found (rowid, body) VALUES (?, ?)", (rowid, indexed(body)))


def search(connection: sqlite3.Connection, words: str, limit: int, offset: int) -> list[Hit]:
    """Titles first, then turns, the newest first; nothing that is hidden."""
    match = query(words)
    if not match:
        return []
    rows = connection.execute(
        """SELECT found.rowid, c.id, c.title, t.id, t.role, coalesce(t.created, c.changed)
        FROM found LEFT JOIN turn AS t ON t.id = found.rowid
        JOIN conversation AS c ON c.id = coalesce(t.conversation, -found.rowid)
        WHERE found MATCH ? AND t.hidden_by IS NULL
        ORDER BY found.rowid > 0, abs(found.rowid) DESC LIMIT ? OFFSET ?""",
        (match, limit, offset),
    ).fetchall()
    hits = []
    for rowid, conversation, title, turn, role, created in rows:
        # one by one, because SQLite would otherwise cut the snippets of all rows before it sorts
        (snippet,) = connection.execute(
            "SELECT snippet(found, 0, ?, ?, '…', ?) FROM found WHERE found MATCH ? AND rowid = ?",
            (_OPEN, _CLOSE, _SNIPPET, match, rowid),
        ).fetchone()
        hits.append(Hit(conversation, title, turn, role, created, tuple(_runs(snippet))))
    return hits


def _runs(snippet: str) -> Iterator[Run]:
    text = " ".join(snippet.replace(_JOINT, "").split())
    for number, part in enumerate(re.split(f"[{_OPEN}{_CLOSE}]", text)):
        if part:
            yield Run(part, found=number % 2 == 1)
