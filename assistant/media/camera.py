"""A camera: its newest picture, never an old one.

    with Camera("0", usage) as camera:      # or a video file, or the address of a stream
        frame = camera.take()               # seen after the call

OpenCV blocks when a camera goes away, or gives the last picture again and again, and a slow reader lags
behind. So a thread of its own reads all the time and keeps the newest frame; `Freshness` tells when that is
no news any more. A video file stands in for a camera: it plays at its own speed, again and again.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assistant.media import picture
from assistant.usage import Usage
from models.errors import Cancelled, DeviceError, MediaError

Pixels = NDArray[np.uint8]
SourceKind = Literal["device", "file", "stream"]

FROZEN: Final = 2.0  # s without news: the camera is lost
_OPENING: Final = 5.0  # s; some cameras need three
_JOIN: Final = 3.0  # s
_STREAM_TIMEOUT: Final = 2500  # ms of FFmpeg, so that the thread ends
_WARM: Final = 0.7  # s until a device has found its exposure
_SCHEMES: Final = ("http", "https", "rtsp", "rtsps", "rtmp")
_QT: Final = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")  # OpenCV sets them for its own Qt
_NODES: Final = Path("/sys/class/video4linux")
_ANOTHER: Final = "Choose another camera, or plug this one in again."


@dataclass(frozen=True, eq=False)
class Frame:
    """``pixels`` are RGB, [height, width, 3]; ``at`` is monotonic, in seconds; ``number`` counts from 1."""

    pixels: Pixels = field(repr=False)
    at: float
    number: int


@dataclass(frozen=True)
class Found:
    """A camera of this machine: what `Camera` takes, and what a person calls it."""

    source: str
    name: str


class FrameSource(Protocol):
    """Where frames come from; `Camera`, also on a file."""

    name: str

    def newest(self) -> Frame:
        """The newest frame. Raises DeviceError if it is old."""

    def take(self, cancel: threading.Event | None = None) -> Frame:
        """The next frame, seen after the call. Raises DeviceError, Cancelled."""

    def close(self) -> None:
        """Give the camera back."""


class Freshness:
    """Whether there is news: frames that come, and that differ. Pure: times in seconds come in."""

    def __init__(self, now: float) -> None:
        self._came = self._changed = now
        self._last: Pixels | None = None

    def push(self, pixels: Pixels, now: float) -> None:
        """A frame came. A real sensor never gives the same twice, but a covered one may be all black."""
        self._came = now
        same = self._last is not None and np.array_equal(pixels, self._last)
        if not same or bool((pixels == pixels[0, 0]).all()):
            self._changed = now
        self._last = pixels

    def frozen(self, now: float) -> bool:
        """Whether what there is, is old."""
        return now - min(self._came, self._changed) > FROZEN


class Camera:
    """Open from here to `close`. The lamp is on exactly as long as OpenCV has it open."""

    def __init__(
        self, source: str = "", usage: Usage | None = None, cancel: threading.Event | None = None
    ) -> None:
        """``source``: a number, a video file, a stream's address; "" is the first camera.

        Takes five seconds at most. Raises DeviceError, MediaError for a file; Cancelled.
        """
        self.source, self.kind, self.name = resolve(source)
        self._usage = usage
        self._news = threading.Condition()
        self._frame: Frame | None = None
        self._freshness: Freshness | None = None
        self._failure: DeviceError | MediaError | None = None
        self._closing = threading.Event()
        # A daemon: where OpenCV never comes back from a dead device, Aside still ends.
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()
        try:
            self._wait(0, _OPENING, cancel)
        except BaseException:
            self.close()
            raise
        self.opened = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def newest(self) -> Frame:
        """The newest frame. Raises DeviceError if the camera is lost or frozen."""
        with self._news:
            self._check()
            assert self._frame is not None  # the first one came before the constructor ended
            return self._frame

    def take(self, cancel: threading.Event | None = None) -> Frame:
        """A frame that was seen after the call. Raises DeviceError, Cancelled."""
        warm = self.opened + _WARM
        while self.kind == "device" and time.monotonic() < warm:
            self._wait(self._number, FROZEN, cancel)
        return self._wait(self._number, FROZEN, cancel)

    def several(self, count: int, seconds: float, cancel: threading.Event | None = None) -> list[Frame]:
        """``count`` frames, evenly over ``seconds``. Raises DeviceError, Cancelled."""
        first = self.take(cancel)
        frames = [first]
        for place in range(1, count):
            due = first.at + seconds * place / (count - 1)
            while (frame := self._wait(self._number, FROZEN, cancel)).at < due:
                pass
            frames.append(frame)
        return frames

    def close(self) -> None:
        """Give it back. Takes three seconds at most; a driver that hangs keeps it, and the lamp stays on."""
        self._closing.set()
        with self._news:
            self._news.notify_all()
        self._thread.join(_JOIN)

    @property
    def _number(self) -> int:
        with self._news:
            return self._frame.number if self._frame is not None else 0

    def _wait(self, after: int, seconds: float, cancel: threading.Event | None) -> Frame:
        """A frame with a higher number than ``after``."""
        deadline = time.monotonic() + seconds
        with self._news:
            while self._frame is None or self._frame.number <= after:
                if cancel is not None and cancel.is_set():
                    raise Cancelled("Looking was stopped.")
                self._check()
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self._lost() if after else self._unopened()
                self._news.wait(min(left, 0.05))
            self._check()
            return self._frame

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closing.is_set():
            raise DeviceError(f"{self.name} is closed.")
        if self._freshness is not None and self._freshness.frozen(time.monotonic()):
            raise self._lost()

    def _lost(self) -> DeviceError:
        return DeviceError(f"{self.name} stopped giving pictures.", _ANOTHER)

    def _unopened(self) -> DeviceError:
        if self.kind == "stream":
            return DeviceError(f"{self.name} gives no pictures.", "Check the address.")
        return DeviceError(f"{self.name} can't be opened.", "Close other programs that may be using it.")

    def _run(self) -> None:
        try:
            with ExitStack() as stack:
                if self._usage is not None:
                    stack.enter_context(self._usage.open("camera", self.name))
                    if self.kind == "stream":
                        stack.enter_context(self._usage.open("network", self.name))
                capture = self._opened()
                stack.callback(capture.release)
                self._read(capture)
        except (DeviceError, MediaError) as error:
            self._fail(error)
        except Exception as error:  # whatever a decoder throws, the reader must not die silently
            failure = DeviceError(f"{self.name} failed ({type(error).__name__}: {error}).", _ANOTHER)
            failure.__cause__ = error
            self._fail(failure)

    def _fail(self, error: DeviceError | MediaError) -> None:
        with self._news:
            self._failure = error
            self._news.notify_all()

    def _opened(self) -> Any:
        cv2 = opencv()
        if self.kind == "device":
            backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
            capture = cv2.VideoCapture(int(self.source), backend)
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, 1280)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, 720)
        else:
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _STREAM_TIMEOUT, cv2.CAP_PROP_READ_TIMEOUT_MSEC]
            capture = cv2.VideoCapture(self.source, cv2.CAP_FFMPEG, [*limits, _STREAM_TIMEOUT])
        if capture.isOpened():
            return capture
        capture.release()
        if self.kind == "file":
            raise MediaError(f"{self.name} is no video that can be played.", "Use an MP4, WebM or AVI file.")
        raise self._unopened()

    def _read(self, capture: Any) -> None:
        cv2 = opencv()
        pause, due, number = self._pause(capture), time.monotonic(), 0
        while not self._closing.is_set():
            there, pixels = capture.read()
            if not there and self.kind == "file" and number:
                capture.release()
                capture.open(self.source, cv2.CAP_FFMPEG)  # from the beginning again
                there, pixels = capture.read()
            if not there:
                if self._closing.is_set():
                    return
                raise self._lost() if number else self._unopened()
            if pixels.shape[0] * pixels.shape[1] > picture.MOST_PIXELS:
                raise MediaError(f"{self.name} has too many pixels.", "Choose a smaller size.")
            number += 1
            self._push(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), number)
            if pause:
                due = max(due + pause, time.monotonic() - 1.0)
                self._closing.wait(max(0.0, due - time.monotonic()))

    def _pause(self, capture: Any) -> float:
        """Seconds between a file's frames; a live source comes at its own speed."""
        if self.kind != "file":
            return 0.0
        rate = float(capture.get(opencv().CAP_PROP_FPS))
        return 1 / rate if 1 <= rate <= 240 else 1 / 25

    def _push(self, pixels: Pixels, number: int) -> None:
        now = time.monotonic()
        pixels.setflags(write=False)
        with self._news:
            if self.kind != "file":
                if self._freshness is None:
                    self._freshness = Freshness(now)
                self._freshness.push(pixels, now)
            self._frame = Frame(pixels, now, number)
            self._news.notify_all()


