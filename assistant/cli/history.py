"""`aside history`: the conversations that were kept, to list, read, search, export, delete and salvage."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

from assistant import packages
from assistant.cli import options
from assistant.cli.console import complain, put, show, show_json
from assistant.cli.conversation import describe_call
from assistant.history import export, salvage, schema
from assistant.history.records import Conversation, Turn
from assistant.history.store import History, erase
from models.errors import HistoryError

_EXAMPLES: Final = """  aside history list
  aside history search "train to Berlin"
  aside history show 12
  aside history export 12 talk.zip
  aside history delete 12 13
  aside history delete --older-than 90
  aside history salvage --replace"""
_ID: Final = options.number(1, 10**15, whole=True)


def history(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    parser = options.parser("history", "List, search, export and delete the conversations kept.", _EXAMPLES)
    commands = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    action = partial(options.add_action, commands)
    listed = (_limit, options.add_json, _anywhere)
    action("list", "the conversations, the last used first", _list, *listed)
    action("show", "one conversation", _show, _one, options.add_json, _anywhere)
    action("search", "where all of some words occur", _search, _words, *listed)
    action("rename", "give a conversation another title", _rename, _one, _title, _anywhere)
    action("delete", "remove conversations for good", _delete, _several, _yes, _anywhere)
    action("export", "write Markdown, JSON and media to a folder or .zip", _export, _out, _anywhere)
    action("wipe", "remove everything for good", _wipe, _yes, _anywhere)
    action("salvage", "save what can be read of a damaged history", _salvage, _target, _anywhere)
    given = parser.parse_args(list(arguments))
    run: Callable[[argparse.Namespace], int] = given.run
    return run(given)


def _anywhere(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", metavar="FOLDER", type=Path, help="another history than your own")


def _one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", type=_ID, help="a number that `list` shows")


def _several(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", metavar="ID", type=_ID, nargs="*", help="numbers that `list` shows")
    days = options.number(0, 100_000)
    parser.add_argument("--older-than", metavar="DAYS", type=days, help="all not used for so many days")


def _out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", type=_id_or_all, help="a number that `list` shows, or all")
    parser.add_argument("out", metavar="OUT", type=Path, help="a new folder, or a file that ends in .zip")
    parser.add_argument("--only", choices=("md", "json"), help="Markdown alone, or JSON alone")


def _id_or_all(text: str) -> float | str:
    return text if text == "all" else _ID(text)


def _title(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("title", metavar="TITLE")


def _words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", metavar="WORD", nargs="+", help="words or beginnings of words")


def _target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", nargs="?", type=Path, help="a new folder for a whole history")
    parser.add_argument(
        "--replace", action="store_true", help="use what was saved from now on; the damaged file is kept"
    )


def _limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--limit",
        metavar="N",
        type=options.number(1, 1_000_000, whole=True),
        default=50,
        help="show at most so many (default: 50)",
    )


def _yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="don't ask")


def _folder(given: argparse.Namespace) -> Path:
    folder: Path | None = given.folder
    if folder is None:
        return packages.data_folder() / "history"
    if not (folder / schema.DATABASE).exists() and not (folder / schema.MEDIA).is_dir():
        raise HistoryError(f"There is no history in {folder}.", "Check the name.")
    return folder


def _open(given: argparse.Namespace) -> History:
    opened = History(_folder(given))
    if opened.problem:
        complain(opened.problem)
    return opened


# --- reading


def _list(given: argparse.Namespace) -> int:
    with _open(given) as kept:
        found = kept.conversations(given.limit)
    if given.json:
        show_json([asdict(conversation) for conversation in found])
        return 0
    for conversation in found:
        turns = f"{conversation.turns} turn{'s' * (conversation.turns != 1)}"
        show(f"{conversation.id:>6}  {_when(conversation.changed)}  {turns:>10}  {_title_of(conversation)}")
    if not found:
        show("There are no conversations.")
    return 0


def _show(given: argparse.Namespace) -> int:
    with _open(given) as kept:
        conversation, turns = kept.conversation(given.id), kept.turns(given.id)
        if given.json:
            show_json(export.as_object(conversation, kept.turns(given.id, hidden=True)))
            return 0
        show(_title_of(conversation))
        for turn in turns:
            show()
            _show_turn(turn)
        for problem in _problems(kept, turns):
            complain(problem)
    return 0


def _show_turn(turn: Turn) -> None:
    who = "You" if turn.role == "user" else "Aside"
    show(f"{who} · {_when(turn.created)}" + ("" if turn.state == "complete" else f" · {turn.state}"))
    for media in turn.media:
        show(f"  [{media.name or media.media_type}, {media.bytes:,} bytes]")
    if turn.transcript and turn.transcript != turn.text:
        show(f"  “{turn.transcript}”")
    if turn.text:
        show("\n".join(f"  {line}" for line in turn.text.splitlines()))
    for call in turn.calls:
        called = describe_call({"name": call.name, "arguments": dict(call.arguments)})
        show(f"  → {called}: {call.state}" + (f", {call.result}" if call.result else ""))
    if turn.problem:
        show(f"  {turn.problem}")


def _problems(kept: History, turns: Sequence[Turn]) -> list[str]:
    """What is wrong with the media of these turns."""
    found = []
    for media in (media for turn in turns for media in turn.media):
        try:
            kept.media.checked(media)
        except HistoryError as error:
            found.append(str(error))
    return found


def _search(given: argparse.Namespace) -> int:
    with _open(given) as kept:
        hits = kept.search(" ".join(given.words), given.limit)
    if given.json:
        rows = [asdict(hit) | {"text": hit.text} for hit in hits]
        show_json([{name: value for name, value in row.items() if name != "snippet"} for row in rows])
        return 0
    for hit in hits:
        who = {"user": "you", "assistant": "Aside", None: "title"}[hit.role]
        show(f"{hit.conversation:>6}  {_when(hit.created)}  {who}: {hit.text}")
    if not hits:
        show("Nothing was found.")
    return 0


def _export(given: argparse.Namespace) -> int:
    with _open(given) as kept:
        if given.id == "all":
            ids = [conversation.id for conversation in kept.conversations(limit=-1)]
        else:
            ids = [given.id]
        done = export.export(kept, ids, given.out, [given.only] if given.only else ("md", "json"))
    for problem in done.problems:
        complain(problem)
    show(f"{given.out}: {_count(done.conversations, 'conversation')}, {_count(done.media, 'file')}")
    return 0


# --- changing


def _rename(given: argparse.Namespace) -> int:
    with _open(given) as kept:
        show(f"{given.id:>6}  {_title_of(kept.rename(given.id, given.title))}")
    return 0


def _delete(given: argparse.Namespace) -> int:
    if bool(given.ids) == (given.older_than is not None):
        raise HistoryError("Give either numbers or --older-than.", "`aside history list` shows the numbers.")
    with _open(given) as kept:
        if given.older_than is not None:
            older = _count_days(given.older_than)
            if not _confirmed(given, f"Delete all conversations not used for {older}?"):
                return 0
            show(f"{_count(kept.delete_older(given.older_than), 'conversation')} deleted.")
            return 0
        titles = [_title_of(kept.conversation(number)) for number in dict.fromkeys(given.ids)]
        if not _confirmed(given, f"Delete {', '.join(titles)}?"):
            return 0
        kept.delete(*dict.fromkeys(given.ids))
        show(f"{_count(len(titles), 'conversation')} deleted.")
    return 0


def _wipe(given: argparse.Namespace) -> int:
    folder = _folder(given)
    if not _confirmed(given, f"Delete all conversations, pictures and recordings in {folder}?"):
        return 0
    with History(folder) as kept:
        readable = not kept.problem
        if readable:
            kept.wipe()
    if not readable:
        erase(folder)
    show("The history is empty.")
    return 0


def _salvage(given: argparse.Namespace) -> int:
    if bool(given.out) == given.replace:
        raise HistoryError("Give either a new folder or --replace.")
    folder = _folder(given)
    with History(folder) as kept:
        intact = kept.is_intact()
    if intact and given.replace:
        show("The history is not damaged; nothing was changed.")
        return 0
    done = salvage.in_place(folder) if given.replace else salvage.into(folder, given.out)
    show(
        f"{_count(done.conversations, 'conversation')}, {_count(done.turns, 'turn')} and"
        f" {_count(done.media, 'file')} saved"
        + (f", {_count(done.lost, 'file')} missing." if done.lost else ".")
    )
    if not intact:
        show(f"The damaged file is {done.kept}.")
    return 0


def _confirmed(given: argparse.Namespace, question: str) -> bool:
    """Ask on the terminal, or read the answer from standard input. Raises HistoryError if there is none."""
    if given.yes:
        return True
    if sys.stdin.isatty():
        put(f"{question} It can't be undone. [y/N] ", sys.stderr)
    answer = sys.stdin.readline()
    if not answer:
        raise HistoryError("Nothing was deleted, because nobody confirmed it.", "Add --yes.")
    if answer.strip().lower() in ("y", "yes"):
        return True
    show("Nothing was deleted.")
    return False


# --- words


def _title_of(conversation: Conversation) -> str:
    return conversation.title or "(no title)"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'s' * (number != 1)}"


def _count_days(days: float) -> str:
    return "one day" if days == 1 else f"{days:g} days"


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
