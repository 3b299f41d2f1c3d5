"""`aside timers`: what is set to ring, and taking it back."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.cli import options
from assistant.cli.console import Output
from assistant.packages import data_folder
from assistant.tools.schedule import Entry, Now, Schedule, Timer
from models.errors import ToolError


def timers(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code. Raises ToolError."""
    words = options.parser(
        "timers",
        "Show the timers, alarms and reminders that are set, or cancel some.",
        "  aside timers\n  aside timers --cancel 1a2b3c4d\n  aside timers --cancel all",
    )
    words.add_argument("--cancel", nargs="+", metavar="ID", help="cancel these, or all")
    options.add_json(words)
    given = words.parse_args(list(arguments))
    schedule = Schedule(data_folder() / "tools" / "timers.json")
    pending, now = schedule.pending(), Now.read()
    if given.cancel:
        wanted = [one.id for one in pending] if given.cancel == ["all"] else given.cancel
        if unknown := set(wanted) - {one.id for one in pending}:
            raise ToolError(f"Nothing is set that is called {', '.join(sorted(unknown))}.")
        schedule.cancel(*wanted)
        pending = [one for one in pending if one.id not in wanted]
    pending.sort(key=lambda one: one.time(now))
    output = Output(given.json)
    output.json([_told(one, now) for one in pending])
    for one in pending:
        output.line(f"{one.id}  {one.time(now):%Y-%m-%d %H:%M}  {_what(one)}")
    if not pending:
        output.line("Nothing is set.")
    return 0


def _what(entry: Entry) -> str:
    if isinstance(entry, Timer):
        return f"timer of {entry.seconds / 60:g} min"
    return f"reminder: {entry.about}" if entry.about else "alarm"


def _told(entry: Entry, now: Now) -> dict[str, object]:
    told: dict[str, object] = {"id": entry.id, "at": f"{entry.time(now):%Y-%m-%dT%H:%M:%S}"}
    if isinstance(entry, Timer):
        return {**told, "kind": "timer", "seconds": entry.seconds}
    return {**told, "kind": "reminder" if entry.about else "alarm", "about": entry.about}
