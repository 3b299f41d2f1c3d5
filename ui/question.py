"""What a person asks: text, pictures and speech, as engine, window and history need it."""

from __future__ import annotations

from dataclasses import dataclass, field

from assistant.engine.prompt import Part
from assistant.engine.protocol import Clip, Picture
from assistant.media.sound import Sound, wav


@dataclass(frozen=True)
class Question:
    """``pictures`` are checked PNG or JPEG data; ``sounds`` are mono and go to the model as they are."""

    text: str = ""
    pictures: tuple[bytes, ...] = field(default=(), repr=False)
    sounds: tuple[Sound, ...] = field(default=(), repr=False)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to ask."""
        return not (self.text.strip() or self.pictures or self.sounds)

    @property
    def parts(self) -> list[Part]:
        """In the order in which the model gets them: media first."""
        clips = [Clip(sound.samples, sound.rate) for sound in self.sounds]
        pictures = [Picture(data) for data in self.pictures]
        return [*pictures, *clips, *([self.text] if self.text.strip() else [])]

    @property
    def recordings(self) -> list[bytes]:
        """The sounds as WAV files."""
        return [wav(sound) for sound in self.sounds]
