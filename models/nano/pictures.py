"""Rendered pictures of 448x448 pixels with questions about them, and the labels of each cell.

A picture is a scene (shapes of different colours, anywhere), a text (one word or number in large letters) or
a bar chart (three to five bars of different colours and heights). A question asks for one fact of it; the
blind control of the evaluation asks the same question about another picture of the same kind.
"""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.nano import words as w

SIDE: Final = 448
CELLS: Final = 16
"""Features a side after pooling: one cell is 28 pixels."""
RGB: Final = {
    "red": (214, 40, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 210),
    "yellow": (240, 210, 40),
    "purple": (140, 50, 170),
    "orange": (245, 140, 30),
    "black": (20, 20, 20),
    "white": (250, 250, 250),
}
KINDS: Final = (*w.SHAPES, "bar")
LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
CLASSES: Final = (len(KINDS) + 1, len(w.COLOURS) + 1, len(LETTERS) + 1, 4, 6, 9)
"""How many values each of the labels has."""
TEXT_WORDS: Final = w.words(
    "stop go open exit cafe milk tea book park taxi hello bank shop bus zoo news sale hotel"
)

CELL_WORDS: Final = (
    ("", *KINDS),
    ("", *w.COLOURS),
    ("",) * (len(LETTERS) + 1),
    ("", "", "tallest", "shortest"),
    ("", *(w.number(i) for i in range(1, 6))),
    tuple(
        f"{down} {across}".strip() or "middle"
        for down in ("top", "", "bottom")
        for across in ("left", "", "right")
    ),
)
"""The words for each value of each label of a cell, in the order of the labels."""

QUESTIONS: Final = (
    *(f"what colour is the {s}" for s in w.SHAPES),
    *(f"which shape is {c}" for c in w.COLOURS),
    *(f"where is the {s}" for s in w.SHAPES),
    "how many shapes are there",
    "what word is there",
    "what number is there",
    "what does it say",
    "which bar is the tallest",
    "which bar is the shortest",
    "how many bars are there",
    "what is in the picture",
)
"""Everything that can be asked about a picture, in words."""

Kind = Literal["scene", "text", "bars"]
Fill = int | tuple[int, int, int]  # a label or a colour


@dataclass(frozen=True)
class Rendered:
    """A picture: RGB uint8 [448, 448, 3], its questions with their answers, and labels of 16x16 cells.

    `labels` int64 [16, 16, 6], each for the cell's centre and 0 where nothing is: 1 + kind (`KINDS`), 1 +
    colour, 1 + letter (`LETTERS`), rank of a bar (1 other, 2 tallest, 3 shortest), number of shapes or bars;
    the last one is the cell's place in 3x3 regions, row by row.
    """

    pixels: NDArray[np.uint8]
    facts: tuple[tuple[str, str], ...]
    labels: NDArray[np.int64]

    def png(self) -> bytes:
        """The picture as a PNG file."""
        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, "PNG")
        return buffer.getvalue()


def render(rng: random.Random, kind: Kind | None = None, most: int = 5) -> Rendered:
    """A new picture, with at most `most` shapes. Equal states of `rng` give the same picture."""
    chosen = kind or rng.choices(("scene", "text", "bars"), (6, 2, 2))[0]
    if chosen == "scene":
        return _scene(rng, most)
    return _text(rng) if chosen == "text" else _bars(rng)


