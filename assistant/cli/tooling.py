"""`aside ask --tools run`: asks on the terminal before anything has an effect, and shows what came of it."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from assistant.cli import conversation
from assistant.cli.console import Status, note, put
from assistant.engine.protocol import Finished, GenerateOptions, Progress, Session, Token
from assistant.packages import data_folder
from assistant.settings import SettingsFile, default_path
from assistant.tools.calls import Call
from assistant.tools.loop import CallDone, CallProposed, CallRefused, Policy, answer
from assistant.tools.ringer import Ring, Ringer, is_watched
from assistant.tools.schedule import Timer
from assistant.tools.toolbox import OFFERED, Toolbox

_LOOK: Final = 0.1  # s between looks whether Ctrl-C was pressed


@dataclass(frozen=True)
class Tooling:
    """The tools of one run of the command, and which of them need no yes."""

    toolbox: Toolbox
    policy: Policy

    def ring(self) -> Ringer:
        """Say what rings, as long as it is open."""
        return Ringer(self.toolbox.schedule, _ring)

    def reply(
        self,
        session: Session,
        options: GenerateOptions,
        on_text: Callable[[str], None],
        on_line: Callable[[str], None],
        cancel: threading.Event,
    ) -> conversation.Answer:
        """Let the model answer what was appended, with tools; each call and its result is a line."""
        found = conversation.Answer()
        started = time.monotonic()
        confirm = _Terminal(cancel)
        called = False  # since the last word

        def tell(call: Call, result: str, state: str) -> None:
            described: dict[str, Any] = (
                {"name": call.name, "arguments": call.arguments}
                if call.name
                else {"name": "", "unreadable": call.written}
            )
            found.calls.append(described | {"state": state, "result": result})
            on_line(f"→ {conversation.describe_call(described)}: {result}")

        for event in answer(session, self.toolbox, confirm, self.policy, options=options, cancel=cancel):
            if not isinstance(event, Progress) and found.first_token is None:
                found.first_token = time.monotonic() - started
                Status.clear()
            match event:
                case Progress():
                    conversation.show_progress(event)
                case Token(_, text):
                    found.text += "\n" * (called and bool(found.text) and bool(text)) + text
                    called = called and not text
                    on_text(text)
                case CallProposed():
                    called = True
                case CallDone(call, result):
                    tell(call, result.text, "failed" if result.failed else "done")
                case CallRefused(call, why, text):
                    tell(call, text, "refused")
                    if why == "silence":
                        note("(There is no terminal to ask on; --yes allows what has an effect.)")
                case Finished(reason, statistics):
                    found.reason, found.statistics = reason, statistics
        found.seconds = time.monotonic() - started
        Status.clear()
        return found

    def remind(self, found: conversation.Answer) -> None:
        """Say so, if something was set to ring and nothing runs that would."""
        ringing = ("set_timer", "set_alarm", "set_reminder")
        set_now = any(c["name"] in ringing and c["state"] == "done" for c in found.calls)
        if set_now and not is_watched(self.toolbox.schedule):
            note("(Nothing runs now that would ring: `aside ask --interactive --tools run` does.)")


def tooling(yes: bool, retell: bool) -> Tooling:
    """The tools, with what the settings say of them; ``yes`` allows all, ``retell`` as in `Policy`."""
    loaded = SettingsFile(default_path()).load()
    for remark in loaded.remarks:
        note(remark)
    wanted = loaded.settings.tools
    weather = Path(wanted.weather_file).expanduser() if wanted.weather_file else None
    everything = [tool["name"] for tool in OFFERED]
    return Tooling(
        Toolbox.in_folder(data_folder() / "tools", weather),
        Policy(
            unasked=frozenset(everything if yes else wanted.without_asking),
            patience=None if _can_ask() else 0.0,
            retell=retell,
        ),
    )


def _can_ask() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


class _Terminal:
    """Asks on the terminal. Where there is none, nobody answers."""

    def __init__(self, cancel: threading.Event) -> None:
        self._cancel = cancel

    def __call__(self, call: Call, intent: str, answer: Callable[[bool], None]) -> None:
        """Show what will happen; anything but a yes is a no."""
        del call
        if not _can_ask():
            return
        put(f"{intent} Allow it? [y/N] ", sys.stderr)
        while os.name == "posix" and not select.select([sys.stdin], [], [], _LOOK)[0]:
            if self._cancel.is_set():
                return
        answer(sys.stdin.readline().strip().lower() in ("y", "yes"))


def _ring(ring: Ring) -> None:
    entry = ring.entry
    what = (
        f"timer of {entry.seconds / 60:g} min" if isinstance(entry, Timer) else f"alarm of {entry.at:%H:%M}"
    )
    if not isinstance(entry, Timer) and entry.about:
        what = f"reminder of {entry.at:%H:%M}, “{entry.about}”,"
    late = f" ({ring.late / 60:.0f} min ago)" if ring.late > 60 else ""
    note(f"\n⏰ The {what} rings{late}.")