def resolve(source: str) -> tuple[str, SourceKind, str]:
    """What OpenCV takes, of which kind it is, and its name. Raises DeviceError, MediaError."""
    text = source.strip()
    if not text:
        found = cameras()
        if not found and sys.platform == "linux":
            raise DeviceError("There is no camera.", "Plug one in, or name a video or a stream.")
        text = found[0].source if found else "0"
    if text.isascii() and text.isdigit():
        node = Path(f"/dev/video{int(text)}")
        name = next((one.name for one in cameras() if one.source == text), f"Camera {text}")
        if sys.platform == "linux" and not node.exists():
            raise DeviceError(f"There is no camera {text}.", "`aside doctor` lists those that there are.")
        if sys.platform == "linux" and not os.access(node, os.R_OK | os.W_OK):
            raise DeviceError(f"{name} may not be used by you.", "Add yourself to the group video.")
        return str(int(text)), "device", name
    scheme, found_scheme, rest = text.partition("://")
    if found_scheme and scheme.lower() != "file":
        if scheme.lower() not in _SCHEMES:
            raise DeviceError(f"{scheme}:// is no address of a camera.", f"Use {', '.join(_SCHEMES)}.")
        return text, "stream", _without_password(scheme, rest)
    path = Path(rest if found_scheme else text).expanduser()
    if not path.is_file():
        raise MediaError(f"There is no video file {path}.", "Check the name.")
    return str(path.absolute()), "file", path.name