def resized(rng: random.Random, picture: Rendered) -> bytes:
    """The picture as a PNG file of another size: scaled, with more of its ground beside or below it."""
    side = rng.randint(300, 900)
    wide, high = (side + (rng.randint(0, 400) if longer else 0) for longer in rng.choice(((1, 0), (0, 1))))
    ground = tuple(int(value) for value in picture.pixels[0, 0])
    whole = Image.new("RGB", (wide, high), ground)
    scaled = Image.fromarray(picture.pixels).resize((side, side), Image.Resampling.BICUBIC)
    whole.paste(scaled, ((wide - side) // 2, (high - side) // 2))
    buffer = io.BytesIO()
    whole.save(buffer, "PNG")
    return buffer.getvalue()


def ask(rng: random.Random, picture: Rendered) -> tuple[str, str]:
    """A question about a picture and its answer, now and then about a shape that isn't there."""
    if rng.random() >= 0.07:
        return rng.choice(picture.facts)
    seen = {question.rsplit(" ", 1)[1] for question, _ in picture.facts}
    missing = rng.choice([shape for shape in w.SHAPES if shape not in seen])
    return rng.choice((f"what colour is the {missing}", f"where is the {missing}")), f"no {missing}"


def _shade(rng: random.Random, colour: str) -> tuple[int, int, int]:
    r, g, b = (max(0, min(255, v + rng.randint(-18, 18))) for v in RGB[colour])
    return r, g, b


def _canvas(rng: random.Random) -> tuple[Image.Image, str]:
    ground = rng.choice(("white", "white", "white", "black", "yellow", "blue"))
    if ground in {"yellow", "blue"}:
        tint = {"yellow": (250, 240, 190), "blue": (200, 222, 250)}[ground]
        return Image.new("RGB", (SIDE, SIDE), tint), "none"
    return Image.new("RGB", (SIDE, SIDE), _shade(rng, ground)), ground


class _Maps:
    """Label maps of the picture's size that are drawn along with it."""

    def __init__(self) -> None:
        size = (SIDE, SIDE)
        self.kind, self.colour, self.letter = Image.new("L", size), Image.new("L", size), Image.new("L", size)
        self.rank, self.count = Image.new("L", size), Image.new("L", size)

    def labels(self) -> NDArray[np.int64]:
        """The labels at the cells' centres."""
        step = SIDE // CELLS
        maps = (self.kind, self.colour, self.letter, self.rank, self.count)
        third = np.arange(CELLS) * 3 // CELLS
        place = third[:, None] * 3 + third[None]
        centres = [np.asarray(m, np.int64)[step // 2 :: step, step // 2 :: step] for m in maps]
        return np.stack([*centres, place], -1)


def _outline(shape: str, x: float, y: float, r: float, turn: float) -> list[tuple[float, float]]:
    """The corners of a shape with centre x, y and radius r, turned by `turn` radians."""
    if shape == "cross":
        arm = 0.33
        corners = [(-arm, -1), (arm, -1), (arm, -arm), (1, -arm), (1, arm), (arm, arm)]
        corners += [(-a, -b) for a, b in corners]
    else:
        count, start = {
            "square": (4, math.pi / 4),
            "triangle": (3, -math.pi / 2),
            "star": (10, -math.pi / 2),
        }[shape]
        radii = (1.0, 0.42) if shape == "star" else (1.0,)
        corners = [
            (math.cos(start + 2 * math.pi * i / count) * radii[i % len(radii)],
             math.sin(start + 2 * math.pi * i / count) * radii[i % len(radii)])
            for i in range(count)
        ]  # fmt: skip
    cos, sin = math.cos(turn) * r, math.sin(turn) * r
    return [(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in corners]


def _draw(draw: ImageDraw.ImageDraw, shape: str, box: tuple[float, float, float, float], fill: Fill) -> None:
    x, y, r, turn = box
    if shape == "circle":
        draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
    elif shape == "ring":
        draw.ellipse((x - r, y - r, x + r, y + r), outline=fill, width=int(r * 0.32))
    else:
        draw.polygon(_outline(shape, x, y, r, turn), fill=fill)


def _where(x: float, y: float) -> str:
    across = "left" if x < SIDE / 3 else "right" if x > 2 * SIDE / 3 else ""
    down = "top" if y < SIDE / 3 else "bottom" if y > 2 * SIDE / 3 else ""
    return f"{down} {across}".strip() or "middle"


def _scene(rng: random.Random, most: int) -> Rendered:
    image, ground = _canvas(rng)
    maps = _Maps()
    pens = [ImageDraw.Draw(i) for i in (image, maps.kind, maps.colour, maps.rank, maps.count)]
    count = min(most, rng.choice((1, 2, 2, 3, 3, 4, 5)))
    shapes = rng.sample(w.SHAPES, count)
    colours = rng.sample([c for c in w.COLOURS if c != ground], count)
    spots = rng.sample([(i, j) for i in range(3) for j in range(3)], count)
    facts: list[tuple[str, str]] = []
    for shape, colour, (i, j) in zip(shapes, colours, spots, strict=True):
        r = rng.uniform(38, 66)
        x, y = ((k + 0.5) * SIDE / 3 + rng.uniform(-10, 10) for k in (i, j))
        box = (x, y, r, rng.uniform(-0.2, 0.2))
        fills: tuple[Fill, ...] = (
            _shade(rng, colour),
            1 + KINDS.index(shape),
            1 + w.COLOURS.index(colour),
            0,
            count,
        )
        for pen, fill in zip(pens, fills, strict=True):
            _draw(pen, shape, box, fill)
        facts.append((f"what colour is the {shape}", f"{shape} {colour}"))
        facts.append((f"which shape is {colour}", f"{colour} {shape}"))
        facts.append((f"where is the {shape}", f"{shape} {_where(x, y)}"))
    facts.append(("how many shapes are there", w.number(count)))
    if count == 1:
        facts.append(("what is in the picture", f"{colours[0]} {shapes[0]}"))
    return Rendered(np.asarray(image), tuple(facts), maps.labels())


def _bars(rng: random.Random) -> Rendered:
    image, ground = _canvas(rng)
    maps = _Maps()
    pens = [ImageDraw.Draw(i) for i in (image, maps.kind, maps.colour, maps.rank, maps.count)]
    count = rng.randint(3, 5)
    colours = rng.sample([c for c in w.COLOURS if c != ground], count)
    heights = rng.sample(range(2, 11), count)
    pitch = SIDE / (count + 0.5)
    for i, (colour, height) in enumerate(zip(colours, heights, strict=True)):
        left, top = pitch * (i + 0.5), SIDE - 24 - height * 38
        rank = 2 if height == max(heights) else 3 if height == min(heights) else 1
        fills: tuple[Fill, ...] = (
            _shade(rng, colour),
            1 + KINDS.index("bar"),
            1 + w.COLOURS.index(colour),
            rank,
            count,
        )
        for pen, fill in zip(pens, fills, strict=True):
            pen.rectangle((left, top, left + pitch * 0.62, SIDE - 24), fill=fill)
    facts = (
        ("which bar is the tallest", f"tallest {colours[heights.index(max(heights))]}"),
        ("which bar is the shortest", f"shortest {colours[heights.index(min(heights))]}"),
        ("how many bars are there", w.number(count)),
    )
    return Rendered(np.asarray(image), facts, maps.labels())


def _text(rng: random.Random) -> Rendered:
    image, ground = _canvas(rng)
    maps = _Maps()
    draw, pen = ImageDraw.Draw(image), ImageDraw.Draw(maps.letter)
    number = rng.random() < 0.5
    text = str(rng.randint(0, 99)) if number else rng.choice(TEXT_WORDS)
    size = rng.randint(84, 120) if len(text) < 5 else rng.randint(80, 100)
    font = ImageFont.load_default(size)
    colour = rng.choice(
        [c for c in w.COLOURS if c not in {ground, "yellow", "white" if ground != "black" else ground}]
    )
    width = font.getlength(text)
    x, y = rng.uniform(10, SIDE - width - 10), rng.uniform(40, SIDE - 40 - size)
    for character in text:
        draw.text((x, y), character, font=font, fill=_shade(rng, colour))
        index = 1 + LETTERS.index(character)
        step = font.getlength(character)
        pen.rectangle((x, y + size * 0.2, x + step, y + size * 1.05), fill=index)
        x += step
    facts = [("what number is there" if number else "what word is there", text), ("what does it say", text)]
    return Rendered(np.asarray(image), tuple(facts), maps.labels())
