"""The microphone for as long as an application runs, with the last second from before it was asked.

    with Ear(lambda name: Microphone(name, usage)) as ear:
        with ear.listen() as source:          # at once: it begins with what was just said
            for block in source.blocks(): ...

One thread owns the device. With a pre-roll it is open all the time, and nothing but a ring of one second is
kept; without, it is open while somebody listens. What was heard while something was played is silence
to a listener, unless the person spoke over it. A device that is lost is told once, ends what listens (which
keeps what it heard), and is tried again, less and less often, or as soon as somebody wants to listen.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Self

import numpy as np

from assistant.voice.activity import Onset
from assistant.voice.echo import Cleaned, Echo
from assistant.voice.endpoint import BLOCK, level
from assistant.voice.microphone import BlockSource, Samples
from models.errors import Cancelled, DeviceError

PRE_ROLL: Final = 1.0  # s
_RING: Final = round(PRE_ROLL / BLOCK)
_BACKLOG: Final = round(60 / BLOCK)  # blocks kept for a listener that is late
_FIRST, _LAST = 0.5, 30.0  # s between attempts to open a lost device
_ONSET: Final = 0.2  # s of speech that interrupt: shorter than a word, longer than a click or a cough
_BEFORE: Final = round(0.9 / BLOCK)  # blocks: over an answer, it is noticed later
_SOFT: Final = round(0.3 / BLOCK)  # blocks of speech before the first loud one
_LOUD: Final = -45.0  # dBFS
_JOIN: Final = 5.0  # s; opening and closing a device takes a part of one


class Listening:
    """What an ear hears from a little before now on; a `BlockSource`, and a context manager."""

    def __init__(self, close: Callable[[Listening], None], first: list[Samples]) -> None:
        self._close = close
        self._queue: queue.Queue[Samples | DeviceError] = queue.Queue(_BACKLOG)
        for block in first:
            self._queue.put_nowait(block)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def blocks(self, cancel: threading.Event | None = None) -> Iterator[Samples]:
        """Blocks as they come (see `BlockSource`)."""
        while True:
            if cancel is not None and cancel.is_set():
                raise Cancelled("Recording was stopped.")
            try:
                item = self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
            if isinstance(item, DeviceError):
                raise item
            yield item

    def close(self) -> None:
        """Listen no more."""
        self._close(self)

    def _hear(self, item: Samples | DeviceError) -> None:
        """Called by the ear's thread; a listener that is a minute late misses something."""
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            if isinstance(item, DeviceError):
                self._queue.get_nowait()
                self._queue.put_nowait(item)