def cameras(nodes: Path = _NODES) -> list[Found]:
    """The cameras of this machine, found without opening any; empty where the system can't tell."""
    found = []
    with suppress(OSError):
        for node in nodes.iterdir():
            number = node.name.removeprefix("video")
            if not number.isdigit():
                continue
            with suppress(OSError):
                # One device has several nodes; only the first gives pictures.
                if (node / "index").read_text().strip() == "0":
                    name = (node / "name").read_text("utf-8", "replace").strip()
                    found.append(Found(number, name or f"Camera {number}"))
    return sorted(found, key=lambda one: int(one.source))


def jpeg(frame: Frame) -> bytes:
    """A frame as JPEG data: a tenth of the time that PNG takes."""
    buffer = io.BytesIO()
    Image.fromarray(frame.pixels).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def snapshots(
    source: str = "", count: int = 1, seconds: float = 0.0, usage: Usage | None = None
) -> list[bytes]:
    """Open, look, close: ``count`` JPEG pictures evenly over ``seconds``. Raises DeviceError, MediaError."""
    with Camera(source, usage) as camera:
        frames = camera.several(count, seconds)
    return [jpeg(frame) for frame in frames]


def _without_password(scheme: str, rest: str) -> str:
    """An address for people and logs."""
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path.partition('?')[0]}"


def opencv() -> Any:
    """OpenCV, without what it does to Qt and to the terminal."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    before = {name: os.environ.get(name) for name in _QT}
    import cv2  # noqa: PLC0415 # a fifth of a second, and only where somebody looks

    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2
