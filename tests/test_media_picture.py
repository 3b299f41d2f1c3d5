"""Picture files of every kind and every defect."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from assistant.media import picture
from models.errors import MediaError

KINDS = ["png", "jpeg", "webp", "bmp", "tiff", "gif"]


def scene(width: int = 64, height: int = 48) -> Image.Image:
    """Red on the left, blue on the right, with a green bar at the top."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2] = (220, 20, 20)
    pixels[:, width // 2 :] = (20, 20, 220)
    pixels[: height // 8] = (20, 220, 20)
    return Image.fromarray(pixels)


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    assert image.format == "PNG"
    assert image.mode == "RGB"
    return image


def colour(image: Image.Image, x: float, y: float) -> tuple[int, ...]:
    pixel = image.getpixel((int(x * image.width), int(y * image.height)))
    assert isinstance(pixel, tuple)
    return pixel


def near(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return max(abs(x - y) for x, y in zip(a, b, strict=True)) < 25


@pytest.mark.parametrize("kind", KINDS)
def test_every_format(tmp_path: Path, kind: str) -> None:
    scene().save(tmp_path / f"a.{kind}")
    image = decoded(picture.load(tmp_path / f"a.{kind}"))
    assert image.size == (64, 48)
    assert near(colour(image, 0.2, 0.6), (220, 20, 20))
    assert near(colour(image, 0.8, 0.6), (20, 20, 220))


@pytest.mark.parametrize(
    ("orientation", "red"), [(1, (0.2, 0.6)), (3, (0.8, 0.4)), (6, (0.4, 0.2)), (8, (0.6, 0.8))]
)
def test_orientation_of_a_phone(tmp_path: Path, orientation: int, red: tuple[float, float]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    scene().save(tmp_path / "a.jpg", exif=exif, quality=95)
    image = decoded(picture.load(tmp_path / "a.jpg"))
    assert image.size == ((48, 64) if orientation > 4 else (64, 48))
    assert near(colour(image, *red), (220, 20, 20))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_is_white(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    if mode == "P":
        image = Image.new("P", (8, 8), 3)
        image.info["transparency"] = 3
        image.putpalette([0] * 768)
    else:
        image = image.convert(mode)
    image.save(tmp_path / "a.png")
    assert colour(decoded(picture.load(tmp_path / "a.png")), 0.5, 0.5) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["gif", "webp", "tiff", "png"])
def test_first_frame_of_several(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), c) for c in ("red", "blue", "lime")]
    frames[0].save(tmp_path / f"a.{kind}", save_all=True, append_images=frames[1:])
    assert near(colour(decoded(picture.load(tmp_path / f"a.{kind}")), 0.5, 0.5), (255, 0, 0))


def test_sixteen_bits_and_cmyk(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    Image.fromarray(np.tile(ramp, (8, 1))).save(tmp_path / "a.png")
    image = decoded(picture.load(tmp_path / "a.png"))
    assert near(colour(image, 0.5, 0.5), (129, 129, 129))
    scene().convert("CMYK").save(tmp_path / "b.jpg", quality=95)
    assert near(colour(decoded(picture.load(tmp_path / "b.jpg")), 0.2, 0.6), (220, 20, 20))
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "c.tiff")
    with pytest.raises(MediaError, match="not numbers"):
        picture.load(tmp_path / "c.tiff")


def huge_png(width: int, height: int) -> bytes:
    """A PNG whose header promises much and whose body holds little."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(10000, 10000), (40000, 40000), (100000, 60000)])
def test_many_megapixels_are_refused_before_decoding(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "a.png").write_bytes(huge_png(*size))
    with pytest.raises(MediaError, match="megapixels, and Aside takes 64 at most"):
        picture.load(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["jpeg", "bmp"])
def test_large_pictures_become_smaller(tmp_path: Path, kind: str) -> None:
    scene(6000, 4000).save(tmp_path / f"a.{kind}")
    image = decoded(picture.load(tmp_path / f"a.{kind}"))
    assert image.width * image.height <= picture.ENOUGH * 1.001
    assert image.width / image.height == pytest.approx(1.5, rel=0.01)
    assert near(colour(image, 0.2, 0.6), (220, 20, 20))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0.01, 0.3, 0.8])
def test_cut_files_are_refused(tmp_path: Path, kind: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / f"whole.{kind}")
    data = (tmp_path / f"whole.{kind}").read_bytes()
    (tmp_path / f"part.{kind}").write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(MediaError, match="part"):
        picture.load(tmp_path / f"part.{kind}")


def test_other_bad_files(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no file"):
        picture.load(tmp_path / "nothing.png")
    with pytest.raises(MediaError, match="folder"):
        picture.load(tmp_path)
    for name, data, word in (
        ("a.png", b"", "empty"),
        ("b.png", b"This is a letter. " * 50, "no picture"),
        ("c.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(MediaError, match=word):
            picture.load(tmp_path / name)
    Image.new("RGB", (5000, 2)).save(tmp_path / "d.png")
    with pytest.raises(MediaError, match="strip"):
        picture.load(tmp_path / "d.png")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(KINDS),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_damaged_bytes_give_a_picture_or_a_sentence(kind: str, changes: list[tuple[float, int]]) -> None:
    buffer = io.BytesIO()
    scene().save(buffer, kind)
    data = bytearray(buffer.getvalue())
    for place, value in changes:
        data[int(place**3 * (len(data) - 1))] = value
    with contextlib.suppress(MediaError):  # the sentence; anything else is a defect
        decoded(picture.normalised(bytes(data)))
