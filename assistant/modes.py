"""What is to be done with speech: answer it, write it down, or translate it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from models.prompts import LANGUAGES, SEPARATOR, TRANSCRIBE, transcribe_and_translate, translate

Name = Literal["chat", "transcribe", "translate"]
Show = Callable[[str], None]
Reply = Callable[[str, Show], tuple[str, bool]]
"""Gives an instruction about a clip; ``Show`` gets the reply bit by bit. The reply, and False if stopped."""


@dataclass(frozen=True)
class Mode:
    """``language``: of the translation, one of `models.prompts.LANGUAGES`."""

    name: Name = "chat"
    language: str = "English"


CHAT: Final = Mode()
MODES: Final = (
    CHAT,
    *(Mode(name, language) for name in ("transcribe", "translate") for language in LANGUAGES),
)


@dataclass(frozen=True)
class Texts:
    """What became of a clip; ``whole``: it was not stopped."""

    transcript: str = ""
    translation: str = ""
    whole: bool = True


def write_down(reply: Reply, mode: Mode, on_transcript: Show, on_translation: Show) -> Texts:
    """The transcript of a clip, and its translation if the mode wants one.

    Both come in one reply; from a model that can't do that, in two.
    """
    if mode.name == "translate":
        split = _Split(on_transcript, on_translation)
        text, whole = reply(transcribe_and_translate(mode.language), split.push)
        if split.found or not whole:
            transcript, _, translation = text.partition(SEPARATOR)
            return Texts(transcript.strip(), translation.strip(), whole)
    transcript, whole = reply(TRANSCRIBE, on_transcript)
    if mode.name != "translate" or not whole:
        return Texts(transcript.strip(), "", whole)
    translation, whole = reply(translate(mode.language), on_translation)
    return Texts(transcript.strip(), translation.strip(), whole)


def cannot(mode: Mode, limits: Iterable[str]) -> str:
    """The sentence of a package that says that it can't do this; "" if there is none."""
    word = {"translate": "translate", "transcribe": "transcribe"}.get(mode.name, "")
    return next((limit for limit in limits if word and "can't" in limit and word in limit), "")


class _Split:
    """Shows a transcript, which is held back until its separator comes, and the translation as it comes."""

    def __init__(self, on_transcript: Show, on_translation: Show) -> None:
        self._on_transcript, self._on_translation = on_transcript, on_translation
        self._held = ""
        self.found = False
        self._begun = False  # the translation has a first word

    def push(self, text: str) -> None:
        """The next bit of the reply."""
        if self.found:
            self._translated(text)
            return
        self._held += text
        transcript, separator, rest = self._held.partition(SEPARATOR)
        if separator:
            self.found = True
            self._on_transcript(f"{transcript.strip()}\n")
            self._translated(rest)

    def _translated(self, text: str) -> None:
        text = text if self._begun else text.lstrip()
        self._begun = self._begun or bool(text)
        self._on_translation(text)
