"""A stream of text cut into sentences, so that the first is spoken while the others are still written."""

from __future__ import annotations

import re
from typing import Final

_LONGEST: Final = 400  # characters after which a text without an end is cut at a space
# fmt: off
_ABBREVIATIONS: Final = frozenset((
    "mr", "mrs", "ms", "dr", "prof", "st", "vs", "etc", "e.g", "i.e", "no", "fig", "approx", "jr", "sr",
    "inc", "u.s", "a.m", "p.m", "z.b", "d.h", "bzw", "ca", "nr",
))
# fmt: on
_EARLY: Final = 12  # letters of a first clause that is worth speaking before its sentence ends
_CLAUSE: Final = re.compile(r""",(?=\s)|[，、](?=\S)|\s[–—](?=\s)""")
_END: Final = re.compile(r"""[.!?…]+["'”’)\]]*(?=\s)|[。！？]+[」』”]*|\n+|[:;](?=\s)""")


class Sentences:
    """Collects text and gives whole sentences; of the first, its first clause, which is heard the sooner."""

    def __init__(self) -> None:
        self._held = ""
        self._begun = False

    def push(self, text: str) -> list[str]:
        """The sentences that ``text`` completes."""
        self._held += text
        found: list[str] = []
        start = 0
        for end in _END.finditer(self._held):
            part = self._held[start : end.end()]
            if not _abbreviated(part) and _weight(part) >= (2 if end.group().isspace() else 4):
                found.append(part.strip())
                start = end.end()
        self._held = self._held[start:]
        self._begun = self._begun or bool(found)
        if not self._begun and (clause := self._clause()):
            found.append(clause)
            self._begun = True
        while len(self._held) > _LONGEST:
            at = self._held.rfind(" ", 0, _LONGEST)
            at = at if at > 0 else _LONGEST
            found.append(self._held[:at].strip())
            self._held = self._held[at:].lstrip()
        return [sentence for sentence in found if sentence]

    def _clause(self) -> str:
        """The first clause, if it is long enough to be spoken alone."""
        for end in _CLAUSE.finditer(self._held):
            part = self._held[: end.end()]
            if _weight(part) >= _EARLY:
                self._held = self._held[end.end() :].lstrip()
                return part.strip()
        return ""

    def rest(self) -> str:
        """What is left at the end of the text."""
        left, self._held = self._held.strip(), ""
        return left


def speakable(text: str) -> str:
    """Text without what a voice would spell out: markup, addresses' punctuation, code fences.

    Control characters go as well: espeak-ng takes some as commands and stops in the middle of others.
    """
    text = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    text = re.sub(r"```.*?(```|$)", " ", text, flags=re.DOTALL)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"https?://\S+", " link ", text)
    text = re.sub(r"[*_`#>|~]+", " ", text)
    return re.sub(r"\s+", " ", text).strip()


def _abbreviated(part: str) -> bool:
    """Whether a full stop at the end belongs to an abbreviation, an initial or a numbered line."""
    if not part.endswith(".") or part.endswith(".."):
        return False
    word = part[:-1].rsplit(None, 1)[-1:] or [""]
    last = word[0].lstrip("(\"'“").lower()
    return last in _ABBREVIATIONS or (len(last) == 1 and last.isalpha()) or part[:-1].strip().isdigit()


def _weight(part: str) -> int:
    """Letters and digits; two for a Chinese or Japanese character."""
    return sum((2 if ord(c) > 0x2E80 else 1) for c in part if c.isalnum())
