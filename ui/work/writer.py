"""Writes down what is said: transcripts of spoken questions, and dictations. For the brain's thread.

It leaves no trace in the conversation: what it asks the model stands apart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from assistant.engine import prompt
from assistant.engine.process import EngineProcess
from assistant.engine.protocol import Clip, GenerateOptions, Token
from assistant.media.sound import Sound, cut
from assistant.modes import Mode, Texts, cannot
from models.prompts import TRANSCRIBE
from ui.gate import worded
from ui.work.events import Answered, BrainEvent, Failed, Limited, Translated, Understood, Wrote
from ui.work.jobs import Jobs
from ui.work.question import Question
from ui.work.scribe import scribe


class Writer:
    """`understand`, `caption` and `behind` may be called by any thread, all else by the brain's.

    limits         what the model can't do.
    clip_seconds   of sound that it hears at once.
    """

    def __init__(
        self,
        session: Callable[[], EngineProcess | None],
        jobs: Jobs,
        tell: Callable[[BrainEvent], None],
        give_up_ahead: Callable[[EngineProcess], None],
        mend: Callable[[EngineProcess, int], None],
    ) -> None:
        """``mend`` brings a session back to where it was; ``give_up_ahead``: to before a question began."""
        self.limits: tuple[str, ...] = ()
        self.clip_seconds = 30.0
        self._session = session
        self._jobs = jobs
        self._tell = tell
        self._give_up_ahead = give_up_ahead
        self._mend = mend
        self._lock = threading.Lock()
        self._behind = 0.0

    @property
    def behind(self) -> float:
        """Seconds of dictations that wait to be written down."""
        with self._lock:
            return self._behind

    def understand(self, turn: int, sound: Sound, final: bool, later: bool) -> None:
        """As `Brain.understand`."""
        pieces = list(cut(sound, self.clip_seconds)) if final else [sound]
        said = ["…"] if later else []
        self._jobs.put(lambda: self._understand(turn, pieces, said, final), patient=True)

    def caption(self, turn: int, sound: Sound, mode: Mode) -> None:
        """As `Brain.caption`."""
        with self._lock:
            self._behind += sound.seconds
        self._jobs.put(lambda: self._caption(turn, sound, mode))

    def written(self, turn: int, question: Question, cancel: threading.Event) -> Answered:
        """What is said in recordings, piece by piece, as the mode wants it."""
        started = time.monotonic()
        for sound in question.sounds:
            for piece in cut(sound, self.clip_seconds):
                if not piece.is_silent:
                    self._write_down(turn, piece, question.mode, cancel)
                if cancel.is_set():
                    return Answered(turn, "cancelled", seconds=time.monotonic() - started)
        self.limit(turn, question.mode)
        return Answered(turn, "stop", seconds=time.monotonic() - started)

    def _caption(self, turn: int, sound: Sound, mode: Mode) -> None:
        try:
            texts = self._write_down(turn, sound, mode, self._jobs.none)
            if texts.translation and not cannot(mode, self.limits):
                self._tell(Translated(turn, texts.translation, mode.language))
        except Exception as error:
            self._tell(Limited(turn, str(worded(error))))  # the other pieces may still be understood
            session = self._session()
            if session is not None:
                self._mend(session, session.mark())
        finally:
            with self._lock:
                self._behind -= sound.seconds

    def _write_down(self, turn: int, sound: Sound, mode: Mode, cancel: threading.Event) -> Texts:
        session = self._session()
        if session is None:
            return Texts()
        return scribe(session, sound, mode, cancel, lambda text: self._tell(Wrote(turn, text)))

    def limit(self, turn: int, mode: Mode) -> None:
        """What the model can't do, it must say: a small one's translation is none."""
        said = cannot(mode, self.limits)
        if said:
            self._tell(Limited(turn, said))

    def _understand(self, turn: int, pieces: list[Sound], said: list[str], final: bool) -> None:
        """Write down the first of the pieces; the others when what is urgent is done."""
        session = self._session()
        if session is None or (not final and self._jobs.any.is_set()):
            return
        sound, *others = pieces
        clip = Clip(sound.samples, sound.rate)
        cancel = self._jobs.none if final else self._jobs.any
        here = session.mark()
        parts: list[str] = []
        try:
            # apart, because pictures in the conversation would switch the adapter that hears well off
            asked = [*prompt.system(), *prompt.user(clip, TRANSCRIBE), *prompt.assistant()]
            most = 32 + round(12 * sound.seconds)  # tokens; no speaker is faster
            reply = session.apart(asked, GenerateOptions(max_tokens=most), cancel)
            parts.extend(event.text for event in reply if isinstance(event, Token))
        except Exception as error:
            self._give_up_ahead(session)
            self._mend(session, here)
            if final:
                self._tell(Failed(turn, worded(error)))
            return
        said = [*said, "".join(parts).strip()]
        if others:
            self._jobs.put(lambda: self._understand(turn, others, said, final), patient=True)
        elif final or not cancel.is_set():
            self._tell(Understood(turn, " ".join(filter(None, said)), final))
