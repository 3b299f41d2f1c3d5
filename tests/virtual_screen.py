"""A real X server without a monitor, with a window manager: windows become active and keys arrive."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from Xlib import display
from Xlib.ext import randr
from Xlib.protocol import rq


@dataclass(frozen=True)
class VirtualScreen:
    """A running server; ``display`` is its name."""

    display: str
    server: subprocess.Popen[bytes]

    def kill(self) -> None:
        """As when the person's session ends in a crash."""
        self.server.kill()
        self.server.wait(10)

    @property
    def environment(self) -> dict[str, str]:
        """For programs that are to be shown there."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("WAYLAND", "XDG_SESSION", "QT_"))}
        return kept | {"DISPLAY": self.display}

    def xdotool(self, *words: object) -> str:
        """Press keys and move the mouse, as a person does."""
        command = ["xdotool", *map(str, words)]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()

    def wait_for_window(self, title: str, seconds: float = 60.0) -> str:
        """The number of a window, when it is shown."""
        deadline = time.monotonic() + seconds
        command = ["xdotool", "search", "--onlyvisible", "--name", title]
        while time.monotonic() < deadline:
            found = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
            if found.stdout.strip():
                return found.stdout.split()[0]
            time.sleep(0.02)
        raise TimeoutError(f"no window is called {title}")


def split(screen: VirtualScreen, width: int = 1280, height: int = 800) -> None:
    """Make two monitors of the server's one, side by side; programs that start from now on see both."""
    server: Any = display.Display(screen.display)
    root = server.screen().root
    fields = (
        rq.Card8("opcode"),
        rq.Opcode(43),  # RRSetMonitor; the one of python-xlib can't be sent
        rq.RequestLength(),
        rq.Window("window"),
        rq.Card32("name"),
        rq.Bool("primary"),
        rq.Bool("automatic"),
        rq.LengthOf("outputs", 2),
        *(rq.Int16(name) for name in ("x", "y")),
        *(rq.Card16(name) for name in ("width", "height")),
        *(rq.Card32(name) for name in ("width_mm", "height_mm")),
        rq.List("outputs", rq.Card32Obj),
    )
    request = type("SetMonitor", (rq.Request,), {"_request": rq.Struct(*fields)})
    found = list(root.xrandr_get_screen_resources().outputs)
    for place, (name, outputs) in enumerate((("left", found), ("right", []))):
        request(
            display=server.display,
            opcode=server.display.get_extension_major(randr.extname),
            window=root,
            name=server.intern_atom(name),
            primary=place == 0,
            automatic=False,
            x=place * width // 2,
            y=0,
            width=width // 2,
            height=height,
            width_mm=170,
            height_mm=210,
            outputs=outputs,
        )
    server.sync()
    server.close()


@contextmanager
def virtual_screen(size: str = "1280x800") -> Iterator[VirtualScreen]:
    """Start server and window manager; both end with the block."""
    near, far = os.pipe()
    with (
        tempfile.TemporaryDirectory(prefix="aside-screen-") as folder,
        (Path(folder) / "log").open("wb") as log,
    ):
        command = [
            "Xvfb",
            "-displayfd",
            str(far),
            "-screen",
            "0",
            f"{size}x24",
            "-nolisten",
            "tcp",
            "-noreset",
        ]
        server = subprocess.Popen(command, pass_fds=[far], stdout=log, stderr=log)
        os.close(far)
        with os.fdopen(near) as number:
            screen = VirtualScreen(f":{number.readline().strip()}", server)
        manager = subprocess.Popen(["openbox"], env=screen.environment, stdout=log, stderr=log)
        try:
            _wait_for_manager(screen)
            yield screen
        finally:
            for process in (manager, server):
                process.terminate()
                process.wait(10)


def _wait_for_manager(screen: VirtualScreen) -> None:
    deadline = time.monotonic() + 30
    command = ["xprop", "-root", "_NET_SUPPORTING_WM_CHECK"]
    while time.monotonic() < deadline:
        found = subprocess.run(command, env=screen.environment, capture_output=True, text=True, check=False)
        if "window id" in found.stdout:
            return
        time.sleep(0.02)
    raise TimeoutError("the window manager did not start")
