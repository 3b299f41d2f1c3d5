"""The voice: `Voice` turns text into sound, `Narrator` speaks a reply while it is written."""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import numpy as np
import soundfile

from assistant.media.sound import Sound
from assistant.voice.pyttsx3_process import Failed, Ready, Request, Spoken, serve
from assistant.voice.sentences import Sentences, speakable
from assistant.voice.speaker import SoundSink
from models.errors import AsideError, Cancelled, DeviceError

START: Final = 15.0  # s, for the speech engine to start
DEADLINE: Final = 5.0  # s, and as much again for each 100 characters
_NEARLY: Final = 0.1  # s; a sentence ends with a little silence
_STOP: Final = 0.5  # s; the voice and a speaker stop within 50 ms, only a disk may take longer
_INSTALL: Final = (
    "Install one: sudo apt install espeak-ng libespeak-ng1"
    if sys.platform == "linux"
    else "Install a voice in the system's settings."
)
LANGUAGES: Final = {
    "english": "en",
    "chinese": "cmn",
    "german": "de",
    "french": "fr",
    "italian": "it",
    "japanese": "ja",
    "spanish": "es",
    "portuguese": "pt",
}
"""The languages of `models.prompts.LANGUAGES` as espeak-ng names them."""


class Voice:
    """The system's speech engine in a process of its own, replaced when it hangs. For one thread at a time.

    It starts in the background; the first text waits for it.
    """

    def __init__(self, language: str = "", deadline: float = DEADLINE, name: str = "") -> None:
        """``language`` is English, German … or a BCP 47 tag, ``name`` one of `names`; empty: the system's."""
        self._name = name
        self._language = LANGUAGES.get(language.lower(), language)
        self._deadline = deadline
        self._folder = tempfile.TemporaryDirectory(prefix="aside-voice-", ignore_cleanup_errors=True)
        self._ready: Ready | None = None
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def languages(self) -> frozenset[str]:
        """The languages that there are voices for. Raises DeviceError if there is no speech engine."""
        return self._wait_until_ready().languages

    def names(self, cancel: threading.Event | None = None) -> tuple[str, ...]:
        """The voices that there are. Raises DeviceError if there is no speech engine, and Cancelled."""
        return self._wait_until_ready(cancel).names

    def speaks(self, language: str) -> bool:
        """Whether there is a voice for German … or a BCP 47 tag. Raises DeviceError as `languages` does."""
        wanted = LANGUAGES.get(language.lower(), language).partition("-")[0]
        return any(one.partition("-")[0] == wanted for one in self.languages)

    def synthesise(self, text: str, cancel: threading.Event | None = None, language: str = "") -> Sound:
        """Speak into memory, at the engine's own rate; nothing to say gives an empty sound.

        In another ``language`` than its own, a voice of that one speaks, if there is any (see `speaks`).

        Raises DeviceError if the engine is missing, fails or passes its deadline (the next call has a new
        one), and Cancelled within 100 ms of ``cancel``.
        """
        words = speakable(text)
        if not any(c.isalnum() for c in words):
            return Sound(np.empty(0, np.float32))
        if not self._process.is_alive():
            self._restart()
        self._wait_until_ready(cancel)
        path = Path(self._folder.name) / "speech.wav"
        request = Request(words, str(path), self._language, self._name)
        if language:
            request = Request(words, str(path), LANGUAGES.get(language.lower(), language))
        if (failed := self._speak(request, cancel)) and (failed := self._speak(request, cancel)):
            raise DeviceError(f"The voice failed ({failed.reason}).", "The text stays as it is.")
        try:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except (OSError, soundfile.LibsndfileError) as error:
            raise DeviceError("The voice gave no sound.", _INSTALL) from error
        finally:
            path.unlink(missing_ok=True)
        return Sound(np.ascontiguousarray(samples[:, 0]), int(rate))

    def _speak(self, request: Request, cancel: threading.Event | None) -> Failed | None:
        """Have a text spoken; after a failure, there is a new process for the next try."""
        self._send(request)
        answer = self._answer(self._deadline * (1 + len(request.text) / 100), cancel)
        if not isinstance(answer, Failed):
            return None
        self._restart()  # what is left of a failed text would be in the way of the next one
        self._wait_until_ready(cancel)
        return answer

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(0.3)
        self._kill()
        self._folder.cleanup()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # fork would copy this process's threads' locks
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=serve, args=(far,), name="aside-voice", daemon=True)
        self._process.start()
        far.close()

    def _restart(self) -> None:
        self._kill()
        self._ready = None
        self._start()

    def _kill(self) -> None:
        if self._process.is_alive():
            self._process.kill()
        self._process.join(1.0)
        self._pipe.close()

    def _wait_until_ready(self, cancel: threading.Event | None = None) -> Ready:
        if self._ready is None:
            answer = self._answer(START, cancel)
            if not isinstance(answer, Ready):
                reason = answer.reason if isinstance(answer, Failed) else "it answered out of turn"
                raise DeviceError(f"There is no working voice ({reason}).", _INSTALL)
            self._ready = answer
        return self._ready

    def _send(self, request: Request) -> None:
        with contextlib.suppress(OSError):  # a process that just died is noticed by `_answer`
            self._pipe.send(request)

    def _answer(self, seconds: float, cancel: threading.Event | None = None) -> Ready | Spoken | Failed:
        """The next answer; without one in time, the process is replaced."""
        until = time.monotonic() + seconds
        while True:
            if cancel is not None and cancel.is_set():
                self._restart()
                raise Cancelled("Speaking was stopped.")
            try:
                if self._pipe.poll(0.05):
                    answer: Ready | Spoken | Failed = self._pipe.recv()
                    return answer
            except (EOFError, OSError):
                self._restart()
                raise DeviceError("The voice stopped working.", "The text stays; try again.") from None
            if time.monotonic() > until:
                self._restart()
                raise DeviceError(
                    f"The voice did not answer within {seconds:.0f} s.", "The text stays; try again."
                )


