"""Keys and values of the tokens that the language model has seen."""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Hashable
from typing import Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

_FIRST: Final = 4_096
"""Tokens that there is room for at once, as far as the short RoPE factors of the real model reach."""


class KVCache:
    """One float32 buffer [1, heads, capacity, head] per layer for keys and one for values.

    GroupQueryAttention reads the past from and writes the present to the same buffer, so nothing is copied
    from step to step. The buffers take memory as they are written to, and grow by doubling. Only the first
    ``length`` tokens count: forgetting is a smaller ``length``.
    """

    def __init__(self, layers: int, heads: int, head: int, limit: int) -> None:
        self.length = 0
        self.capacity = 0
        self.touched = 0
        """Tokens that memory has been spent on: buffers take it when they are written to."""
        self._limit = limit
        self._shape = (heads, head)
        self._arrays: list[NDArray[np.float32]] = []
        self._values: list[ort.OrtValue] = []
        self._count = 2 * layers
        self.reserve(min(_FIRST, limit))

    @property
    def values(self) -> list[ort.OrtValue]:
        """Key and value of layer 0, key and value of layer 1, …"""
        return self._values

    def reserve(self, tokens: int) -> None:
        """Make room for ``tokens`` in all, in new buffers if need be. ValueError beyond the limit."""
        if tokens <= self.capacity:
            return
        if tokens > self._limit:
            raise ValueError(f"{tokens} tokens are more than the cache's limit of {self._limit}")
        capacity = min(self._limit, max(tokens, 2 * self.capacity))
        heads, head = self._shape
        # One after the other: if nobody else holds them, at most one old buffer stands beside a new one.
        for i in range(self._count):
            new = _zeros((1, heads, capacity, head))
            if i < len(self._arrays):
                new[:, :, : self.length] = self._arrays[i][:, :, : self.length]
                self._arrays[i], self._values[i] = new, ort.OrtValue.ortvalue_from_numpy(new)
            else:
                self._arrays.append(new)
                self._values.append(ort.OrtValue.ortvalue_from_numpy(new))
        self.capacity = capacity
        self.touched = self.length

    def truncate(self, length: int) -> None:
        """Forget all tokens from ``length`` on."""
        self.length = min(self.length, length)


def _zeros(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Zeros that take memory page by page: a huge page would hold a thousand tokens of a head at once."""
    memory = mmap.mmap(-1, 4 * math.prod(shape))
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.float32).reshape(shape)


class KVCaches:
    """The cache in use and the one before it, each for what its keys and values were computed under.

    A turn that is forgotten afterwards, such as a transcript, may want another adapter: the conversation's
    own cache then waits, and is in use again for the next turn.
    """

    def __init__(self, new: Callable[[], KVCache]) -> None:
        """``new`` makes an empty cache."""
        self._new = new
        self._state: Hashable = None
        self._waiting: tuple[Hashable, KVCache] | None = None
        self.current = new()

    def switch(self, state: Hashable, room: Callable[[int], bool]) -> bool:
        """Use the cache for ``state``; tells whether another one is in use now.

        ``room(tokens)`` tells whether memory is left for so many: if not, there is one cache only.
        """
        if state == self._state:
            return False
        used, left = self.current, self._state
        if self._waiting is not None and self._waiting[0] == state:
            self.current, self._waiting = self._waiting[1], (left, used)
        else:
            self._waiting = None  # before a third one comes
            if used.length and room(used.length):
                self.current, self._waiting = self._new(), (left, used)
            else:
                used.truncate(0)
        self._state = state
        return self.current is not used

    def truncate(self, length: int) -> None:
        """Forget all tokens from ``length`` on: the conversation has been rewound."""
        self.current.truncate(length)
        if self._waiting is not None:
            self._waiting[1].truncate(length)

    def drop_waiting(self) -> None:
        """Give back the memory of the cache that is not in use."""
        self._waiting = None