class Ear:
    """Owns the microphone. All methods may be called by any thread, and return at once but for `close`."""

    def __init__(
        self,
        open_microphone: Callable[[str], BlockSource],
        device: str = "",
        preroll: bool = False,
        *,
        lost: Callable[[DeviceError], None] = lambda _: None,
        interrupted: Callable[[], None] = lambda: None,
        echo: Echo | None = None,
    ) -> None:
        """The ear's thread calls the callbacks, which return at once.

        ``lost``: a device stopped working; once for each loss. ``interrupted``: somebody began to speak while
        the ear was told to `watch`. ``echo`` knows what the speaker plays, which is then not heard.
        """
        self._open_microphone = open_microphone
        self._device = device
        self._preroll = preroll
        self._lost = lost
        self._interrupted = interrupted
        self._echo = echo
        self._held = False
        self._watching = False
        self._onset = Onset(_ONSET)
        self._ring: deque[Samples] = deque(maxlen=_RING)
        self._clear = 0  # blocks at the ring's end that have nothing of what was played
        self._spoken_over = False  # it is the person who is heard, and not the rest of what was played
        self._recent: deque[Cleaned] = deque(maxlen=_BEFORE)
        self._withheld = 0  # blocks at its end in place of which listeners heard silence
        self._listeners: list[Listening] = []
        self._changed = threading.Condition()  # guards all of the above
        self._leave = threading.Event()  # close the device: nobody wants it, or another one is wanted
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="ear", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def listen(self) -> Listening:
        """Hear from now on, or from up to a second before; `blocks` tells if there is no device."""
        with self._changed:
            one = Listening(self._forget, list(self._ring)[max(0, len(self._ring) - self._clear) :])
            self._listeners.append(one)
            self._changed.notify_all()
        return one

    def set(self, device: str, preroll: bool) -> None:
        """Another device, or the pre-roll on or off. What was kept of the one is forgotten."""
        with self._changed:
            if device != self._device:
                self._leave.set()
            self._device, self._preroll = device, preroll
            self._update()

    @property
    def chosen(self) -> tuple[str, bool]:
        """The device, and whether there is a pre-roll."""
        with self._changed:
            return self._device, self._preroll

    def hold(self, on: bool) -> None:
        """Keep the device open with its pre-roll, whatever is set: somebody talks hands-free."""
        with self._changed:
            self._held = on
            self._update()

    def watch(self, on: bool) -> None:
        """Tell when somebody begins to speak, if the microphone is open."""
        with self._changed:
            self._watching = on

    def close(self) -> None:
        """Give the device back and end the thread; who listens is told that nothing more will come."""
        with self._changed:
            self._closed = True
            self._leave.set()
            self._changed.notify_all()
        self._thread.join(_JOIN)
        if self._echo is not None:
            self._echo.reset()
        self._end(DeviceError("The microphone was closed."))

    def _forget(self, one: Listening) -> None:
        with self._changed:
            if one in self._listeners:
                self._listeners.remove(one)
            self._update()

    @property
    def _keeps(self) -> bool:
        return self._preroll or self._held

    @property
    def _wanted(self) -> bool:
        return not self._closed and (self._keeps or bool(self._listeners))

    def _update(self) -> None:
        """Whether the device is wanted may have changed; with the lock."""
        if not self._keeps:
            self._ring.clear()
        if not self._wanted:
            self._leave.set()
        self._changed.notify_all()

    def _run(self) -> None:
        pause = _FIRST
        while True:
            with self._changed:
                self._ring.clear()  # of another device, or from before a gap
                self._recent.clear()
                self._withheld = 0
                self._changed.wait_for(lambda: self._wanted or self._closed)
                if self._closed:
                    return
                self._leave.clear()
                device = self._device
            worked = False
            if self._echo is not None:
                self._echo.reset()
            try:
                source = self._open_microphone(device)
                try:
                    for block in source.blocks(self._leave):
                        worked = True
                        self._hear(Cleaned(block, block) if self._echo is None else self._echo.clean(block))
                finally:
                    source.close()
            except Cancelled:
                continue
            except DeviceError as error:
                if worked:
                    self._lost(error)
                    pause = _FIRST
                self._end(error)
                with self._changed:
                    self._changed.wait_for(self._pressing, pause)
                pause = min(2 * pause, _LAST)

    def _pressing(self) -> bool:
        """Whether to try again now rather than later."""
        return bool(self._listeners) or self._leave.is_set() or not self._wanted

    def _hear(self, heard: Cleaned) -> None:
        block = heard.said
        self._recent.append(heard)
        ours = self._echo is not None and self._echo.active
        with self._changed:
            self._spoken_over = self._spoken_over and ours
            if self._keeps:
                self._ring.append(block)
            watching = self._watching
            doubtful = ours and not self._spoken_over
            began = (watching or (doubtful and bool(self._listeners))) and self._onset.push(
                heard.said, heard.sure
            )
            began = began and not (self._echo is not None and self._echo.leaks)
            if doubtful and not began:
                self._clear = 0
                self._withheld += 1
                self._give(np.zeros_like(block))
            else:
                said = self._said() if began or self._onset.going else [block]
                self._clear = max(len(said), min(_RING, self._clear + 1))
                self._spoken_over = ours
                self._give(*said[-self._withheld - 1 :])
                self._withheld = 0
            if not watching and not doubtful:
                self._onset.reset()
            self._watching = watching and not began
        if watching and began:
            self._interrupted()

    def _said(self) -> list[Samples]:
        """What the person said until it was sure that they speak."""
        loud = [place for place, one in enumerate(self._recent) if level(one.sure) > _LOUD]
        first = max(0, loud[0] - _SOFT) if loud else -1
        return [one.said for one in list(self._recent)[first:]]

    def _give(self, *blocks: Samples) -> None:
        for one in self._listeners:
            for block in blocks:
                one._hear(block)

    def _end(self, error: DeviceError) -> None:
        with self._changed:
            self._ring.clear()
            for one in self._listeners:
                one._hear(error)
            self._listeners.clear()