class Narrator:
    """Speaks a reply while it is written, sentence by sentence, in a thread of its own.

    ``with Narrator(voice, speaker) as narrator: narrator.push("…"); narrator.finish()``. A failure of voice
    or speaker never disturbs the text: it is kept in ``error``, and `finish` raises it.
    """

    def __init__(
        self,
        voice: Voice,
        sink: SoundSink,
        on_sound: Callable[[float], None] = lambda _: None,
        language: str = "",
    ) -> None:
        """``on_sound`` is called by its thread with the time of the first sound.

        ``language`` is that of the reply, if it is not the voice's.
        """
        self._language = language
        self._on_sound = on_sound
        self._voice = voice
        self._sink = sink
        self._sentences = Sentences()
        self._text = ""
        self._spoken: list[tuple[str, float]] = []  # sentences with their length in s, as they are played
        self._before = sink.played
        self._waiting: queue.Queue[str | None] = queue.Queue()
        self._stopped = threading.Event()
        self.error: AsideError | None = None
        self.first_sound: float | None = None  # time.monotonic() of the first sentence's sound
        self._thread = threading.Thread(target=self._run, name="narrator", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def push(self, text: str) -> None:
        """Add a bit of the reply."""
        self._text += text
        for sentence in self._sentences.push(text):
            self._waiting.put(sentence)

    def finish(self, cancel: threading.Event | None = None) -> None:
        """Speak the rest and wait until all is spoken.

        Raises DeviceError, MediaError, or Cancelled within 100 ms of ``cancel``.
        """
        self._waiting.put(self._sentences.rest())
        self._waiting.put(None)
        while self._thread.is_alive():
            self._thread.join(0.05)
            if cancel is not None and cancel.is_set():
                self.stop()
                raise Cancelled("Speaking was stopped.")
        if self.error is not None:
            raise self.error

    @property
    def heard(self) -> str:
        """As much of the reply as has been heard, in whole words."""
        left = self._sink.played - self._before
        end = 0
        for sentence, seconds in list(self._spoken):
            at = max(end, self._text.find(sentence, end))
            if left < seconds - _NEARLY:
                part = sentence[: max(0, int(len(sentence) * left / seconds))]
                return self._text[: at + max(0, part.rfind(" "))].rstrip()
            left -= seconds
            end = at + len(sentence)
        return self._text[:end]

    def stop(self) -> None:
        """Be silent now; what is not yet spoken never will be. Takes half a second at most."""
        self._stopped.set()
        self._sink.stop()
        self._waiting.put(None)
        self._thread.join(_STOP)

    def _run(self) -> None:
        try:
            while (sentence := self._waiting.get()) is not None and not self._stopped.is_set():
                spoken = self._voice.synthesise(sentence, self._stopped, self._language)
                if self._stopped.is_set():
                    return
                if spoken.samples.size:
                    self._sink.play(spoken)
                    self._spoken.append((sentence, spoken.seconds))
                    if self.first_sound is None:
                        self.first_sound = time.monotonic()
                        self._on_sound(self.first_sound)
            self._sink.wait(self._stopped)
        except AsideError as error:
            self.error = error
        except Exception:  # whoever stopped it may have closed the sink meanwhile
            if not self._stopped.is_set():
                raise
