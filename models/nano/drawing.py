"""What pictures are drawn with, and the labels of the cells that the vision encoder sees."""

from __future__ import annotations

import functools
import io
import random
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.nano import words as w

SIDE: Final = 448
CELLS: Final = 16
"""Features a side after pooling: one cell is 28 pixels."""
PATCH: Final = 14
CELL: Final = SIDE // CELLS
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
BUTTONS: Final = w.words("ok cancel save open start next help play")
READ: Final = (
    *BUTTONS,
    *w.words(
        "garden music coffee dog fish market chocolate happy small london winter kitchen bridge tiger "
        "weather house"
    ),
)
"""The words that pictures show."""
DIGITS: Final = w.ONES[:10]
TENS: Final = w.TENS[1:]
KINDS: Final = (*w.SHAPES, "bar", "word", "number", "title", "button")
WRITTEN: Final = len(w.SHAPES) + 2
"""The first of the labels of kinds that have letters."""
LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
IGNORED: Final = 255
"""A label that is not known."""
LABELS: Final = ("kind", "colour", "word", "digit", "rank", "count", "place")

CELL_WORDS: Final = (
    ("", *KINDS),
    ("", *w.COLOURS),
    ("", *READ, *TENS),
    ("", *DIGITS),
    ("", "", "tallest", "shortest", "first", "second"),
    ("", *(w.number(i) for i in range(1, 6))),
    tuple(
        f"{down} {across}".strip() or "middle"
        for down in ("top", "", "bottom")
        for across in ("left", "", "right")
    ),
)
"""The words for each value of each of the `LABELS` of a cell."""
CLASSES: Final = tuple(len(values) for values in CELL_WORDS)
"""How many values each of the labels has."""
PLACE: Final = LABELS.index("place")
_MAPS: Final = (*LABELS[:PLACE], "letter")

