"""Hotkeys and pictures of the screen where no program may grab either: the portals of a Wayland desktop.

The desktop asks the person once, shows what is bound, and may say no. All is D-Bus in threads of its own, by
jeepney, because QtDBus marshals a(sa{sv}) wrongly. Every request is answered by a signal at a path that is
made of the caller's name and a token.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from models.errors import AsideError, Cancelled, DeviceError
from ui.outside.hotkeys import Pressed, Released

APPLICATION: Final = "aside"  # the name of the desktop entry
_NAME: Final = "org.freedesktop.portal.Desktop"
_PATH: Final = "/org/freedesktop/portal/desktop"
_SHORTCUTS: Final = "org.freedesktop.portal.GlobalShortcuts"
_SCREENSHOT: Final = "org.freedesktop.portal.Screenshot"
_LOOK: Final = 0.2  # s between looks whether to end
_CALL: Final = 10.0  # s for the bus to answer
_PERSON: Final = 300.0  # s for a person to answer a dialog
_JOIN: Final = 2.0  # s
_MODIFIERS: Final = {"ctrl": "CTRL", "alt": "ALT", "shift": "SHIFT", "meta": "LOGO", "super": "LOGO"}
_KEYS: Final = {"enter": "Return", "esc": "Escape", "pageup": "Prior", "pagedown": "Next", "space": "space"}


def needed() -> bool:
    """Whether this is a Wayland session, where the X server tells nothing."""
    return sys.platform == "linux" and (
        bool(os.environ.get("WAYLAND_DISPLAY")) or os.environ.get("XDG_SESSION_TYPE") == "wayland"
    )


def trigger(combination: str) -> str:
    """``Ctrl+Alt+Space`` as the shortcuts specification writes it: ``CTRL+ALT+space``."""
    *held, key = combination.split("+")
    name = _KEYS.get(key.lower(), key.lower() if len(key) == 1 else key)
    return "+".join([*(_MODIFIERS.get(one.lower(), one.upper()) for one in held), name])


class PortalHotkeys:
    """Binds keys until `close`, in the place of `ui.hotkeys.Hotkeys`. All callbacks come from its thread."""

    def __init__(
        self,
        keys: Mapping[str, tuple[str, str]],
        tell: Callable[[Pressed | Released], None],
        failed: Callable[[AsideError], None],
    ) -> None:
        """``keys``: what each is called, its wanted combination, and its description for the person."""
        self._keys = {name: one for name, one in keys.items() if one[0]}
        self._tell, self._failed = tell, failed
        self.taken: list[str] = []
        """As of `Hotkeys`; here the desktop itself says what another program has."""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="portal")
        self._thread.start()

    def close(self) -> None:
        """Give the keys back."""
        self._closed.set()
        self._thread.join(_JOIN)

    def _run(self) -> None:
        try:
            with _bus(self._closed) as bus:
                self._bind(bus)
        except Cancelled:
            pass
        except AsideError as error:
            self._failed(error)

    def _bind(self, bus: _Bus) -> None:
        with contextlib.suppress(DeviceError):  # portals before 1.20 have no registry
            bus.call("org.freedesktop.host.portal.Registry", "Register", "sa{sv}", (APPLICATION, {}))
        options = {"session_handle_token": ("s", _token())}
        session = bus.request(_SHORTCUTS, "CreateSession", "a{sv}", (options,))["session_handle"][1]
        wanted = [
            (name, {"description": ("s", text), "preferred_trigger": ("s", trigger(combination))})
            for name, (combination, text) in self._keys.items()
        ]
        bus.request(_SHORTCUTS, "BindShortcuts", "oa(sa{sv})sa{sv}", (session, wanted, "", {}))
        down: dict[str, float] = {}
        for member, body in bus.signals(_SHORTCUTS):
            name = body[1] if len(body) > 1 else ""
            if body[:1] != (session,) or name not in self._keys:
                continue
            if member == "Activated" and name not in down:
                down[name] = time.monotonic()
                self._tell(Pressed(name))
            elif member == "Deactivated" and name in down:
                self._tell(Released(name, time.monotonic() - down.pop(name)))


def screenshot(closed: threading.Event) -> bytes:
    """The whole desktop as an image file's data. Takes time: some desktops ask the person.

    Raises DeviceError if there is no portal or the person says no, and Cancelled when ``closed`` is set.
    """
    with _bus(closed) as bus:
        found = bus.request(_SCREENSHOT, "Screenshot", "sa{sv}", ("", {"interactive": ("b", False)}))
    path = Path(unquote(urlsplit(found["uri"][1]).path))
    try:
        data = path.read_bytes()
        path.unlink()  # it was made for us, and nobody asked to keep it
    except OSError as error:
        raise DeviceError(f"The desktop's picture of the screen can't be read: {error.strerror}.") from error
    return data


class _Bus:
    """A connection to the session's bus, for one thread."""

    def __init__(self, connection: Any, closed: threading.Event) -> None:
        self._connection, self._closed = connection, closed

    def call(self, interface: str, method: str, signature: str, body: tuple[Any, ...]) -> tuple[Any, ...]:
        """The answer's body. Raises DeviceError."""
        from jeepney import DBusAddress, MessageType, new_method_call  # noqa: PLC0415 # only on Linux

        address = DBusAddress(_PATH, _NAME, interface)
        message = new_method_call(address, method, signature, body)
        try:
            reply = self._connection.send_and_get_reply(message, timeout=_CALL)
        except (OSError, TimeoutError) as error:
            raise _missing() from error
        if reply.header.message_type is MessageType.error:
            raise _missing()
        answer: tuple[Any, ...] = reply.body
        return answer

    def request(self, interface: str, method: str, signature: str, body: tuple[Any, ...]) -> dict[str, Any]:
        """What the portal found, when the person has answered; the options are the last of ``body``.

        Raises DeviceError, also for a no, and Cancelled.
        """
        token = _token()
        sender = self._connection.unique_name[1:].replace(".", "_")
        path = f"{_PATH}/request/{sender}/{token}"
        body = (*body[:-1], body[-1] | {"handle_token": ("s", token)})
        with self._listening(path=path, member="Response") as heard:
            self.call(interface, method, signature, body)
            message = self._next(heard, _PERSON)
        code, results = message.body
        if code != 0:
            raise DeviceError(
                "The desktop did not allow it.",
                "Allow it for Aside in its settings, and try again.",
            )
        found: dict[str, Any] = results
        return found

    def signals(self, interface: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Names and bodies of signals until the end. Raises Cancelled then, DeviceError if the bus goes."""
        from jeepney import HeaderFields  # noqa: PLC0415 # only on Linux

        with self._listening(interface=interface) as heard:
            while True:
                message = self._next(heard, None)
                yield message.header.fields[HeaderFields.member], message.body

    def _next(self, heard: Any, seconds: float | None) -> Any:
        until = None if seconds is None else time.monotonic() + seconds
        while not self._closed.is_set():
            try:
                return self._connection.recv_until_filtered(heard, timeout=_LOOK)
            except TimeoutError:
                if until is not None and time.monotonic() > until:
                    raise DeviceError("The desktop did not answer.", "Try it again.") from None
            except (OSError, EOFError) as error:
                raise _missing() from error
        raise Cancelled("Aside ends.")

    @contextlib.contextmanager
    def _listening(self, **rule: str) -> Iterator[Any]:
        from jeepney import MatchRule, message_bus  # noqa: PLC0415 # only on Linux

        match = MatchRule(type="signal", **rule)
        try:
            self._connection.send_and_get_reply(message_bus.AddMatch(match), timeout=_CALL)
        except (OSError, TimeoutError) as error:
            raise _missing() from error
        with self._connection.filter(match, bufsize=64) as heard:
            yield heard


@contextlib.contextmanager
def _bus(closed: threading.Event) -> Iterator[_Bus]:
    from jeepney.io.blocking import open_dbus_connection  # noqa: PLC0415 # only on Linux

    try:
        connection = open_dbus_connection("SESSION")
    except (OSError, KeyError, ValueError) as error:
        raise _missing() from error
    with contextlib.closing(connection):
        yield _Bus(connection, closed)


def _token() -> str:
    return f"aside{uuid4().hex}"


def _missing() -> DeviceError:
    return DeviceError(
        "This desktop has no portal for it.",
        "Bind `aside listen` to a key in the desktop's settings, and paste screenshots.",
    )
