"""A hand for benchmarks: keys, clicks and the wheel, through the X server as real devices give them."""

from __future__ import annotations

from typing import Any, Self

from Xlib import XK, X, display, error
from Xlib.ext import xtest

from models.errors import DeviceError


class Robot:
    """One connection to a server. A context manager."""

    def __init__(self, name: str) -> None:
        """``name`` as in DISPLAY. Raises DeviceError."""
        try:
            self._display: Any = display.Display(name)
        except (error.DisplayError, OSError) as problem:
            raise DeviceError(f"The X server {name} doesn't answer.", "Use --virtual.") from problem

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._display.close()

    def down(self, *keys: str) -> None:
        """Press keys, by their X names, in this order, and hold them."""
        for key in keys:
            xtest.fake_input(self._display, X.KeyPress, self._code(key))
        self._display.sync()

    def up(self, *keys: str) -> None:
        """Let them go, the last first."""
        for key in reversed(keys):
            xtest.fake_input(self._display, X.KeyRelease, self._code(key))
        self._display.sync()

    def press(self, *keys: str) -> None:
        """Both."""
        self.down(*keys)
        self.up(*keys)

    def click(self, x: int, y: int, button: int = 1) -> None:
        """Move there and click."""
        xtest.fake_input(self._display, X.MotionNotify, x=x, y=y)
        xtest.fake_input(self._display, X.ButtonPress, button)
        xtest.fake_input(self._display, X.ButtonRelease, button)
        self._display.sync()

    def wheel(self, x: int, y: int) -> None:
        """One notch up, there."""
        self.click(x, y, 4)

    def _code(self, key: str) -> int:
        code: int = self._display.keysym_to_keycode(XK.string_to_keysym(key))
        return code
