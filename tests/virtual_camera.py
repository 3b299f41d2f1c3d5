"""Cameras without hardware: a video file, and a local stream that can freeze, repeat itself or end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assistant.media.camera import opencv

WIDTH, HEIGHT = 320, 240


def scene(number: int) -> NDArray[np.uint8]:
    """A white square that goes from left to right on red; RGB."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[..., 0] = 200
    left = number * 4 % (WIDTH - 40)
    pixels[100:140, left : left + 40] = 255
    return pixels


def video(path: Path, frames: int = 40, rate: float = 20.0) -> Path:
    """A video file of scenes."""
    cv2 = opencv()
    fourcc = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), fourcc, rate, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(scene(number)[..., ::-1].copy())
    writer.release()
    return path


class Stream:
    """An MJPEG stream at ``address``; 30 pictures a second until told otherwise."""

    def __init__(self) -> None:
        self.frozen = threading.Event()  # connected, but nothing comes
        self.repeating = threading.Event()  # the same picture again and again
        self.ended = threading.Event()
        self.address = ""
        self.shown = 0
        self.watchers = 0

    def send(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        self.watchers += 1
        number, cv2 = 0, opencv()
        with suppress(OSError):
            while not self.ended.wait(1 / 30):
                if self.frozen.is_set():
                    continue
                number += not self.repeating.is_set()
                data: Any = cv2.imencode(".jpg", scene(number)[..., ::-1])[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                handler.wfile.write(head.encode() + data + b"\r\n")
                self.shown = number
        self.watchers -= 1


@contextmanager
def stream() -> Iterator[Stream]:
    """Serve one on 127.0.0.1; it ends with the block."""
    one = Stream()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            one.send(self)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False

    with Server(("127.0.0.1", 0), Handler) as server:
        one.address = f"http://127.0.0.1:{server.server_address[1]}/video"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield one
        finally:
            one.ended.set()
            server.shutdown()
            thread.join()
