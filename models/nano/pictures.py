"""Rendered pictures with questions about them.

A picture is a scene (shapes of different colours, anywhere), a bar chart (three to five bars of different
colours and heights), a text (two words or a number in large letters) or a window (a title of two words and a
button). A question asks for one fact of it; the blind control of the evaluation asks the same question about
another picture of the same kind.
"""

from __future__ import annotations

import math
import random
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.nano import lettering, texts
from models.nano import words as w
from models.nano.drawing import (
    ALL_KINDS,
    CELL_WORDS,
    KINDS,
    SIDE,
    Fill,
    Kind,
    Pens,
    Rendered,
    canvas,
    shade,
    where,
)

QUESTIONS: Final = (
    *(f"what colour is the {s}" for s in w.SHAPES),
    *(f"which shape is {c}" for c in w.COLOURS),
    *(f"where is the {s}" for s in w.SHAPES),
    "how many shapes are there",
    "what does it say",
    "what number is there",
    "what is the title",
    "what does the button say",
    "where is the button",
    "which bar is the tallest",
    "which bar is the shortest",
    "how many bars are there",
    "what is in the picture",
)
"""Everything that can be asked about a picture, in words."""
WORDS: Final = tuple(
    sorted(
        {word for group in CELL_WORDS for name in group for word in name.split()}
        | {word for question in QUESTIONS for word in question.split()}
    )
)
"""Words that have to be whole tokens."""


def render(
    rng: random.Random, kind: Kind | None = None, most: int = 5, split: texts.Split = "train"
) -> Rendered:
    """A new picture of 448x448 pixels, with at most `most` shapes.

    Equal states of `rng` give the same picture.
    """
    chosen = kind or rng.choices(ALL_KINDS, (4, 2, 2, 2))[0]
    if chosen == "scene":
        return _scene(rng, most)
    if chosen == "bars":
        return _bars(rng)
    return lettering.render_text(rng, split) if chosen == "text" else lettering.render_window(rng, split)


def resized(rng: random.Random, picture: Rendered) -> Rendered:
    """The picture in another size: scaled, with more of its ground beside or below it."""
    side = rng.randint(300, 900)
    wide, high = (side + (rng.randint(0, 400) if longer else 0) for longer in rng.choice(((1, 0), (0, 1))))
    ground = tuple(int(value) for value in picture.pixels[0, 0])
    whole = Image.new("RGB", (wide, high), ground)
    scaled = Image.fromarray(picture.pixels).resize((side, side), Image.Resampling.BICUBIC)
    left, top = (wide - side) // 2, (high - side) // 2
    whole.paste(scaled, (left, top))
    maps = np.zeros((len(picture.maps), high, wide), np.uint8)
    from_ = np.arange(side) * SIDE // side
    maps[:, top : top + side, left : left + side] = picture.maps[:, from_[:, None], from_[None]]
    facts = tuple((q, _moved(q, a, maps)) for q, a in picture.facts)
    return Rendered(np.asarray(whole), facts, maps, picture.kind)


def _moved(question: str, answer: str, maps: NDArray[np.uint8]) -> str:
    """The answer once the maps have changed: places are others."""
    if not question.startswith("where"):
        return answer
    what = question.rsplit(" ", 1)[1]
    down, across = np.nonzero(maps[0] == 1 + KINDS.index(what))
    x, y = (float(v.min() + v.max() + 1) / 2 for v in (across, down))
    return f"{what} {where(x / maps.shape[2], y / maps.shape[1])}"


def shown_text(picture: Rendered) -> str | None:
    """The words or the number that training and evaluation don't share, if the picture has any."""
    facts = dict(picture.facts)
    title = facts.get("what is the title")
    return title.removeprefix("title ") if title else facts.get("what does it say")


class Told(Protocol):
    """What is known of a picture."""

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Questions with their answers."""

    @property
    def kind(self) -> Kind:
        """What kind of picture it is."""


def ask(rng: random.Random, picture: Told) -> tuple[str, str]:
    """A question about a picture and its answer, now and then about something that isn't there."""
    if rng.random() >= 0.07:
        return rng.choice(picture.facts)
    if picture.kind != "window" and rng.random() < 0.3:
        return rng.choice(
            (
                ("what is the title", "no title"),
                ("what does the button say", "no button"),
                ("where is the button", "no button"),
            )
        )
    seen = {question.rsplit(" ", 1)[1] for question, _ in picture.facts}
    missing = rng.choice([shape for shape in w.SHAPES if shape not in seen])
    return rng.choice((f"what colour is the {missing}", f"where is the {missing}")), f"no {missing}"


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


def _scene(rng: random.Random, most: int) -> Rendered:
    image, ground = canvas(rng)
    pens = Pens(image)
    count = min(most, rng.choice((1, 2, 2, 3, 3, 4, 5)))
    shapes = rng.sample(w.SHAPES, count)
    colours = rng.sample([c for c in w.COLOURS if c != ground], count)
    spots = rng.sample([(i, j) for i in range(3) for j in range(3)], count)
    facts: list[tuple[str, str]] = []
    for shape, colour, (i, j) in zip(shapes, colours, spots, strict=True):
        r = rng.uniform(38, 66)
        x, y = ((k + 0.5) * SIDE / 3 + rng.uniform(-10, 10) for k in (i, j))
        box = (x, y, r, rng.uniform(-0.2, 0.2))
        labels = {"kind": 1 + KINDS.index(shape), "colour": 1 + w.COLOURS.index(colour), "count": count}
        for pen, fill in pens.each(shade(rng, colour), labels):
            _draw(pen, shape, box, fill)
        facts.append((f"what colour is the {shape}", f"{shape} {colour}"))
        facts.append((f"which shape is {colour}", f"{colour} {shape}"))
        facts.append((f"where is the {shape}", f"{shape} {where(x / SIDE, y / SIDE)}"))
    facts.append(("how many shapes are there", w.number(count)))
    if count == 1:
        facts.append(("what is in the picture", f"{colours[0]} {shapes[0]}"))
    return pens.finish(facts, "scene")


def _bars(rng: random.Random) -> Rendered:
    image, ground = canvas(rng)
    pens = Pens(image)
    count = rng.randint(3, 5)
    colours = rng.sample([c for c in w.COLOURS if c != ground], count)
    heights = rng.sample(range(2, 11), count)
    pitch = SIDE / (count + 0.5)
    for i, (colour, height) in enumerate(zip(colours, heights, strict=True)):
        left, top = pitch * (i + 0.5), SIDE - 24 - height * 38
        labels = {
            "kind": 1 + KINDS.index("bar"),
            "colour": 1 + w.COLOURS.index(colour),
            "rank": 2 if height == max(heights) else 3 if height == min(heights) else 1,
            "count": count,
        }
        for pen, fill in pens.each(shade(rng, colour), labels):
            pen.rectangle((left, top, left + pitch * 0.62, SIDE - 24), fill=fill)
    facts = [
        ("which bar is the tallest", f"tallest {colours[heights.index(max(heights))]}"),
        ("which bar is the shortest", f"shortest {colours[heights.index(min(heights))]}"),
        ("how many bars are there", w.number(count)),
    ]
    return pens.finish(facts, "bars")
