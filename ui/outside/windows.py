"""Where the windows of other programs are, on X11, so that a click can take one."""

from __future__ import annotations

import contextlib
from typing import Any

from PySide6.QtCore import QRect

from ui.outside.hotkeys import available


def composited() -> bool:
    """Whether windows can be seen through; where nobody puts them together, their corners would be black."""
    if not available():
        return True
    from Xlib import display, error  # noqa: PLC0415 # only where there is an X server

    try:
        server: Any = display.Display()
    except (error.DisplayError, OSError):
        return True
    try:
        name = f"_NET_WM_CM_S{server.get_default_screen()}"
        return bool(server.get_selection_owner(server.intern_atom(name)))
    finally:
        server.close()


def windows() -> list[QRect]:
    """All windows that can be seen, with their frames, the uppermost first; in pixels of the X server.

    Empty where no program may know this.
    """
    if not available():
        return []
    from Xlib import X, display, error  # noqa: PLC0415 # only where there is an X server

    found: list[QRect] = []
    with contextlib.suppress(error.DisplayError, OSError):
        server: Any = display.Display()
        try:
            root = server.screen().root
            for number in reversed(_numbers(server, root, "_NET_CLIENT_LIST_STACKING")):
                with contextlib.suppress(error.XError):  # it has just been closed
                    window = server.create_resource_object("window", number)
                    if window.get_attributes().map_state == X.IsViewable:
                        found.append(_place(server, root, window))
        finally:
            server.close()
    return [place for place in found if not place.isEmpty()]


def _place(server: Any, root: Any, window: Any) -> QRect:
    inner, at = window.get_geometry(), window.translate_coords(root, 0, 0)
    place = QRect(-at.x, -at.y, inner.width, inner.height)
    shadow = _numbers(server, window, "_GTK_FRAME_EXTENTS")
    if len(shadow) == 4:  # drawn by the program itself, around what is seen of it
        left, right, top, bottom = shadow
        return place.adjusted(left, top, -right, -bottom)
    frame = _numbers(server, window, "_NET_FRAME_EXTENTS")
    if len(frame) == 4:
        left, right, top, bottom = frame
        return place.adjusted(-left, -top, right, bottom)
    return place


def _numbers(server: Any, window: Any, name: str) -> list[int]:
    found = window.get_full_property(server.intern_atom(name), 0)
    return [] if found is None else [int(one) for one in found.value]
