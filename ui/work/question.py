"""What a person asks: text, pictures and speech, as engine, window and history need it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from assistant.engine.prompt import Part
from assistant.engine.protocol import Clip, Picture
from assistant.history import documents
from assistant.history.records import NewMedia
from assistant.media.document import Document
from assistant.media.sound import Sound, wav
from assistant.modes import CHAT, Mode


@dataclass(frozen=True)
class Question:
    """``pictures`` are checked PNG or JPEG data; ``sounds`` are mono and go to the model as they are.

    In another ``mode`` than chat, the sounds are what it is about, and ``text`` only says so.
    """

    text: str = ""
    pictures: tuple[bytes, ...] = field(default=(), repr=False)
    sounds: tuple[Sound, ...] = field(default=(), repr=False)
    documents: tuple[Document, ...] = field(default=(), repr=False)
    mode: Mode = CHAT

    @property
    def empty(self) -> bool:
        """Whether there is nothing to ask."""
        return not (self.text.strip() or self.pictures or self.sounds or self.documents)

    @property
    def parts(self) -> list[Part]:
        """In the order in which the model gets them: media first."""
        clips = [Clip(sound.samples, sound.rate) for sound in self.sounds]
        pictures = [Picture(data) for data in self.pictures]
        written: list[Part] = []
        for document in self.documents:
            for page in document.pages:
                written += [Picture(page.picture)] if page.picture else []
                words = replace(document, pages=(page,)).text
                written += [f"{words}\n\n"] if words else []
        return [*pictures, *written, *clips, *([self.text] if self.text.strip() else [])]

    @property
    def seen(self) -> tuple[bytes, ...]:
        """All pictures, those of documents' pages as well."""
        return (*self.pictures, *(one for document in self.documents for one in document.pictures))

    @property
    def is_dictation(self) -> bool:
        """Whether its sounds are written down instead of answered."""
        return self.mode.name != "chat"

    @property
    def media(self) -> tuple[NewMedia, ...]:
        """All that it came with, for the history. Takes time."""
        return (
            *(NewMedia(data, _picture_type(data)) for data in self.pictures),
            *(part for one in self.documents for part in documents.kept(one)),
            *(NewMedia(wav(one), "audio/wav") for one in self.sounds),
        )


def _picture_type(data: bytes) -> str:
    return "image/jpeg" if data.startswith(b"\xff\xd8") else "image/png"
