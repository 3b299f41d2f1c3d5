"""Nothing leaves the machine: no process of the application opens a connection while it is used."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from place import Place, eventually
from virtual_audio import VirtualAudio, espeak
from virtual_screen import VirtualScreen

from models import package

# Python runs this at the start of every process: what goes out by Python's sockets is written down.
_WATCH = """
import os, socket, sys
def hook(event, args):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        told = args[0]
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg") and args[0].family != socket.AF_UNIX:
        told = args[1]
    else:
        return
    with open(os.environ["SENT"], "a") as sent:
        print(event, told, file=sent)
sys.addaudithook(hook)
with open(os.environ["WATCHED"], "a") as watched:
    print(os.getpid(), file=watched)
"""


class Connections(threading.Thread):
    """Looks again and again for connections of a process and its children, whoever opened them."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(name="connections")
        self._process, self._ended = process, threading.Event()
        self.found: set[str] = set()
        self.looks = 0

    def run(self) -> None:
        while not self._ended.wait(0.02):
            try:
                for one in (self._process, *self._process.children(recursive=True)):
                    self.found |= {str(c) for c in one.net_connections("inet")}
            except psutil.Error:  # it has just ended
                continue
            self.looks += 1

    def end(self) -> None:
        self._ended.set()
        self.join(10)


@pytest.fixture
def place(screen: VirtualScreen, audio_server: VirtualAudio, tmp_path: Path) -> Place:
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(_WATCH)
    one = Place(screen, audio_server, tmp_path, package.embedded())
    one.environment |= {
        "PYTHONPATH": str(tmp_path / "watch"),
        "SENT": str(tmp_path / "sent"),
        "WATCHED": str(tmp_path / "watched"),
    }
    return one


def test_asked_by_keyboard_voice_and_screen_it_connects_to_nothing(
    place: Place, audio_server: VirtualAudio, tmp_path: Path
) -> None:
    espeak("Hello!", tmp_path / "said.wav")
    with place.running() as process:
        watch = Connections(psutil.Process(process.pid))
        watch.start()
        place.ask("hello")
        eventually(lambda: place.told("answered"))
        place.screen.xdotool("key", "ctrl+alt+s")
        place.screen.wait_for_window("^Ask about the screen$")
        place.screen.xdotool("key", "Return")
        place.screen.xdotool("keydown", "ctrl", "keydown", "alt", "keydown", "space")
        eventually(lambda: place.told("phase", phase="listening"))
        with audio_server.spoken_into_microphone(tmp_path / "said.wav"):
            pass
        place.screen.xdotool("keyup", "space", "keyup", "alt", "keyup", "ctrl")
        eventually(lambda: len(place.told("answered")) == 2)
        eventually(lambda: place.told("phase")[-1]["phase"] == "idle")  # it was spoken
        assert place.aside("quit").wait(20) == 0
        assert process.wait(25) == 0
        watch.end()
    watched = set((tmp_path / "watched").read_text().split())
    assert len(watched) >= 4, "the window, the engine, the voice and `aside quit`"
    assert not (tmp_path / "sent").exists(), (tmp_path / "sent").read_text()
    assert watch.looks > 20
    assert not watch.found


def test_what_connects_would_be_seen(place: Place, tmp_path: Path) -> None:
    code = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as server:
    with socket.create_connection(server.getsockname()):
        print("connected", flush=True)
        sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=place.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "connected\n"
        watch = Connections(psutil.Process(process.pid))
        watch.start()
        eventually(lambda: watch.found)
        watch.end()
        process.communicate("\n")
    assert "socket.connect" in (tmp_path / "sent").read_text()
