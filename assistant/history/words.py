"""Search: text as the index takes it, a person's words as a query, snippets.

SQLite's tokenizer parts words at spaces. Chinese, Japanese, Korean and Thai hardly use them, so every
character of these scripts, and every emoji, becomes a word of its own, parted by zero-width spaces; a query
of several becomes a phrase. That finds words of any length, which an index of trigrams does not.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
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
_DROPPED: Final = dict.fromkeys(map(ord, (_JOINT, "\0")), " ")
_MOST_WORDS: Final = 32  # of one query; FTS5 gives up at a depth of 256
_LONGEST: Final = 200  # characters of one word
_BEFORE: Final = 40  # characters of a snippet ahead of what was found
_SNIPPET: Final = 160  # characters


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
    pattern = _pattern(words)
    for rowid, conversation, title, turn, role, created in rows:
        (body,) = connection.execute("SELECT body FROM found WHERE rowid = ?", (rowid,)).fetchone()
        hits.append(Hit(conversation, title, turn, role, created, tuple(_snippet(body, pattern))))
    return hits


class _Fold(dict[int, int]):
    """Each character to the small letter without accents, as the tokenizer has it; made when first asked."""

    def __missing__(self, code: int) -> int:
        base = chr(code)
        if not _PARTED.match(base):
            base = unicodedata.normalize("NFD", base)[0].lower()
        self[code] = ord(base) if len(base) == 1 else code
        return self[code]


_FOLD: Final = _Fold()
_SEPARATOR: Final = r"[\W_]+"
_TOKEN: Final = re.compile(rf"{_PARTED.pattern}|(?:(?!{_PARTED.pattern})[^\W_])+")


def _pattern(words: str) -> re.Pattern[str]:
    """Where in an indexed and folded text the words stand, each at the beginning of a word."""
    found = []
    for word in words.translate(_DROPPED).split()[:_MOST_WORDS]:
        parts = _TOKEN.findall(word[:_LONGEST].translate(_FOLD))
        if parts:
            found.append(_SEPARATOR.join(map(re.escape, parts)))
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(found)})" if found else "(?!)")


def places(text: str, words: str) -> list[tuple[int, int]]:
    """Where in a text the words of a search stand: the first character and the one after the last."""
    found = []
    for word in words.translate(_DROPPED).split()[:_MOST_WORDS]:
        parts = _TOKEN.findall(word[:_LONGEST].translate(_FOLD))
        if parts:
            start = "" if _PARTED.match(parts[0]) else r"(?<![^\W_])"
            found.append(start + r"[\W_]*".join(map(re.escape, parts)))
    if not found:
        return []
    return [match.span() for match in re.finditer("|".join(found), text.translate(_FOLD))]


def _snippet(body: str, pattern: re.Pattern[str]) -> Iterator[Run]:
    """The surroundings of the first place. FTS5's own takes minutes for a word that comes 200,000 times."""
    folded = body.translate(_FOLD)
    first = pattern.search(folded)
    at = first.start() if first else 0
    start = max(0, at - _BEFORE)
    if start:
        gap = _GAP.search(body, start, at)
        start = gap.end() if gap else at
        yield Run("…", found=False)
    end = start + _SNIPPET
    if first:
        end = max(end, min(first.end(), start + 2 * _SNIPPET))
    place = start
    for match in pattern.finditer(folded, start, end):
        yield from _run(body[place : match.start()], found=False)
        yield from _run(body[match.start() : match.end()], found=True)
        place = match.end()
    yield from _run(body[place:end], found=False)
    if end < len(body):
        yield Run("…", found=False)


_GAP: Final = re.compile(rf"[\s{_JOINT}]+")


def _run(text: str, found: bool) -> Iterator[Run]:
    text = re.sub(r"\s+", " ", text.replace(_JOINT, ""))
    if text:
        yield Run(text, found)
