"""The history: everything that can be done with it, each call one transaction."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from assistant.history import schema, turns, words, writer
from assistant.history.faults import DAMAGED, BusyError, DiskFullError, code, explained, free_space
from assistant.history.media import MediaFolder
from assistant.history.opening import open_history
from assistant.history.records import CallState, Conversation, Hit, Media, NewMedia, NewTurn, ToolCall, Turn
from assistant.history.streaming import EVERY, StreamedTurn
from models.errors import HistoryError

PATIENCE: Final = 5.0  # s with another process that writes
_TITLE: Final = 60  # characters of a title made of the first question
_CONVERSATION: Final = (
    "SELECT id, title, mode, created, changed, used,"
    " (SELECT count(*) FROM turn WHERE conversation = c.id AND hidden_by IS NULL) FROM conversation AS c"
)
_MARGIN: Final = 1 << 20  # bytes
_DAY: Final = 86400.0  # s


class History:
    """The conversations in a folder, which is made when it is missing. Close it; safe between threads.

    What a writing method has returned is on the disk. Each raises HistoryError, and has then changed nothing.
    ``problem`` is None, or why the history can only be read: it is damaged, or there is no room. What could
    be read of it then answers all reading methods, and the file is left as it is.
    """

    def __init__(self, folder: Path, patience: float = PATIENCE) -> None:
        self.folder = folder
        self.media = MediaFolder(folder / schema.MEDIA)
        self._lock = threading.RLock()
        opened = open_history(folder, patience)
        self._db = opened.connection
        self.problem = opened.problem
        if not self.problem:
            try:
                with contextlib.suppress(BusyError, DiskFullError):  # then next time
                    self._recover()
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    # --- writing

    def create(self, title: str = "", mode: str = "chat") -> Conversation:
        """A new conversation. Without a title it gets one from its first question."""
        now = time.time()
        with self._write() as db:
            row = db.execute(
                "INSERT INTO conversation (title, mode, created, changed, used) VALUES (?, ?, ?, ?,"
                " (SELECT coalesce(max(used), 0) + 1 FROM conversation)) RETURNING id",
                (turns.clean(title), turns.clean(mode), now, now),
            ).fetchone()
            words.index(db, -row[0], [turns.clean(title)])
            return self._conversation(row[0])

    def append(self, conversation: int, turn: NewTurn, instead_of: int | None = None) -> Turn:
        """Add a turn. With ``instead_of``, that turn and all later ones are hidden: an edited question, or a
        new reply to the same.
        """
        return self._add(conversation, turn, turn.state, instead_of)

    def stream(
        self, conversation: int, model: str = "", instead_of: int | None = None, every: float = EVERY
    ) -> StreamedTurn:
        """Begin a reply that is being written; what is there of it survives the process."""
        turn = self._add(conversation, NewTurn("assistant", model=model), "open", instead_of)
        return StreamedTurn(self, turn.id, every)

    def extend(self, turn: int, text: str) -> None:
        """Add text to a reply that is being written."""
        with self._write() as db:
            self._check_open(turn)
            db.execute("INSERT INTO piece (turn, text) VALUES (?, ?)", (turn, turns.clean(text)))

    def add_call(self, turn: int, call: ToolCall) -> None:
        """Add a tool call to a reply that is being written."""
        with self._write() as db:
            self._check_open(turn)
            turns.insert_calls(db, turn, [call])

    def finish(
        self,
        turn: int,
        state: Literal["complete", "stopped", "failed"],
        *,
        text: str = "",
        problem: str = "",
        calls: Sequence[ToolCall] = (),
        heard: str | None = None,
        figures: Mapping[str, Any] | None = None,
    ) -> Turn:
        """End a reply that is being written, with the last of its text."""
        with self._write() as db:
            self._check_open(turn)
            if text:
                db.execute("INSERT INTO piece (turn, text) VALUES (?, ?)", (turn, turns.clean(text)))
            turns.insert_calls(db, turn, calls)
            turns.close(db, turn, state, problem)
            db.execute(
                "UPDATE turn SET heard = ?, figures = ? WHERE id = ?",
                (None if heard is None else turns.clean(heard), turns.as_json(figures or {}), turn),
            )
            kept = self.turn(turn)
            self._touch(kept.conversation)
            return kept

    def attach(self, turn: int, media: NewMedia) -> Media:
        """Add a file to a turn, also to one that is being written."""
        with self._placed([media]) as (db, kept):
            self.turn(turn)
            turns.insert_media(db, turn, kept)
            return kept[0]

    def set_heard(self, turn: int, heard: str | None) -> None:
        """Keep how much of a spoken reply was heard before it was interrupted."""
        with self._write() as db:
            self.turn(turn)
            text = None if heard is None else turns.clean(heard)
            db.execute("UPDATE turn SET heard = ? WHERE id = ?", (text, turn))

    def add_figures(self, turn: int, figures: Mapping[str, Any]) -> None:
        """Keep what became known of a reply's cost after its end, beside what is kept of it."""
        with self._write() as db:
            known = turns.as_json({**self.turn(turn).figures, **figures})
            db.execute("UPDATE turn SET figures = ? WHERE id = ?", (known, turn))

    def set_transcript(self, turn: int, transcript: str) -> None:
        """Keep what was understood of a spoken question, once it is known."""
        with self._write() as db:
            asked = self.turn(turn)
            db.execute("UPDATE turn SET transcript = ? WHERE id = ?", (turns.clean(transcript), turn))
            turns.index(db, turn)
            self._name(asked.conversation, transcript)

    def set_result(self, turn: int, number: int, state: CallState, result: str | None) -> None:
        """Keep what became of a turn's tool call, counted from 0."""
        with self._write() as db:
            row = db.execute(
                "SELECT id FROM call WHERE turn = ? ORDER BY id LIMIT 1 OFFSET ?", (turn, max(0, number))
            ).fetchone()
            if row is None or number < 0:
                raise HistoryError(f"Turn {turn} has no tool call {number}.")
            text = None if result is None else turns.clean(result)
            db.execute("UPDATE call SET state = ?, result = ? WHERE id = ?", (state, text, row[0]))
            turns.index(db, turn)

    def name_after(self, conversation: int, text: str, instead_of: str) -> Conversation:
        """Call a conversation by the beginning of a text, unless somebody gave it another title."""
        if text.strip():
            with self._write():
                self._name(conversation, text, turns.clean(instead_of))
        return self.conversation(conversation)

    def rename(self, conversation: int, title: str) -> Conversation:
        """Give a conversation another title."""
        with self._write() as db:
            self._conversation(conversation)
            db.execute("UPDATE conversation SET title = ? WHERE id = ?", (turns.clean(title), conversation))
            words.index(db, -conversation, [turns.clean(title)])
            return self._conversation(conversation)

    def delete(self, *conversations: int) -> None:
        """Remove conversations: rows, index, and files that no other turn names; freed bytes are overwritten.

        If the disk is too full even for that, the files go first.
        """
        try:
            self._delete(conversations)
        except DiskFullError:
            for name in self._media_of(conversations):
                (self.media.folder / name).unlink(missing_ok=True)
            self._delete(conversations)
        self._scrub()

    def delete_older(self, days: float, now: float | None = None) -> int:
        """Delete conversations not used for so many days; returns how many. ``now`` is in s since 1970."""
        limit = (time.time() if now is None else now) - days * _DAY
        with self._read() as db:
            rows = db.execute("SELECT id FROM conversation WHERE changed < ?", (limit,)).fetchall()
        if rows:
            self.delete(*(number for (number,) in rows))
        return len(rows)

    def wipe(self) -> None:
        """Delete everything, copies of damaged files too. `erase` does so where the file can't be written."""
        with self._read() as db:
            rows = db.execute("SELECT id FROM conversation").fetchall()
        self.delete(*(number for (number,) in rows))
        with explained(self.folder):
            _remove(path for path in self.folder.glob(f"{schema.DAMAGED}*"))

    # --- reading

    def conversations(self, limit: int = 50, before: int | None = None) -> list[Conversation]:
        """The last used first; ``before`` is the `Conversation.used` of the last one of the page before."""
        with self._read() as db:
            rows = db.execute(
                f"{_CONVERSATION} WHERE used < ? ORDER BY used DESC LIMIT ?",
                (1 << 62 if before is None else before, limit),
            ).fetchall()
        return [Conversation(*row) for row in rows]

    def conversation(self, number: int) -> Conversation:
        """One of them."""
        with self._read():
            return self._conversation(number)

    def turns(
        self, conversation: int, *, hidden: bool = False, limit: int = -1, before: int | None = None
    ) -> list[Turn]:
        """The visible turns in their order, or all; the last ``limit`` of them, those before a turn's id."""
        with self._read() as db:
            self._conversation(conversation)
            where = "conversation = ? AND id < ?" + ("" if hidden else " AND hidden_by IS NULL")
            return turns.select(db, where, (conversation, 1 << 62 if before is None else before), limit)

    def turn(self, number: int) -> Turn:
        """One turn."""
        with self._read() as db:
            found = turns.select(db, "id = ?", (number,))
        if not found:
            raise HistoryError(f"There is no turn {number}.", "It may have been deleted.")
        return found[0]

    def search(self, query: str, limit: int = 50, offset: int = 0) -> list[Hit]:
        """Titles and visible turns that hold all words, or words that begin with them; the newest first."""
        with self._read() as db:
            return words.search(db, query, limit, offset)

    def is_intact(self) -> bool:
        """Look at every page and at the index, which opening does not. Slow for a large file."""
        if self.problem:
            return False
        with self._lock, explained(self.folder):
            try:
                self._db.execute("INSERT INTO found (found) VALUES ('integrity-check')")
                found = self._db.execute("PRAGMA integrity_check(1)").fetchone()[0]
            except sqlite3.DatabaseError as error:
                if code(error) in DAMAGED:
                    return False
                raise
        return bool(found == "ok")

    # --- inside

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        """One state of the file for several reads; inside a write, that one."""
        with self._lock, explained(self.folder):
            if self._db.in_transaction:
                yield self._db
                return
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                self._db.execute("COMMIT")

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other process can come between."""
        with self._lock, explained(self.folder):
            if self.problem:
                raise HistoryError(
                    f"Nothing can be changed: {_small(self.problem.what)}", self.problem.remedy
                )
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def _add(
        self,
        conversation: int,
        turn: NewTurn,
        state: Literal["open", "complete", "stopped", "failed"],
        instead_of: int | None,
    ) -> Turn:
        with self._placed(turn.media) as (db, kept):
            self._conversation(conversation)
            if instead_of is not None:
                self._check_visible(conversation, instead_of)
            owner = writer.me() if state == "open" else ""
            number = turns.insert(db, conversation, turn, kept, state=state, writer=owner)
            if instead_of is not None:
                db.execute(
                    "UPDATE turn SET hidden_by = ?1 WHERE conversation = ?2 AND id >= ?3 AND id < ?1"
                    " AND hidden_by IS NULL",
                    (number, conversation, instead_of),
                )
            self._touch(conversation)
            if turn.role == "user":
                self._name(conversation, turn.transcript or turn.text)
            return self.turn(number)

    @contextmanager
    def _placed(self, media: Iterable[NewMedia | Media]) -> Iterator[tuple[sqlite3.Connection, list[Media]]]:
        """A transaction in which these files have their names; without it, they go again."""
        placed = False
        try:
            with explained(self.folder), self.media.staged(media) as staged, self._write() as db:
                placed = any(path for _, path in staged)
                self.media.place(staged)
                yield db, [one for one, _ in staged]
        except BaseException:
            if placed:
                with contextlib.suppress(HistoryError):
                    self._sweep()
            raise

    def _conversation(self, number: int) -> Conversation:
        row = self._db.execute(f"{_CONVERSATION} WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise HistoryError(
                f"There is no conversation {number}.", "`aside history list` shows those that there are."
            )
        return Conversation(*row)

    def _check_visible(self, conversation: int, turn: int) -> None:
        found = self.turn(turn)
        if found.conversation != conversation or found.hidden_by is not None:
            raise HistoryError(f"Turn {turn} is not a visible one of conversation {conversation}.")

    def _check_open(self, turn: int) -> None:
        if self.turn(turn).state != "open":
            raise HistoryError(f"Turn {turn} has ended: nothing can be added to it.")

    def _touch(self, conversation: int) -> None:
        """Put a conversation in front of the list."""
        self._db.execute(
            "UPDATE conversation SET changed = ?, used = (SELECT max(used) + 1 FROM conversation)"
            " WHERE id = ?",
            (time.time(), conversation),
        )

    def _name(self, conversation: int, text: str, instead_of: str = "") -> None:
        """Make a title of a text, if it has no other than that."""
        line = " ".join(turns.clean(text).split())
        title = line if len(line) <= _TITLE else line[: _TITLE - 1].rstrip() + "…"
        changed = self._db.execute(
            "UPDATE conversation SET title = ? WHERE id = ? AND title = ?", (title, conversation, instead_of)
        )
        if changed.rowcount and title:
            words.index(self._db, -conversation, [title])

    def _delete(self, conversations: Sequence[int]) -> None:
        with self._write() as db:
            for number in conversations:
                self._conversation(number)
                rows = db.execute("SELECT id FROM turn WHERE conversation = ?", (number,)).fetchall()
                db.executemany("DELETE FROM found WHERE rowid = ?", [*rows, (-number,)])
                db.execute("DELETE FROM conversation WHERE id = ?", (number,))
            # merges the index, which until then only marks words as deleted
            db.execute("INSERT INTO found (found) VALUES ('optimize')")

    def _media_of(self, conversations: Sequence[int]) -> set[str]:
        """The files that only these conversations name."""
        with self._read() as db:
            rows = db.execute(
                "SELECT DISTINCT conversation, sha256, media_type, bytes FROM attachment"
                " JOIN turn ON turn.id = attachment.turn"
            ).fetchall()
        named = [(number in conversations, Media(*rest).file_name) for number, *rest in rows]
        return {name for ours, name in named if ours} - {name for ours, name in named if not ours}

    def _scrub(self) -> None:
        """Leave no trace of what was deleted in the file, its log, or the media folder."""
        self._sweep()
        try:
            self._empty_log()
            with self._lock, explained(self.folder):
                size = (self.folder / schema.DATABASE).stat().st_size
                if free_space(self.folder) > 2 * size + _MARGIN:
                    # Freed pages are zeros already; this drops what pages in use hold between their rows.
                    self._db.execute("VACUUM")
            self._empty_log()
        except DiskFullError as error:
            raise DiskFullError(
                "It is deleted, but the disk is too full to remove its last traces.",
                "Make room, then delete something else or start again.",
            ) from error

    def _empty_log(self) -> None:
        """Move everything from the log into the file, and cut the log."""
        with self._lock, explained(self.folder):
            busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise BusyError(
                "It is deleted, but another program is reading the history.",
                "Traces in the file's log go when that program has finished.",
            )

    def _sweep(self) -> None:
        """Remove files that no turn names. A new file gets its name in such a transaction, too."""
        with self._write() as db:
            rows = db.execute("SELECT DISTINCT sha256, media_type, bytes FROM attachment").fetchall()
            self.media.sweep({Media(*row).file_name for row in rows})

    def _recover(self) -> None:
        """End replies whose process is gone, and remove files that were being written."""
        with self._read() as db:
            rows = db.execute("SELECT id, writer FROM turn WHERE state = 'open'").fetchall()
        dead = [number for number, owner in rows if not writer.lives(owner)]
        if dead:
            with self._write() as db:
                turns.close_open(db, dead)
        self._sweep()


def erase(folder: Path) -> None:
    """Remove the files of a history that can't be opened for writing, copies of damaged ones included.

    Raises HistoryError.
    """
    with explained(folder):
        for pattern in (f"{schema.DATABASE}*", schema.MEDIA, f"{schema.DAMAGED}*"):
            _remove(folder.glob(pattern))


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _small(sentence: str) -> str:
    """A sentence after a colon."""
    return sentence[:1].lower() + sentence[1:]
