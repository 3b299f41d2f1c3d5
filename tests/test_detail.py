"""Crops of a picture: as genai's processor cuts it, by need and machine, and what each budget keeps."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command import Aside
from engine_package import ONE_THREAD, picture, question, reply
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from assistant import detail
from assistant.engine.protocol import Picture, Statistics
from assistant.engine.session import LocalSession
from assistant.rates import Learned, Rates, guessed
from models import crops, package
from models.frontend import FrontEnd

FULL = (1920, 1080)
SIZES = (8, 10, 12, 14, 16, 20, 24)  # pixels of letters
FAST, LAPTOP = Rates(0.01, 0.0001), Rates(2.0, 0.02)
TEXT = "The quick brown fox jumps over the lazy dog 0123456789"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> FrontEnd:
    """A processor with the real model's limit of 36 crops."""
    folder = tmp_path_factory.mktemp("processor")
    for file in package.embedded().glob("*.json"):
        shutil.copy(file, folder)
    path = folder / "vision_processor.json"
    given = json.loads(path.read_text("utf-8"))
    given["processor"]["transforms"][1]["operation"]["attrs"]["dynamic_hd"] = 36
    path.write_text(json.dumps(given), encoding="utf-8")
    return FrontEnd(folder)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@pytest.mark.parametrize("most", detail.BUDGETS)
