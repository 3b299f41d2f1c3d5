"""The process that owns pyttsx3: a text comes in through a pipe, a WAV file goes out.

A process rather than a thread because a speech engine that hangs can't be stopped from inside (and espeak-ng
can't be initialised twice), because macOS wants the main thread, and because pyttsx3 prints to stdout. It
imports nothing heavy, so that it is ready early.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

_TRIES: Final = 3
_HEADER: Final = 44  # bytes of a WAV file without sound
_LONGEST: Final = 120.0  # s; whoever waits has a shorter deadline and ends this process


@dataclass(frozen=True)
class Request:
    """Speak ``text`` into the WAV file ``path``.

    ``voice`` is a voice's name; if there is none of that name, one for ``language`` (BCP 47) speaks, or the
    system's.
    """

    text: str
    path: str
    language: str = ""
    voice: str = ""


@dataclass(frozen=True)
class Ready:
    """The engine has started; the languages of its voices, and the voices' names."""

    languages: frozenset[str]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spoken:
    """The file is complete."""


@dataclass(frozen=True)
class Failed:
    """The engine can't start or can't speak this."""

    reason: str


def serve(pipe: Connection) -> None:
    """Answer requests until the other end closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    sys.stdin = sys.stdout = sys.stderr = os.fdopen(nowhere, "r+", encoding="utf-8")
    with contextlib.suppress(EOFError, OSError):
        try:
            engine = _Engine()
        except Exception as error:  # whatever a speech engine raises is one failure
            pipe.send(Failed(f"{type(error).__name__}: {error}"))
            return
        pipe.send(Ready(frozenset(engine.voices), tuple(engine.names)))
        while True:
            request = pipe.recv()
            try:
                engine.speak(request)
            except Exception as error:  # as above
                pipe.send(Failed(f"{type(error).__name__}: {error}"))
            else:
                pipe.send(Spoken())


class _Engine:
    """pyttsx3 used the one way that is reliable: save_to_file, runAndWait, finished-utterance."""

    def __init__(self) -> None:
        import pyttsx3  # noqa: PLC0415 # only this process may load the system's speech library

        self._engine = pyttsx3.init()
        self._default = self._engine.getProperty("voice")
        self._finished: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._engine.connect("finished-utterance", self._hear)
        self._engine.setProperty("rate", 175)
        self._engine.runAndWait()  # the first one would return before it is done
        self.voices: dict[str, str] = {}
        self.names: dict[str, str] = {}
        for voice in self._engine.getProperty("voices"):
            self.names.setdefault(str(voice.name), voice.id)
            for language in voice.languages or ():
                name = language.decode("utf-8", "ignore") if isinstance(language, bytes) else str(language)
                self.voices.setdefault(name.strip("\x05").lower().replace("_", "-"), voice.id)

    def speak(self, request: Request) -> None:
        """Write the file or raise."""
        self._engine.setProperty("voice", self._voice(request))
        for _ in range(_TRIES):
            while not self._finished.empty():
                self._finished.get()
            self._engine.save_to_file(request.text, request.path)
            self._engine.runAndWait()
            # Speech is made in a thread of the library's; its end can come after runAndWait has returned. Now
            # and then, pyttsx3 stops an utterance because the one before still counts as being played.
            if self._finished.get(timeout=_LONGEST):
                if os.path.getsize(request.path) <= _HEADER:  # noqa: PTH202 # nothing heavy is imported here
                    raise RuntimeError("the end of an earlier text came late")
                return
        raise RuntimeError("the speech engine gave up")

    def _voice(self, request: Request) -> str:
        if request.voice in self.names:
            return self.names[request.voice]
        wanted = request.language.lower()
        if not wanted:
            return str(self._default)
        for name, voice in self.voices.items():
            if name == wanted or name.split("-")[0] == wanted.split("-")[0]:
                return voice
        return str(self._default)

    def _hear(self, name: str | None = None, completed: bool = True) -> None:  # noqa: ARG002 # pyttsx3's names
        self._finished.put(completed)
