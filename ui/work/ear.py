"""One spoken question out of the microphone, in a thread of the gate."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from assistant.engine.protocol import Clip
from assistant.engine.windows import Windows
from assistant.media.sound import RATE, Sound
from assistant.voice.activity import VoiceActivity
from assistant.voice.endpoint import BLOCK, Endpointer, Endpointing, Heard, level
from assistant.voice.microphone import BlockSource
from models.errors import Cancelled, DeviceError

_PRE_ROLL: Final = round(0.5 / BLOCK)  # blocks kept from before the onset: first sounds are soft
_DRAFT: Final = round(1.0 / BLOCK)  # blocks between two drafts of the transcript
_DRAFTED: Final = round(30.0 / BLOCK)  # blocks at most that a draft is made of
_SHOW: Final = 2  # blocks between two levels: 25 a second

Samples = NDArray[np.float32]


class Recording:
    """What a person says from here on. `finish` and `drop` may be called by any thread."""

    def __init__(self, patience: float = Endpointing.patience) -> None:
        """``patience`` in seconds: without a word for so long, it ends."""
        self._endpointing = Endpointing(patience=patience)
        self._finish = threading.Event()
        self._drop = threading.Event()
        self.held = threading.Event()
        """While it is set, the key is held: silence ends nothing, letting go does."""

    def finish(self) -> None:
        """That was all."""
        self._finish.set()

    def drop(self) -> None:
        """Forget it."""
        self._drop.set()
        self._finish.set()

    @property
    def dropped(self) -> bool:
        """Whether nobody wants it any more."""
        return self._drop.is_set()

    @property
    def ended(self) -> threading.Event:
        """Set by `finish` and `drop`."""
        return self._finish

    def listen(
        self,
        source: BlockSource,
        on_level: Callable[[float], None],
        on_draft: Callable[[Sound, bool], None],
        on_window: Callable[[Clip], None] = lambda _: None,
    ) -> Sound:
        """Until silence, `finish` or `drop`; empty if nobody spoke.

        ``on_level`` gets dBFS; ``on_draft`` what was said so far, or its end and True if it is long;
        ``on_window`` each window of a long recording as soon as it is full. Raises DeviceError; Cancelled
        when dropped. If the device is lost in the middle, what was heard is kept.
        """
        endpointer, activity = Endpointer(self._endpointing), VoiceActivity()
        before: deque[Samples] = deque(maxlen=_PRE_ROLL)
        kept: list[Samples] = []
        windows = Windows()
        try:
            for count, block in enumerate(source.blocks(self._drop)):
                if count % _SHOW == 0:
                    on_level(level(block))
                heard = endpointer.push(block, activity.push(block))
                if heard is Heard.NOTHING and not self.held.is_set():
                    break
                if endpointer.speaking or kept:
                    new = [*before, block]
                    before.clear()
                    kept += new
                    for clip in windows.push(np.concatenate(new)):
                        on_window(clip)
                    if endpointer.speaking and len(kept) % _DRAFT == 0:
                        on_draft(_joined(kept[-_DRAFTED:]), len(kept) > _DRAFTED)
                else:
                    before.append(block)
                if heard is Heard.WAITING and kept and not self.held.is_set():
                    before.extend(kept)  # it was only a click
                    kept.clear()
                    windows = Windows()
                if self._finish.is_set() or (heard is Heard.FINISHED and not self.held.is_set()):
                    break
        except DeviceError:
            if not kept:
                raise
        if self.dropped:
            raise Cancelled("Recording was stopped.")
        return _joined(kept)


def _joined(blocks: list[Samples]) -> Sound:
    return Sound(np.concatenate(blocks) if blocks else np.empty(0, np.float32), RATE)
