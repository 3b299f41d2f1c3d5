"""Turns of a conversation as segments, in the form that Phi-4-multimodal was trained with (its model card).

The only place where special tokens are made. Everything that comes from outside, also a tool's result, is
`Text`.

    session.append(*system(TOOLS), *user("What is this?", Picture(png)), *assistant())
    for event in session.generate(): ...
    session.append(*end(), *user("And this?", Picture(other)), *assistant())

The adapter rule needs no word here: the session derives it from what it holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from assistant.engine.protocol import Clip, Control, Picture, Segment, Text
from models.prompts import SYSTEM_PROMPT, tool_list

END: Final = "<|end|>"
TOOL_CALL: Final = "<|tool_call|>"
TOOL_CALL_END: Final = "<|/tool_call|>"
NAMED: Final = (TOOL_CALL, TOOL_CALL_END)
"""Special tokens that a reply may hold and that its reader needs to see (`Token.control`)."""

Part = str | Picture | Clip


def system(tools: Sequence[dict[str, Any]] = (), prompt: str = SYSTEM_PROMPT) -> list[Segment]:
    """The system message, with the tools that the model may call (`models.prompts.TOOLS`)."""
    message: list[Segment] = [Control("<|system|>"), Text(prompt)]
    if tools:
        message += [Control("<|tool|>"), Text(tool_list(tools)), Control("<|/tool|>")]
    return [*message, Control(END)]


def user(*parts: Part) -> list[Segment]:
    """A user's turn from any mix of text, pictures and clips, in this order; media usually come first."""
    return [*begin_user(*parts), *end_user()]


def begin_user(*parts: Part) -> list[Segment]:
    """The first parts of a user's turn, ahead of the others: pictures are ready before a question is."""
    return [Control("<|user|>"), *content(*parts)]


def end_user(*parts: Part) -> list[Segment]:
    """The last parts of a user's turn, and its end."""
    return [*content(*parts), Control(END)]


def content(*parts: Part) -> list[Segment]:
    """Parts in the middle of a user's turn."""
    return [Text(part) if isinstance(part, str) else part for part in parts]


def tool_response(result: str) -> list[Segment]:
    """A tool's result, which answers a reply that called the tool."""
    return [Control("<|tool_response|>"), Text(result), Control(END)]


def assistant(text: str | None = None, calls: Sequence[Mapping[str, Any]] = ()) -> list[Segment]:
    """Where a reply begins; with ``text``, a whole earlier reply, as when a saved conversation is opened.

    ``calls`` are the tools that it called, each with ``name`` and ``arguments``.
    """
    start: list[Segment] = [Control("<|assistant|>")]
    if text is None:
        return start
    called = json.dumps([dict(call) for call in calls], ensure_ascii=False)
    tools: list[Segment] = [Control(TOOL_CALL), Text(called), Control(TOOL_CALL_END)] if calls else []
    return [*start, Text(text), *tools, Control(END)]


def end() -> list[Segment]:
    """Closes a generated reply; due before the next turn, however the reply ended."""
    return [Control(END)]
