"""The sound of a timer that is over."""

from __future__ import annotations

from typing import Final

import numpy as np

from assistant.media.sound import Sound

RATE: Final = 22_050  # Hz
_NOTES: Final = ((0.0, 880.0), (0.18, 1174.7), (0.36, 1760.0))  # s, Hz
_SECONDS: Final = 1.5
_DECAY: Final = 0.25  # s
_LOUD: Final = 0.25


def chime() -> Sound:
    """Three notes and a rest."""
    time = np.arange(round(_SECONDS * RATE)) / RATE
    samples = np.zeros_like(time)
    for start, pitch in _NOTES:
        after = np.maximum(0.0, time - start)
        attack = np.minimum(1.0, after / 0.005)
        samples += np.sin(2 * np.pi * pitch * after) * attack * np.exp(-after / _DECAY)
    return Sound((samples * _LOUD).astype(np.float32), RATE)
