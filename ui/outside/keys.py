"""The hotkeys of the settings: grabbed on X11, asked for at the desktop's portal on Wayland."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QCoreApplication

from assistant import settings
from models.errors import AsideError, DeviceError
from ui.gate import Gate
from ui.outside import portal
from ui.outside.hotkeys import Hotkeys, Pressed, Released, available


class Keys:
    """Belongs to the GUI thread, in which ``pressed`` and ``problem`` are called."""

    def __init__(
        self,
        gate: Gate,
        pressed: Callable[[Pressed | Released], object],
        problem: Callable[[AsideError], object],
    ) -> None:
        self._gate, self._pressed, self._problem = gate, pressed, problem
        self.grabbed: Hotkeys | portal.PortalHotkeys | None = None
        self._wanted = settings.Hotkeys()

    @property
    def talk(self) -> str:
        """The key to hold while speaking; "" where there is none of ours."""
        return self._mine(self._wanted.talk)

    @property
    def screen(self) -> str:
        """The key for the screen; "" where there is none of ours."""
        return self._mine(self._wanted.screen)

    def _mine(self, keys: str) -> str:
        return keys if isinstance(self.grabbed, Hotkeys) and keys not in self.grabbed.taken else ""

    def grab(self, wanted: settings.Hotkeys) -> None:
        """These, where programs may have any, in place of those of before."""
        self.release()
        self._wanted = wanted
        names = ("talk", "screen", "camera", "transcribe", "translate")
        keys = {name: str(getattr(wanted, name)) for name in names}
        if portal.needed():
            self._bind(keys)
        elif available():
            self._grab(keys)

    def release(self) -> None:
        """Give them back."""
        if self.grabbed is not None:
            self.grabbed.close()
            self.grabbed = None

    def pause(self, on: bool) -> None:
        """While a field of the settings waits for keys, ours don't act."""
        if portal.needed():
            return  # the desktop has them, and would ask again
        if on:
            self.release()
        else:
            self.grab(self._wanted)

    def catch_escape(self, on: bool) -> None:
        """Have Esc whatever window has the focus; only where keys can be grabbed."""
        if isinstance(self.grabbed, Hotkeys):
            self.grabbed.catch_escape(on)

    def _grab(self, keys: dict[str, str]) -> None:
        try:
            self.grabbed = Hotkeys(keys, self._tell)
        except AsideError as error:
            self._problem(error)
            return
        if self.grabbed.taken:
            listed = ", ".join(self.grabbed.taken)
            self._problem(
                DeviceError(f"Another program has the hotkey {listed}.", "Choose another in the settings.")
            )

    def _bind(self, keys: dict[str, str]) -> None:
        """As the desktop allows it: it asks the person."""
        texts = {
            "talk": QCoreApplication.translate("Desktop", "Hold or tap to talk to Aside"),
            "screen": QCoreApplication.translate("Desktop", "Ask about the screen"),
            "camera": QCoreApplication.translate("Desktop", "Ask about the camera"),
            "transcribe": QCoreApplication.translate("Desktop", "Write down what is said"),
            "translate": QCoreApplication.translate("Desktop", "Translate what is said"),
        }
        self.grabbed = portal.PortalHotkeys(
            {name: (combination, texts[name]) for name, combination in keys.items()},
            self._tell,
            lambda error: self._gate.post(partial(self._problem, error)),
        )

    def _tell(self, event: Pressed | Released) -> None:
        """Called by the thread that hears the keys."""
        self._gate.post(partial(self._pressed, event))
