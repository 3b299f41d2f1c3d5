"""Speech without an end, in pieces: a pause ends a piece, and nothing that was said is lost."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from assistant.media.sound import RATE, Sound, quietest
from assistant.voice.endpoint import BLOCK, Endpointer, Heard, level
from assistant.voice.microphone import BlockSource
from models.errors import Cancelled, DeviceError

LONGEST: Final = 40.0  # s of a piece
_PRE_ROLL: Final = round(0.5 / BLOCK)  # blocks kept from before the onset: first sounds are soft
_DRAFT: Final = RATE  # samples between two drafts
_SHOW: Final = 2  # blocks between two levels: 25 a second

Samples = NDArray[np.float32]


def dictate(
    source: BlockSource,
    finish: threading.Event,
    *,
    on_piece: Callable[[Sound], None],
    on_draft: Callable[[Sound], None] = lambda _: None,
    on_level: Callable[[float], None] = lambda _: None,
    longest: float = LONGEST,
) -> None:
    """Until ``finish`` is set or the source ends; the last piece is what was said by then.

    ``on_draft`` gets what was said so far of a piece. Raises DeviceError after the last piece was given.
    """
    before: deque[Samples] = deque(maxlen=_PRE_ROLL)
    kept = np.empty(0, np.float32)
    drafted = 0
    endpointer = Endpointer()
    try:
        for count, block in enumerate(source.blocks(finish)):
            heard = endpointer.push(block)
            if count % _SHOW == 0:
                on_level(level(block))
            if endpointer.speaking or kept.size:
                kept = np.concatenate((kept, *before, block))
                before.clear()
            else:
                before.append(block)
            if heard is Heard.WAITING and kept.size:  # it was only a click
                before.append(kept[-_PRE_ROLL * block.size :])
                kept = kept[:0]
            elif heard in (Heard.FINISHED, Heard.NOTHING):
                if kept.size:
                    on_piece(Sound(kept, RATE))
                kept, drafted, endpointer = kept[:0], 0, Endpointer()
            elif kept.size >= longest * RATE:
                at = quietest(kept)
                on_piece(Sound(kept[:at], RATE))
                kept, drafted = kept[at:], 0
            elif kept.size - drafted >= _DRAFT:
                drafted = kept.size
                on_draft(Sound(kept, RATE))
    except Cancelled:
        pass
    except DeviceError:
        if kept.size:
            on_piece(Sound(kept, RATE))
        raise
    if kept.size:
        on_piece(Sound(kept, RATE))
