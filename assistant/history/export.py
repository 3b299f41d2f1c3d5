"""Conversations as Markdown and JSON, with their media, in a folder or a zip archive."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import tempfile
import time
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from assistant.history.faults import explained
from assistant.history.media import make_folder
from assistant.history.records import Conversation, Media, NewTurn, Turn
from assistant.history.store import History
from models.errors import HistoryError

FORMAT: Final = 1
Format = Literal["md", "json"]
_FENCE: Final = re.compile(
    r"(`{3,}(?=[^`]*$)|~{3,})(.*)"
)  # indented, it could belong to a list and end with it
_END: Final = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*")
_ACTIVE: Final = re.compile(r"!(?=\[)|<(?=[A-Za-z/!?])")  # pictures, HTML


@dataclass(frozen=True)
class Exported:
    """What was written; ``problems`` are sentences about media that could not be."""

    conversations: int
    media: int
    problems: tuple[str, ...]


def export(
    history: History,
    conversations: Sequence[int],
    target: Path,
    formats: Collection[Format] = ("md", "json"),
) -> Exported:
    """Write ``conversation-ID.md`` and ``.json`` for each, and ``media``, into a new folder or ``.zip`` file.

    All or nothing: it is written beside the target and renamed. Raises HistoryError.
    """
    with explained(target):
        if target.exists() or target.is_symlink():
            raise HistoryError(f"{target} exists already.", "Give another name.")
        if not target.parent.is_dir():
            raise HistoryError(f"There is no folder {target.parent}.", "Make it first.")
        fresh = target.parent / f".{target.name}-{secrets.token_hex(4)}"
        make_folder(fresh)
        archive = fresh.with_name(fresh.name + ".zip")
        try:
            done = _write(history, conversations, fresh, formats)
            if target.suffix.lower() == ".zip":
                _zip(fresh, archive)
                archive.replace(target)
            else:
                fresh.replace(target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
            archive.unlink(missing_ok=True)
    return done


def export_turns(
    title: str, turns: Sequence[NewTurn], target: Path, formats: Collection[Format] = ("md", "json")
) -> Exported:
    """A conversation that is in no history: it is in one beside the target, for as long as it takes.

    Raises HistoryError.
    """
    with (
        explained(target),
        tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder,
        History(Path(folder)) as history,
    ):
        number = history.create(title).id
        for turn in turns:
            history.append(number, turn)
        return export(history, [number], target, formats)


def _write(
    history: History, conversations: Sequence[int], folder: Path, formats: Collection[Format]
) -> Exported:
    media: set[str] = set()
    problems: dict[str, str] = {}
    for number in dict.fromkeys(conversations):
        conversation, turns = history.conversation(number), history.turns(number, hidden=True)
        for one in (one for turn in turns for one in turn.media):
            if one.file_name in media or one.file_name in problems:
                continue
            try:
                source = history.media.checked(one)
                make_folder(folder / "media")
                _put(folder / "media" / one.file_name, source)
                media.add(one.file_name)
            except HistoryError as error:
                problems[one.file_name] = str(error)
        if "json" in formats:
            text = json.dumps(as_object(conversation, turns), ensure_ascii=False, indent=2)
            _put(folder / f"conversation-{number}.json", text + "\n")
        if "md" in formats:
            _put(folder / f"conversation-{number}.md", markdown(conversation, turns))
    return Exported(len(set(conversations)), len(media), tuple(problems.values()))


def as_object(conversation: Conversation, turns: Sequence[Turn]) -> dict[str, Any]:
    """A conversation for JSON; media by their path in the export."""
    return {"format": FORMAT, **asdict(conversation), "turns": [turn_object(turn) for turn in turns]}


def turn_object(turn: Turn) -> dict[str, Any]:
    """A turn for JSON."""
    media = [{**asdict(one), "file": f"media/{one.file_name}"} for one in turn.media]
    return {**asdict(turn), "media": media}


def markdown(conversation: Conversation, turns: Sequence[Turn]) -> str:
    """The visible turns for people. Markup in them that would load something is made plain text."""
    lines = [f"# {_line(conversation.title) or 'Conversation'}", "", f"*{_when(conversation.created)}*", ""]
    for turn in turns:
        if turn.hidden_by is None:
            lines += _turn(turn)
    return "\n".join(lines)


def _turn(turn: Turn) -> list[str]:
    lines = [f"## {'You' if turn.role == 'user' else 'Aside'} · {_when(turn.created)}", ""]
    for one in turn.media:
        lines += [_link(one), ""]
    if turn.transcript and turn.transcript != turn.text:
        lines += [*(f"> {line}" for line in plain(turn.transcript).splitlines()), ""]
    if turn.text:
        lines += [plain(turn.text), ""]
    for call in turn.calls:
        words = f"{call.name} {json.dumps(dict(call.arguments), ensure_ascii=False)}"
        lines += [f"- Tool ({call.state}): {_line(words)}"]
        if call.result is not None:
            lines += [f"  Result: {_line(call.result)}"]
        lines += [""]
    if turn.heard is not None:
        lines += [f"*Interrupted; heard until: {_line(turn.heard[-80:])}*", ""]
    if turn.state != "complete":
        lines += [f"*{turn.state.capitalize()}. {_line(turn.problem)}*", ""]
    return lines


def _link(media: Media) -> str:
    name = re.sub(r"([\[\]\\])", r"\\\1", _line(media.name)) or media.media_type
    return f"{'!' if media.media_type.startswith('image/') else ''}[{name}](media/{media.file_name})"


def plain(text: str) -> str:
    """Markdown in which pictures and HTML are only text, outside code blocks; an open block is closed."""
    lines = []
    fence = ""
    for line in text.splitlines():
        if fence:
            lines.append(line)
            end = _END.fullmatch(line)
            if end and end[1][0] == fence[0] and len(end[1]) >= len(fence):
                fence = ""
        elif found := _FENCE.fullmatch(line):
            fence = found[1]
            lines.append(line)
        else:
            lines.append(_ACTIVE.sub(r"\\\g<0>", line))
    return "\n".join([*lines, fence] if fence else lines)


def _line(text: str) -> str:
    return _ACTIVE.sub(r"\\\g<0>", " ".join(text.split()))


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _put(path: Path, content: str | Path) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb") as out:
        if isinstance(content, str):
            out.write(content.encode())
        else:
            with content.open("rb") as file:
                shutil.copyfileobj(file, out, 1 << 20)
        out.flush()
        os.fsync(out.fileno())


def _zip(folder: Path, archive: Path) -> None:
    descriptor = os.open(archive, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb") as out, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                zipped.write(path, path.relative_to(folder).as_posix())
