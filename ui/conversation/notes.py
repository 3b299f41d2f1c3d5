"""The small lines under an answer: the tools that it called, what it cost, why it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QCoreApplication

from assistant.history.records import ToolCall, Turn
from assistant.timing import Times
from ui.look import error_words
from ui.look.tool_words import told
from ui.work.brain import Answered


def cost(event: Answered, times: Times) -> str:
    """For people who want to know how fast it was, and why it ended if not at its end."""
    why = {
        "cancelled": QCoreApplication.translate("Notes", "stopped"),
        "length": QCoreApplication.translate("Notes", "cut: it was too long"),
        "repetition": QCoreApplication.translate("Notes", "stopped: the model went in circles"),
        "context": QCoreApplication.translate("Notes", "stopped: the conversation is full"),
    }
    decode = event.statistics.seconds.get("decode", 0.0)
    figures = {
        "first_token": times.waited("token") or event.first,
        "first_sound": times.waited("sound"),
        "generated": event.statistics.generated,
        "decode": decode,
    }
    return " · ".join(filter(None, (why.get(event.reason, ""), speed(figures))))


def speed(figures: Mapping[str, Any]) -> str:
    """Figures of an answer, as the history keeps them."""
    first, generated, decode = (figures.get(name) for name in ("first_token", "generated", "decode"))
    parts: list[str] = []
    if isinstance(first, int | float):
        parts.append(
            QCoreApplication.translate("Notes", "first word after {s} s").replace("{s}", f"{first:.2f}")
        )
        if isinstance(sound := figures.get("first_sound"), int | float):
            text = QCoreApplication.translate("Notes", "first sound after {s} s")
            parts.append(text.replace("{s}", f"{sound:.2f}"))
        if isinstance(generated, int) and isinstance(decode, int | float) and decode > 0:
            parts.append(
                QCoreApplication.translate("Notes", "{n} tokens a second").replace(
                    "{n}", f"{generated / decode:.0f}"
                )
            )
    return " · ".join(parts)


def steps(times: Times) -> str:
    """How long a person waited for each step, a line each."""
    names = {
        "asked": QCoreApplication.translate("Notes", "question complete"),
        "token": QCoreApplication.translate("Notes", "first word"),
        "sound": QCoreApplication.translate("Notes", "first sound"),
        "written": QCoreApplication.translate("Notes", "last word"),
    }
    lines = [
        f"{seconds * 1000:.0f} ms".rjust(8, "\u2007") + f"  {name}"  # spaces as wide as figures
        for step, name in names.items()
        if (seconds := times.waited(step)) is not None
    ]
    if times.pressed is not None and times.recording is not None:
        text = QCoreApplication.translate("Notes", "The microphone listened {ms} ms after the key.")
        lines.append(text.replace("{ms}", f"{max(0.0, times.recording - times.pressed) * 1000:.0f}"))
    if not lines:
        return ""
    return "\n".join((QCoreApplication.translate("Notes", "After the end of the question:"), *lines))


def call(one: ToolCall) -> str:
    """What came of a tool call; the call itself where nobody knows."""
    if one.result is None:
        listed = ", ".join(f"{key} = {value}" for key, value in one.arguments.items())
        said = f"{one.name}: {listed}" if one.name else listed
        text = QCoreApplication.translate(
            "Notes", "→ {call} (Aside ended before it knew whether it was done)"
        )
        return text.replace("{call}", said)
    return f"{'✓' if one.state == 'done' else '✗'} {outcome(one)}"


def outcome(one: ToolCall) -> str:
    """What a tool call gave back, in the language of the window; "" where nobody knows."""
    return told(" ".join((one.result or "").split()), one.name, one.arguments)


def notes_of(reply: Turn | None) -> Sequence[str]:
    """What is kept about an answer besides its text and the results of its tools."""
    if reply is None:
        return [QCoreApplication.translate("Notes", "There is no answer.")]
    ended = {
        "stopped": QCoreApplication.translate("Notes", "stopped"),
        "failed": QCoreApplication.translate("Notes", "failed"),
    }.get(reply.state, "")
    problem = error_words.told(reply.problem or "")
    last = " · ".join(filter(None, (problem or ended, speed(reply.figures))))
    return [last] if last else []