def test_a_picture_is_cut_as_foreseen(real: FrontEnd, most: int) -> None:
    for size in (FULL, (300, 200), (449, 448), (1366, 768), (2560, 1440), (60, 900), (1000, 100)):
        found = real.picture(png(Image.new("RGB", size, "white")), most)
        grid = crops.grid(*size, most)
        assert found.pixel_values.shape[1] == 1 + grid.crops <= 1 + most
        assert found.tokens == grid.tokens
        assert tuple(found.image_sizes[0] // crops.SIDE) == (grid.rows, grid.columns)


def shown(found: NDArray[np.float32], grid: crops.Grid) -> Image.Image:
    """What the encoder's crops hold, as one picture in grey."""
    parts = found[0, 1:].mean(axis=1).reshape(grid.rows, grid.columns, crops.SIDE, crops.SIDE)
    whole = parts.swapaxes(1, 2).reshape(grid.rows * crops.SIDE, grid.columns * crops.SIDE)
    values = np.clip((whole + 1) * 127.5, 0, 255).astype(np.uint8)
    return Image.fromarray(values[: grid.height, : grid.width])


def kept(real: FrontEnd, most: int) -> dict[int, tuple[float, float]]:
    """By the size of letters on a full-HD screen: how high their x is in the crops, and how much of the
    difference between ink and paper is left."""
    image = Image.new("RGB", FULL, "white")
    draw = ImageDraw.Draw(image)
    places = {size: 100 + 120 * number for number, size in enumerate(SIZES)}
    for size, top in places.items():
        draw.text((101, top), TEXT, "black", ImageFont.load_default(size))
    grid = crops.grid(*FULL, most)
    seen = np.asarray(shown(real.picture(png(image), most).pixel_values, grid), np.float32)
    before = np.asarray(image.convert("L"), np.float32)
    found = {}
    for size, top in places.items():
        font = ImageFont.load_default(size)
        _, upper, _, lower = font.getbbox("x")
        box = [0, top - 4, 1000, top + 2 * size]
        there = [round(side * grid.scale) for side in box]
        line = before[box[1] : box[3], box[0] : box[2]]
        small = seen[there[1] : there[3], there[0] : there[2]]
        found[size] = ((lower - upper) * grid.scale, float(small.std() / line.std()))
    return found


def test_what_each_budget_keeps_of_small_text(real: FrontEnd) -> None:
    """`docs/engine.md` has this table."""
    table = {most: kept(real, most) for most in detail.BUDGETS}
    for most, rows in table.items():
        look = detail.look_at(*FULL, most, 36, FAST)
        high, contrast = rows[12]
        assert look.readable == (high >= 5), most
        assert look.readable == (contrast > 0.8), (most, contrast)
        said = detail.loss(look)
        assert (said == "") == look.readable
        if said:
            assert f"{look.percent} %" in said
    for size in SIZES:
        heights = [table[most][size][0] for most in detail.BUDGETS]
        assert heights == sorted(heights), "more crops never keep less"


def test_a_region_gets_what_it_needs_and_the_machine_affords() -> None:
    assert detail.look_at(300, 200, "auto", 36, LAPTOP).crops == 1
    assert detail.look_at(*FULL, "auto", 36, FAST).crops == 15
    slow = detail.look_at(*FULL, "auto", 36, LAPTOP)
    assert (slow.crops, slow.readable, slow.seconds < 30) == (4, False, True)
    fine = detail.look_at(*FULL, "fine", 36, LAPTOP)
    assert (fine.crops, fine.readable) == (15, True)
    assert fine.seconds == pytest.approx(16 * 2.0 + 3918 * 0.02)
    assert detail.look_at(*FULL, "quick", 36, FAST).crops == 4
    assert detail.look_at(*FULL, "fine", 4, FAST).crops == 4, "what the package takes"
    assert detail.look_at(*FULL, 9, 36, FAST).crops == 8
    assert detail.look_at(*FULL, "auto", 36, Rates(100.0, 1.0)).crops == 4, "never fewer unasked"
    assert "choose --detail fine" in detail.loss(slow)
    assert "choose" not in detail.loss(detail.look_at(*FULL, "fine", 4, FAST))
    assert [detail.rounded(seconds) for seconds in (2.4, 17, 33, 128)] == [2, 15, 35, 130]


def test_rates_are_learned_and_kept(tmp_path: Path, small_model: Path) -> None:
    info = package.check(small_model)
    file = tmp_path / "rates.json"
    learned = Learned(info, file)
    assert learned.now == guessed(info)
    learned.learn(Statistics(prefilled=4, seconds={"prefill": 1.0}))  # too few to tell
    assert not file.exists()
    learned.learn(Statistics(prefilled=500, crops=5, seconds={"prefill": 10.0, "vision": 10.0}))
    assert learned.now == Rates(2.0, 0.02)
    learned.learn(Statistics(prefilled=100, seconds={"prefill": 1.0}))
    assert Learned(info, file).now == learned.now
    assert learned.now.token == pytest.approx(0.017)
    file.write_text('{"x": {"crop": "fast"}, "y": 3}', encoding="utf-8")
    assert Learned(info, file).now == guessed(info)


def test_the_engine_sees_so_many_crops(small_model: Path) -> None:
    large = picture(1, 896, 896)
    with LocalSession(small_model, ONE_THREAD) as session:
        for most, seen in ((None, 5), (4, 0), (1, 2)):  # of four, it takes all
            session.rewind(0)
            session.append(*question(Picture(large.data, most)))
            assert reply(session)[1].crops == (seen if most != 4 else 5)


def test_the_command_says_what_is_lost_and_what_it_costs(aside: Aside) -> None:
    Image.effect_noise(FULL, 50).convert("RGB").save(aside.folder / "screen.png")
    result = aside("ask", "--image", "screen.png", "--detail", "1", "--max-tokens", "1", "What is this?")
    assert result.code == 0, result.err
    assert "Shrunk to 23 %: small text may be lost; give a smaller region or choose" in result.err
    learned = Learned(package.check(aside.model), aside.folder / "data/aside/rates.json")
    learned.learn(Statistics(crops=1, seconds={"vision": 6.0}))
    result = aside("ask", "--image", "screen.png", "--detail", "1", "--max-tokens", "1", "What is this?")
    assert "About 4 s until the answer begins." in result.err, "two crops at 0.3 of what was learned now"
    result = aside("ask", "--image", "screen.png", "--detail", "closely", "What?")
    assert result.code == 2
    assert "auto, quick, fine" in result.err
