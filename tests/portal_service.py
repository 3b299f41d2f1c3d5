"""A desktop's portal without a desktop, on the session bus: `python portal_service.py PICTURE|no`.

What is written to its standard input is pressed and released: ``press talk``, ``release talk``. What it is
asked for is written to its standard output.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from jeepney import DBusAddress, HeaderFields, MessageType, message_bus, new_method_return, new_signal
from jeepney.io.blocking import DBusConnection, open_dbus_connection

PATH = "/org/freedesktop/portal/desktop"
SHORTCUTS = "org.freedesktop.portal.GlobalShortcuts"
SESSION = f"{PATH}/session/test/one"


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def answer(bus: DBusConnection, call: Any, picture: str) -> None:
    member = call.header.fields[HeaderFields.member]
    sender = call.header.fields[HeaderFields.sender]
    tell(f"{member} {call.body}")
    if member == "Register":
        bus.send(new_method_return(call))
        return
    options = call.body[-1]
    path = f"{PATH}/request/{sender[1:].replace('.', '_')}/{options['handle_token'][1]}"
    bus.send(new_method_return(call, "o", (path,)))
    code, results = 0, {}
    if member == "CreateSession":
        results = {"session_handle": ("s", SESSION)}
    elif member == "Screenshot" and picture == "no":
        code = 1
    elif member == "Screenshot":
        copy = Path(tempfile.mkdtemp(dir=Path(picture).parent)) / "Screen shot.png"
        shutil.copy(picture, copy)
        results = {"uri": ("s", copy.as_uri())}
    request = DBusAddress(path, interface="org.freedesktop.portal.Request")
    bus.send(new_signal(request, "Response", "ua{sv}", (code, results)))


def serve(bus: DBusConnection, picture: str) -> None:
    while True:
        message = bus.receive()
        if message.header.message_type is MessageType.method_call:
            answer(bus, message, picture)


def main(picture: str) -> None:
    with open_dbus_connection("SESSION") as bus:
        bus.send_and_get_reply(message_bus.RequestName("org.freedesktop.portal.Desktop"))
        threading.Thread(target=serve, args=(bus, picture), daemon=True).start()
        tell("ready")
        desktop = DBusAddress(PATH, interface=SHORTCUTS)
        for line in sys.stdin:
            what, name = line.split()
            member = {"press": "Activated", "release": "Deactivated"}[what]
            bus.send(new_signal(desktop, member, "osta{sv}", (SESSION, name, 0, {})))


if __name__ == "__main__":
    main(sys.argv[1])
