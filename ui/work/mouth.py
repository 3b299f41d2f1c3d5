"""Speaks answers: the voice and the speaker, opened when they are first needed and kept open."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from assistant.media.sound import Sound
from assistant.voice.speaker import Samples, Speaker
from assistant.voice.speech import Narrator, Voice
from models.errors import AsideError

_LOCK: Final = 3.0  # s


@dataclass(frozen=True)
class Speech:
    """A text in a language, such as German."""

    text: str
    language: str


Performance = str | Speech | Sound | Iterable[Sound]
"""Something to hear: a text, or recordings."""


class Mouth:
    """One answer at a time. `push` and `hush` may be called by any thread; `begin` and `wait` take time."""

    def __init__(
        self,
        on_sound: Callable[[int, float], None] = lambda *_: None,
        on_played: Callable[[Samples, int], None] = lambda *_: None,
    ) -> None:
        """``on_sound`` is called by a thread with a turn and the time of its first sound.

        ``on_played`` gets all that is played (see `Speaker`).
        """
        self._on_played = on_played
        self._wanted = ("", "")
        self._open = self._wanted  # with which speaker and voice it is open
        self._on_sound = on_sound
        self._lock = threading.Lock()
        self._voice: Voice | None = None
        self._speaker: Speaker | None = None
        self._narrator: Narrator | None = None
        self._closed = False
        self._turn = 0
        self._hushed = 0  # the last turn that is to be silent

    def choose(self, device: str, voice: str) -> None:
        """Speak with these from the next answer on; an empty name is the system's."""
        self._wanted = (device, voice)

    def prepare(self) -> None:
        """Open voice and speaker, anew if it was lost or another one is wanted. Raises DeviceError."""
        with self._lock:
            if self._closed:
                return
            if self._open != self._wanted or (self._speaker is not None and self._speaker.lost):
                self._end()
                self._reset()
            self._open = device, voice = self._wanted
            if self._voice is None:
                self._voice = Voice(name=voice)
            if self._speaker is None:
                self._speaker = Speaker(device, self._on_played)

    def speaks(self, language: str) -> bool:
        """Whether there is a voice for German …; takes time. Raises DeviceError."""
        self.prepare()
        with self._lock:
            return self._voice is not None and self._voice.speaks(language)

    def begin(self, turn: int, language: str = "") -> None:
        """Speak what is pushed for this turn, in this language if one is named. Raises DeviceError."""
        self.prepare()
        with self._lock:
            self._end()
            if self._voice is None or self._speaker is None:
                return  # it is being closed
            if turn > self._hushed:
                self._narrator, self._turn = (
                    Narrator(self._voice, self._speaker, partial(self._on_sound, turn), language),
                    turn,
                )

    def push(self, turn: int, text: str) -> None:
        """Add a bit of the answer; nothing happens if this turn is not being spoken."""
        narrator = self._narrator
        if narrator is not None and self._turn == turn:
            narrator.push(text)

    def wait(self, turn: int) -> None:
        """Until all is spoken or hushed. Raises DeviceError; speaker and voice are opened anew next time."""
        narrator = self._narrator
        if narrator is None or self._turn != turn:
            return
        try:
            narrator.finish()
        except AsideError:
            if turn > self._hushed:
                self._reset()
                raise

    def perform(self, turn: int, what: Performance) -> None:
        """Speak a text, or play recordings, to the end or until it is hushed.

        Raises DeviceError, and what the recordings raise.
        """
        if isinstance(what, str | Speech):
            said = Speech(what, "") if isinstance(what, str) else what
            self.begin(turn, said.language)
            self.push(turn, said.text)
            self.wait(turn)
            return
        self.prepare()
        with self._lock:
            self._end()
            speaker, self._turn = self._speaker, turn
        assert speaker is not None
        try:
            for sound in (what,) if isinstance(what, Sound) else what:
                if turn <= self._hushed:
                    return
                speaker.play(sound)
                speaker.wait()
        except AsideError:
            if turn > self._hushed:
                self._reset()
                raise

    def hush(self, turn: int) -> str | None:
        """Be silent at once; returns at once: what was heard of this turn's text, None if none is spoken."""
        self._hushed = max(self._hushed, turn)
        speaker, narrator = self._speaker, self._narrator
        if speaker is not None and self._turn <= turn:
            speaker.stop()
        return narrator.heard if narrator is not None and self._turn == turn else None

    def end(self, turn: int) -> None:
        """End what this turn speaks, but not a later one; takes half a second at most."""
        with self._lock:
            if self._turn <= turn:
                self._end()

    def rest(self) -> None:
        """Give the speaker back, unless it is speaking."""
        with self._lock:
            if self._speaker is not None and not self._speaker.playing:
                self._end()
                self._reset()

    def close(self) -> None:
        """Give the speaker back and end the voice."""
        self._closed = True
        self.hush(self._turn)
        if self._lock.acquire(timeout=_LOCK):
            self._end()
            self._lock.release()
        self._reset()

    def _end(self) -> None:
        if self._narrator is not None:
            self._narrator.stop()
            self._narrator = None

    def _reset(self) -> None:
        if self._speaker is not None:
            self._speaker.close()
        if self._voice is not None:
            self._voice.close()
        self._speaker = self._voice = None
