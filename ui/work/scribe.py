"""Writes down what is said in one recording, apart from the conversation."""

from __future__ import annotations

import threading
from collections.abc import Callable

from assistant.engine import prompt
from assistant.engine.process import EngineProcess
from assistant.engine.protocol import Clip, Finished, GenerateOptions, Token
from assistant.media.sound import Sound
from assistant.modes import Mode, Texts, write_down
from assistant.voice.endpoint import trimmed

_SPEED = 24  # tokens for each second; no speaker is faster, in two languages


def scribe(
    session: EngineProcess,
    sound: Sound,
    mode: Mode,
    cancel: threading.Event,
    show: Callable[[str], None],
) -> Texts:
    """``show`` gets the transcript, on its own line the translation, and a last line end, bit by bit.

    Raises EngineError.
    """
    clip, shown = Clip(trimmed(sound.samples), sound.rate), ""

    def reply(task: str, tell: Callable[[str], None]) -> tuple[str, bool]:
        asked = [*prompt.system(), *prompt.user(clip, task), *prompt.assistant()]
        options = GenerateOptions(max_tokens=64 + round(_SPEED * sound.seconds))
        text, whole = "", True
        for event in session.apart(asked, options, cancel):
            if isinstance(event, Token):
                text += event.text
                tell(event.text)
            elif isinstance(event, Finished):
                whole = event.reason != "cancelled"
        return text, whole

    def tell(text: str) -> None:
        nonlocal shown
        if text:
            shown += text
            show(text)

    def tell_translation(text: str) -> None:
        tell(text if "\n" in shown else f"\n{text}")

    texts = write_down(reply, mode, tell, tell_translation)
    tell("\n")
    return texts
