"""Keys that work whatever window has the focus, on X11: grabbed from the server, in a thread of their own.

A grab counts for one exact state of Num Lock and Caps Lock, so each key is grabbed in the four there are. A
key that is held repeats as pairs of release and press, but the server's map of keys says that it stays down:
no waiting is needed to know a release. `Presses` makes one press of a storm of them. Esc is taken from the
other programs only while it would stop something (`catch_escape`). On Wayland no program
may grab keys: there the desktop's own settings bind `aside listen`.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from models.errors import DeviceError

_AGAIN: Final = 0.25  # s after a release before the key counts again: nobody means to press faster
_JOIN: Final = 2.0  # s
_END, _CATCH, _LET = b"x", b"+", b"-"
ESCAPE: Final = "escape"
"""What Esc is called when it is pressed."""
_NAMES: Final = {
    "Space": "space",
    "Enter": "Return",
    "Esc": "Escape",
    "PageUp": "Prior",
    "PageDown": "Next",
}


@dataclass(frozen=True)
class Pressed:
    """A hotkey went down."""

    key: str


@dataclass(frozen=True)
class Released:
    """It came up again after ``held`` seconds."""

    key: str
    held: float


class Presses:
    """Presses and releases as people mean them. Pure: times in seconds come in with the events."""

    def __init__(self) -> None:
        self._down: dict[str, float] = {}  # since when
        self._told: dict[str, float] = {}  # when the last that was told came up

    def press(self, key: str, now: float) -> list[Pressed]:
        """The server says that the key went down."""
        if key in self._down:
            return []
        if now - self._told.get(key, -1e9) < _AGAIN:
            self._told[key] = now  # still the same storm
            return []
        self._down[key] = now
        return [Pressed(key)]

    def release(self, key: str, now: float) -> list[Released]:
        """It came up."""
        if key not in self._down:
            return []
        self._told[key] = now
        return [Released(key, now - self._down.pop(key))]

    def forget(self, key: str) -> None:
        """It is no longer watched; when it is again, it is taken to be up, and no storm goes on."""
        self._down.pop(key, None)
        self._told.pop(key, None)


def available() -> bool:
    """Whether keys can be grabbed here: an X server that is not one inside Wayland."""
    return (
        sys.platform == "linux"
        and bool(os.environ.get("DISPLAY"))
        and not os.environ.get("WAYLAND_DISPLAY")
        and os.environ.get("XDG_SESSION_TYPE") != "wayland"
    )


def is_free(combination: str) -> bool:
    """Whether no other program has this combination, found out by grabbing it. Raises DeviceError."""
    with contextlib.closing(Hotkeys({"": combination}, lambda _: None)) as tried:
        return not tried.taken


class Hotkeys:
    """Grabs keys until `close`. ``tell`` is called by its thread."""

    def __init__(self, keys: Mapping[str, str], tell: Callable[[Pressed | Released], None]) -> None:
        """``keys``: what each is called, and its combination, such as ``Ctrl+Alt+Space``; "" is none.

        `taken` names those that another program has. Raises DeviceError if there is no X server to ask.
        """
        from Xlib import display, error  # noqa: PLC0415 # only where there is an X server

        try:
            self._display: Any = display.Display()
        except (error.DisplayError, OSError) as problem:
            raise DeviceError(
                "Hotkeys can't be used: the X server doesn't answer.", "Bind `aside listen` to a key instead."
            ) from problem
        self._tell = tell
        self._codes: dict[tuple[int, int], str] = {}
        self.taken: list[str] = [
            combination
            for name, combination in keys.items()
            if combination and not self._grab(name, combination)
        ]
        """The combinations that another program has, or that this keyboard lacks."""
        self._catching = False
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._run, name="hotkeys")
        self._thread.start()

    def catch_escape(self, on: bool) -> None:
        """Have Esc tell `ESCAPE` whatever window has the focus, or leave it to them; returns at once."""
        if on != self._catching:
            self._catching = on
            os.write(self._waker, _CATCH if on else _LET)

    def close(self) -> None:
        """Give the keys back, also to a server that is gone."""
        from Xlib import error  # noqa: PLC0415 # only where there is an X server

        os.write(self._waker, _END)
        self._thread.join(_JOIN)
        with contextlib.suppress(error.ConnectionClosedError, OSError):
            self._display.close()
        os.close(self._wake)
        os.close(self._waker)

    def _grab(self, name: str, combination: str) -> bool:
        """Grab one combination in all states of the locks; all or none."""
        from Xlib import X, error  # noqa: PLC0415 # only where there is an X server

        code, modifiers = self._code(combination)
        if not code:
            return False
        root = self._display.screen().root
        variants = [modifiers | extra for extra in (0, X.LockMask, X.Mod2Mask, X.LockMask | X.Mod2Mask)]
        refused = error.CatchError(error.BadAccess)
        for variant in variants:
            root.grab_key(code, variant, True, X.GrabModeAsync, X.GrabModeAsync, onerror=refused)
        self._display.sync()
        if refused.get_error() is not None:
            self._ungrab(code, modifiers)
            return False
        self._codes[code, modifiers] = name
        return True

    def _ungrab(self, code: int, modifiers: int) -> None:
        from Xlib import X, error  # noqa: PLC0415 # only where there is an X server

        self._codes.pop((code, modifiers), None)
        for extra in (0, X.LockMask, X.Mod2Mask, X.LockMask | X.Mod2Mask):
            self._display.screen().root.ungrab_key(code, modifiers | extra, onerror=error.CatchError())
        self._display.sync()

    def _code(self, combination: str) -> tuple[int, int]:
        """Key code and modifier mask; code 0 if the keyboard has no such key."""
        from Xlib import XK, X  # noqa: PLC0415 # only where there is an X server

        masks = {
            "ctrl": X.ControlMask,
            "alt": X.Mod1Mask,
            "shift": X.ShiftMask,
            "meta": X.Mod4Mask,
            "super": X.Mod4Mask,
        }
        *held, key = combination.split("+")
        modifiers = 0
        for one in held:
            modifiers |= masks.get(one.lower(), 0)
        symbol = XK.string_to_keysym(_NAMES.get(key, key if len(key) > 1 else key.lower()))
        return self._display.keysym_to_keycode(symbol) if symbol else 0, modifiers

    def _run(self) -> None:
        from Xlib import error  # noqa: PLC0415 # only where there is an X server

        with contextlib.suppress(error.ConnectionClosedError):  # the session ends, and the keys with it
            self._watch()

    def _watch(self) -> None:
        from Xlib import X  # noqa: PLC0415 # only where there is an X server

        presses = Presses()
        mask = X.ControlMask | X.Mod1Mask | X.ShiftMask | X.Mod4Mask
        start: int | None = None  # the server's time of the first event, in ms
        down: dict[int, str] = {}
        while True:
            ready, _, _ = select.select([self._display.fileno(), self._wake], [], [])
            if self._wake in ready:
                word = os.read(self._wake, 1)
                if word == _END:
                    return
                if word == _CATCH:
                    self._grab(ESCAPE, "Esc")
                else:
                    code, modifiers = self._code("Esc")
                    self._ungrab(code, modifiers)
                    down.pop(code, None)  # its release may go to another program now
                    presses.forget(ESCAPE)
            while self._display.pending_events():
                event = self._display.next_event()
                if event.type not in (X.KeyPress, X.KeyRelease):
                    continue
                start = event.time if start is None else start
                now = ((event.time - start) & 0xFFFFFFFF) / 1000
                if event.type == X.KeyPress:
                    name = self._codes.get((event.detail, event.state & mask))
                    if name is not None:
                        down[event.detail] = name
                        for told in presses.press(name, now):
                            self._tell(told)
                elif event.detail in down and not self._is_down(event.detail):
                    for told_up in presses.release(down[event.detail], now):  # modifiers may be up already
                        self._tell(told_up)

    def _is_down(self, code: int) -> bool:
        """What the keyboard is like now; a repeated key's release is only in the events."""
        keys = self._display.query_keymap()
        return bool(keys[code // 8] & 1 << code % 8)
