"""Cameras: the newest picture, a message when one is lost or frozen, and a lamp that is the open handle."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import Aside
from PIL import Image
from virtual_camera import HEIGHT, WIDTH, scene, stream, video

from assistant.media.camera import FROZEN, Camera, Frame, Freshness, cameras, jpeg, resolve, snapshots
from assistant.usage import FILE, Usage
from models.errors import Cancelled, DeviceError, MediaError


def left(frame: Frame) -> int:
    """Where the white square is."""
    return int(np.flatnonzero(frame.pixels[120, :, 1] > 128)[0])


def look(camera: Camera) -> None:
    """Until it fails."""
    while camera.newest():
        time.sleep(0.02)


def take_new(camera: Camera) -> None:
    """Until it fails; each frame is newer than the call."""
    while True:
        asked = time.monotonic()
        assert camera.take().at >= asked


def test_a_file_plays_at_its_own_speed_and_begins_again(tmp_path: Path) -> None:
    path = video(tmp_path / "scene.avi", frames=20, rate=20)
    usage = Usage()
    with Camera(str(path), usage) as camera:
        assert usage.now == {"camera"}
        assert camera.name == "scene.avi"
        first = camera.take()
        assert first.pixels.shape == (HEIGHT, WIDTH, 3)
        assert abs(int(first.pixels[10, 10, 0]) - 200) < 12  # red, not blue
        assert first.pixels[10, 10, 2] < 30
        frames = camera.several(4, 1.5)
        assert 1.4 < frames[-1].at - frames[0].at < 2.5
        assert frames[-1].number - frames[0].number > 20
        assert len({left(frame) for frame in frames}) > 1
        assert camera.newest().number >= frames[-1].number
    assert usage.now == frozenset()
    assert not [t for t in threading.enumerate() if t.name == "camera"]


def test_a_stream_gives_its_newest_picture_to_a_slow_reader(tmp_path: Path) -> None:
    usage = Usage()
    with stream() as one, Camera(one.address, usage) as camera:
        assert usage.now == {"camera", "network"}
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            camera.take()
        shown = one.shown
        assert left(camera.take()) >= (shown - 3) * 4 % (WIDTH - 40)
        picture = Image.open(io.BytesIO(jpeg(camera.newest())))
        assert picture.size == (WIDTH, HEIGHT)
    assert usage.now == frozenset()


@pytest.mark.parametrize("how", ["frozen", "repeating", "ended"])
def test_a_camera_that_is_lost_says_so_within_three_seconds(how: str) -> None:
    with stream() as one, Camera(one.address) as camera:
        camera.take()
        started = time.monotonic()
        getattr(one, how).set()
        with pytest.raises(DeviceError, match="stopped giving pictures"):
            look(camera)
        assert time.monotonic() - started < 3.0
        with pytest.raises(DeviceError):
            camera.take()


def test_no_old_frame_is_given_for_a_new_one() -> None:
    with stream() as one, Camera(one.address) as camera:
        camera.take()
        one.frozen.set()
        asked = time.monotonic()
        with pytest.raises(DeviceError):
            take_new(camera)
        assert time.monotonic() - asked < 3.0


def test_the_same_picture_again_is_no_news_unless_the_lens_is_covered() -> None:
    freshness, picture, black = Freshness(0.0), scene(1), np.zeros((4, 4, 3), np.uint8)
    for tick in range(30):
        freshness.push(picture, tick / 10)
    assert freshness.frozen(3.0)
    freshness.push(scene(2), 3.0)
    assert not freshness.frozen(3.0 + FROZEN)
    assert freshness.frozen(3.1 + FROZEN)
    for tick in range(60, 100):
        freshness.push(black, tick / 10)
    assert not freshness.frozen(10.0)


def test_what_can_not_be_opened_says_why(tmp_path: Path) -> None:
    (tmp_path / "junk.mp4").write_bytes(b"no video" * 100)
    (tmp_path / "empty.mp4").write_bytes(b"")
    usage = Usage()
    for source, says in (
        (str(tmp_path / "junk.mp4"), "no video"),
        (str(tmp_path / "empty.mp4"), "no video"),
        (str(tmp_path / "none.mp4"), "There is no video file"),
        (str(tmp_path), "There is no video file"),
        ("4711", "There is no camera 4711"),
        ("concat://a", "no address of a camera"),
        ("http://127.0.0.1:1/", "gives no pictures"),
    ):
        with pytest.raises((DeviceError, MediaError), match=says):
            Camera(source, usage)
        assert usage.now == frozenset()


def test_an_address_that_never_answers_is_given_up_and_cancelled() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        started = time.monotonic()
        with pytest.raises(DeviceError, match="gives no pictures"):
            Camera(address)
        assert time.monotonic() - started < 6.0
        cancel = threading.Event()
        cancel.set()
        with pytest.raises(Cancelled):
            Camera(address, cancel=cancel)


def test_a_damaged_video_never_hangs_or_crashes(tmp_path: Path) -> None:
    data = bytearray(video(tmp_path / "good.avi", frames=8).read_bytes())
    random = np.random.default_rng(3)
    said: list[str] = []
    for attempt in range(12):
        bad = bytearray(data[: int(random.integers(100, len(data)))] if attempt % 2 else data)
        for at in random.integers(0, len(bad), 40):
            bad[at] ^= 0xFF
        (tmp_path / "bad.avi").write_bytes(bad)
        try:
            with Camera(str(tmp_path / "bad.avi")) as camera:
                assert camera.newest().pixels.ndim == 3
        except (DeviceError, MediaError) as error:
            said.append(str(error))
    assert all("bad.avi" in text and "failed" not in text for text in said)


def test_cameras_are_found_without_opening_them(tmp_path: Path) -> None:
    for number, index, name in ((10, 0, "USB \u2603"), (2, 0, "Built in"), (3, 1, "Built in")):
        node = tmp_path / f"video{number}"
        node.mkdir()
        (node / "index").write_text(f"{index}\n")
        (node / "name").write_text(f"{name}\n", "utf-8")
    assert [(one.source, one.name) for one in cameras(tmp_path)] == [("2", "Built in"), ("10", "USB \u2603")]
    assert cameras(tmp_path / "none") == []


def test_passwords_of_addresses_are_not_shown() -> None:
    _, kind, name = resolve("rtsp://me:secret@camera.local/live?token=1")
    assert (kind, name) == ("stream", "rtsp://camera.local/live")


def test_snapshots_leave_nothing_open_and_qt_alone(tmp_path: Path) -> None:
    usage = Usage(tmp_path / "log")
    pictures = snapshots(str(video(tmp_path / "scene.avi")), 3, 0.5, usage)
    assert [Image.open(io.BytesIO(one)).size for one in pictures] == [(WIDTH, HEIGHT)] * 3
    assert usage.now == frozenset()
    assert '"kind": "camera"' in (tmp_path / "log").read_text()
    assert "cv2" not in os.environ.get("QT_QPA_PLATFORM_PLUGIN_PATH", "")


def test_the_command_asks_about_what_a_camera_sees(aside: Aside, tmp_path: Path) -> None:
    aside = replace(aside, environment={"XDG_CONFIG_HOME": str(tmp_path / "config")})
    path = str(video(tmp_path / "scene.avi"))
    result = aside("ask", "--camera", "--source", path, "--frames", "2", "--over", "0.5", "what?", "--json")
    assert result.code == 0, result.err
    assert '"camera", "name": "scene.avi"' in (aside.folder / "data" / "aside" / FILE).read_text()
    aside("settings", "set", "privacy.camera", "false")
    assert "switched off" in aside("ask", "--camera", "--source", path, "what?").complaint()
