"""What went wrong, in the language of the window.

Errors are worded in English where they are raised. A sentence is said in another language if it is one of
those in ``languages/errors`` with anything in place of its ``{names}``; any other stays as it is.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from typing import Final

from PySide6.QtCore import QCoreApplication

from models.errors import AsideError
from ui.look.translation import FOLDER, filled, pattern

_WORDED: Final = frozenset(("media", "problem", "reason", "thing"))
"""The places in which words of ours stand, not names and what other programs said."""


def told(problem: AsideError | str) -> str:
    """An error, or the text of one or several, in the language of the window."""
    if isinstance(problem, AsideError):
        return _joined(said(problem.what), said(problem.remedy))
    for end in re.finditer(r"(?<=\.) ", problem):
        what, rest = problem[: end.start()], problem[end.end() :]
        if _known(what):
            return _joined(said(what), told(rest))
    return said(problem)


def said(sentence: str) -> str:
    """One sentence; unchanged if it is none of ours."""
    for english, shape in _sentences():
        match = shape.fullmatch(sentence)
        if match is not None:
            values = {
                place: _word(value) if place in _WORDED else value
                for place, value in match.groupdict().items()
            }
            return filled(QCoreApplication.translate("Errors", english), values)
    return sentence


def _word(value: str) -> str:
    for sentence in (value, value[:1].upper() + value[1:]):  # as it was before it stood after a colon
        if (other := said(sentence)) != sentence:
            return other
    return value


@lru_cache(256)
def _known(sentence: str) -> bool:
    return any(shape.fullmatch(sentence) for _, shape in _sentences())


def _joined(what: str, rest: str) -> str:
    return f"{what}{'' if what.endswith('。') else ' '}{rest}".strip()


@cache
def _sentences() -> list[tuple[str, re.Pattern[str]]]:
    """Those with the most words of their own first."""
    known = {text for file in FOLDER.glob("errors/*.json") for text in json.loads(file.read_text("utf-8"))}
    own = {text: len(re.sub(r"{\w+}", "", text)) for text in known}
    return [(text, pattern(text)) for text in sorted(known, key=lambda text: (-own[text], text))]
