"""Turns as segments for the engine, so that a conversation goes on after a restart."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from assistant.engine import prompt
from assistant.engine.protocol import Clip, Picture, Reply, Segment, Session
from assistant.history import documents
from assistant.history.media import MediaFolder
from assistant.history.records import Media, ToolCall, Turn
from assistant.media import sound
from assistant.modes import CHAT, MODES, Mode
from assistant.tools.toolbox import as_json
from models.errors import ContextError, HistoryError, MediaError


@dataclass(frozen=True)
class Replay:
    """``segments`` to append after `prompt.system`; ``problems`` are sentences about media left out."""

    segments: list[Segment]
    problems: list[str]


@dataclass(frozen=True)
class Resumed:
    """``marks`` of the session before each exchange that it was given; ``forgotten`` ones didn't fit."""

    marks: list[int]
    forgotten: int


def resume(session: Session, exchanges: Sequence[Callable[[], Sequence[Segment]]], room: int) -> Resumed:
    """Give a session as many of a conversation's last exchanges as fit, with ``room`` tokens to spare.

    Each exchange is made when it is needed. Raises EngineError.
    """
    here = session.mark()
    first = 0
    while True:
        marks: list[int] = []
        try:
            for exchange in exchanges[first:]:
                marks.append(session.mark())
                with contextlib.suppress(MediaError):  # of what was fine when it was asked
                    session.append(*exchange())
            end = session.mark()
            session.append(Reply((0,) * room))  # only to see whether there is room
            session.rewind(end)
        except ContextError:
            session.rewind(here)
            if first == len(exchanges):
                return Resumed([], first)
            first += max(1, (len(exchanges) - first) // 4)
            continue
        return Resumed(marks, first)


def replay(turns: Iterable[Turn], media: MediaFolder) -> Replay:
    """The visible turns as the model saw them.

    Of a reply that was interrupted while it was spoken, the model is told what was heard of it. A spoken
    question whose sound was not kept is its transcript. In place of a file that is gone stands a remark.
    """
    segments: list[Segment] = []
    problems: list[str] = []
    turns = list(turns)
    for turn, after in zip(turns, [*turns[1:], None], strict=True):
        if turn.role == "user":
            segments += prompt.user(*_parts(turn, media, problems))
            continue
        text = turn.text if turn.heard is None else turn.heard
        if after is not None and after.role == "assistant":  # says what came of the calls
            segments += [*prompt.assistant(text, _calls(turn.calls)), *_results(turn.calls)]
        else:
            segments += replied(text, turn.calls)
    return Replay(segments, problems)


def replied(text: str, calls: Sequence[ToolCall]) -> list[Segment]:
    """A reply as the model wrote it: what it called, what came of that, and what it said then."""
    results = _results(calls)
    if not results:
        return prompt.assistant(text, _calls(calls))
    return [*prompt.assistant("", _calls(calls)), *results, *prompt.assistant(text)]


def figures_of(mode: Mode) -> Mapping[str, str]:
    """What is kept with a question, so that `mode_of` knows what was to be done with its speech."""
    return {} if mode == CHAT else {"mode": mode.name, "language": mode.language}


def mode_of(turn: Turn) -> Mode:
    """What was to be done with the speech of a question."""
    name, language = (turn.figures.get(key) for key in ("mode", "language"))
    return next((m for m in MODES if (m.name, m.language) == (name, language)), CHAT)


def _calls(calls: Sequence[ToolCall]) -> list[dict[str, object]]:
    return [{"name": call.name, "arguments": dict(call.arguments)} for call in calls]


def _results(calls: Sequence[ToolCall]) -> list[Segment]:
    told = [_as_told(call.result) for call in calls if call.result is not None]
    return [segment for result in told for segment in prompt.tool_response(result)]


def _as_told(result: str) -> str:
    """A result in the form in which the model reads it."""
    try:
        return result if isinstance(json.loads(result), dict) else as_json(result)
    except (ValueError, RecursionError):
        return as_json(result)


def _parts(turn: Turn, media: MediaFolder, problems: list[str]) -> list[prompt.Part]:
    parts: list[prompt.Part] = []
    spoken = False
    for one in turn.media if mode_of(turn) == CHAT else ():  # what was written down is in the answer
        try:
            part = _part(one, media)
        except (HistoryError, MediaError, OSError) as error:
            problems.append(str(error))
            parts.append(f"[{one.name or one.media_type} is no longer there.] ")
            continue
        if part is not None:
            spoken = spoken or isinstance(part, Clip)
            parts.append(part)
    if turn.transcript and not spoken:
        parts.append(turn.transcript)
    if turn.text and (turn.text != turn.transcript or spoken):
        parts.append(turn.text)
    return parts


def _part(one: Media, media: MediaFolder) -> prompt.Part | None:
    """A picture, a clip or a text; None for a PDF, whose pages stand before it as pictures and texts."""
    if one.media_type.startswith("image/"):
        return Picture(media.read(one))
    if one.media_type.startswith("audio/"):
        heard = sound.load(media.checked(one))
        return Clip(heard.samples, heard.rate)
    if one.media_type == "text/plain":
        return documents.words(one, media.read(one))
    return None