Kind = Literal["scene", "text", "bars", "window"]
ALL_KINDS: Final[tuple[Kind, ...]] = ("scene", "bars", "text", "window")
Fill = int | tuple[int, int, int]  # a label or a colour
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Rendered:
    """A picture of any size: RGB uint8 [high, wide, 3], and its questions with their answers.

    `maps` uint8 [7, high, wide]: what `LABELS` but the last say of each pixel; 0 is nothing, or 1 +
    the number of a value: kind (`KINDS`), colour, word (of `READ`, or the tens of a number), last digit, rank
    (1 other, 2 tallest, 3 shortest bar; 4 first, 5 second word), number of shapes or bars. The last map are
    letters (`LETTERS`), only to learn to read.
    """

    pixels: NDArray[np.uint8]
    facts: tuple[tuple[str, str], ...]
    maps: NDArray[np.uint8]
    kind: Kind

    def png(self) -> bytes:
        """The picture as a PNG file."""
        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, "PNG")
        return buffer.getvalue()

    @functools.cached_property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels once it fills a crop."""
        high, wide = self.pixels.shape[:2]
        scale = SIDE / max(high, wide)
        return (SIDE, int(wide * scale)) if high >= wide else (int(high * scale), SIDE)

    @property
    def patches(self) -> tuple[int, int]:
        """Patches of the crop that show it, down and across; the others are masked."""
        high, wide = (SIDE // PATCH - (SIDE - side) // PATCH for side in self.size)
        return high, wide

    @property
    def cells(self) -> tuple[int, int]:
        """Cells of the crop that come into the prompt, down and across."""
        high, wide = ((count + 1) // 2 for count in self.patches)
        return high, wide

    @property
    def padded(self) -> bool:
        """Whether it isn't square, so that a part of its crop is empty."""
        return self.size != (SIDE, SIDE)

    @functools.cached_property
    def crop(self) -> NDArray[np.uint8]:
        """What the encoder gets, uint8 [448, 448, 3]: scaled to fill the crop, white below or beside it."""
        high, wide = self.size
        out = np.full((SIDE, SIDE, 3), 255, np.uint8)
        out[:high, :wide] = np.asarray(Image.fromarray(self.pixels).resize((wide, high), _SMOOTH))
        return out

    @functools.cached_property
    def labels(self) -> NDArray[np.int64]:
        """The labels at the centres of the crop's cells, int64 [16, 16, 7], in the order of `LABELS`."""
        thirds = [np.minimum(np.arange(CELLS) * 3 // count, 2) for count in self.cells]
        place = thirds[0][:, None] * 3 + thirds[1][None]
        return np.stack([*self._at_centres(self.maps[:-1], CELLS), place], -1)

    @functools.cached_property
    def letters(self) -> NDArray[np.int64]:
        """The letters at the centres of the crop's patches, int64 [32, 32]; 0 where there is none."""
        letters: NDArray[np.int64] = self._at_centres(self.maps[-1:], SIDE // PATCH)[0]
        return letters

    def _at_centres(self, maps: NDArray[np.uint8], count: int) -> NDArray[np.int64]:
        """What maps say at the centres of a grid of `count` x `count` over the crop."""
        high, wide = self.size
        centres = (np.arange(count) + 0.5) * SIDE / count
        down, across = (
            np.minimum(centres * old / new, old - 1).astype(int)
            for old, new in zip(self.pixels.shape, (high, wide), strict=False)
        )
        found = maps[:, down[:, None], across[None]].astype(np.int64)
        return found * ((centres < high)[:, None] & (centres < wide))


_SMOOTH: Final = Image.Resampling.BILINEAR  # as the processor


def shade(rng: random.Random, colour: str) -> tuple[int, int, int]:
    """A colour, never quite the same."""
    r, g, b = (max(0, min(255, v + rng.randint(-18, 18))) for v in RGB[colour])
    return r, g, b


def canvas(rng: random.Random) -> tuple[Image.Image, str]:
    """An empty picture and its colour, "none" if it is a tint that no shape has."""
    ground = rng.choice(("white", "white", "white", "black", "yellow", "blue"))
    if ground in {"yellow", "blue"}:
        tint = {"yellow": (250, 240, 190), "blue": (200, 222, 250)}[ground]
        return Image.new("RGB", (SIDE, SIDE), tint), "none"
    return Image.new("RGB", (SIDE, SIDE), shade(rng, ground)), ground


class Pens:
    """Draws on a picture and on the maps of its labels at once."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self.maps = [Image.new("L", image.size) for _ in _MAPS]
        self.draw = ImageDraw.Draw(image)
        self._pens = [ImageDraw.Draw(i) for i in self.maps]

    def each(self, colour: Fill, labels: dict[str, int]) -> list[tuple[ImageDraw.ImageDraw, Fill]]:
        """All pens with what they draw: a colour, and these labels."""
        return [
            (self.draw, colour),
            *((pen, labels.get(name, 0)) for pen, name in zip(self._pens, _MAPS, strict=True)),
        ]

    def mark(self, box: Box, labels: dict[str, int]) -> None:
        """Labels a rectangle."""
        for pen, fill in self.each(0, labels)[1:]:
            pen.rectangle(box, fill=fill)

    def letter(self, box: Box, character: str) -> None:
        """Labels where a letter is."""
        self._pens[-1].rectangle(box, fill=1 + LETTERS.index(character.lower()))

    def finish(self, facts: list[tuple[str, str]], kind: Kind) -> Rendered:
        """The picture."""
        maps = np.stack([np.asarray(i, np.uint8) for i in self.maps])
        return Rendered(np.asarray(self.image), tuple(facts), maps, kind)


def where(x: float, y: float) -> str:
    """The place of a point, in parts of width and height."""
    across = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    down = "top" if y < 1 / 3 else "bottom" if y > 2 / 3 else ""
    return f"{down} {across}".strip() or "middle"
