"""How a picture is cut for the vision encoder: a grid of crops of 448 pixels, and an overview of the whole.

The processor takes as many crops as the picture has room for and enlarges it until they are filled. With
fewer crops than that, the picture is made smaller first, and what was small in it may be lost.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Final

from PIL import Image

SIDE: Final = 448
"""Pixels along a crop."""
_PATCH: Final = 14
_OVERVIEW: Final = 256 + 1 + 16
"""Tokens of the overview, and of what separates the two."""


@dataclass(frozen=True)
class Grid:
    """A picture of ``width`` x ``height`` pixels, as it fills its crops.

    ``scale`` is by how much it was made larger, or smaller below 1.
    """

    columns: int
    rows: int
    width: int
    height: int
    scale: float

    @property
    def crops(self) -> int:
        """Without the overview."""
        return self.columns * self.rows

    @property
    def tokens(self) -> int:
        """What it takes in a prompt: crops are counted as far as they hold the picture."""
        padding = self.columns * SIDE - self.width, self.rows * SIDE - self.height
        across, down = (
            (side * SIDE // _PATCH - pad // _PATCH + 1) // 2
            for side, pad in zip((self.columns, self.rows), padding, strict=True)
        )
        return _OVERVIEW + across * down + down


def grid(width: int, height: int, most: int) -> Grid:
    """How a picture of this size is cut into ``most`` crops at most."""
    columns, rows = -(-width // SIDE), -(-height // SIDE)
    if columns * rows <= most:
        return _filled(width, height, columns, rows)
    small = fitted(width, height, most)
    found = _filled(*small, -(-small[0] // SIDE), -(-small[1] // SIDE))
    return Grid(found.columns, found.rows, found.width, found.height, found.width / width)


def fitted(width: int, height: int, most: int) -> tuple[int, int]:
    """The size that a picture is to have for so many crops: as large as possible, never larger than it is."""
    if -(-width // SIDE) * -(-height // SIDE) <= most:
        return width, height
    shapes = [(columns, most // columns) for columns in range(1, most + 1)]
    scale = max(min(SIDE * columns / width, SIDE * rows / height) for columns, rows in shapes)
    return max(1, math.floor(width * scale + 1e-6)), max(1, math.floor(height * scale + 1e-6))


def shrunk(picture: Image.Image, most: int) -> Image.Image:
    """A picture made small enough for so many crops; the same one if it is."""
    size = fitted(*picture.size, most)
    if size == picture.size:
        return picture
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def size(data: bytes) -> tuple[int, int]:
    """Width and height of an encoded picture, by its header. Raises OSError or ValueError."""
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
        return picture.size


def _filled(width: int, height: int, columns: int, rows: int) -> Grid:
    across, down = columns * SIDE / width, rows * SIDE / height
    if across < down:
        return Grid(columns, rows, columns * SIDE, int(height * across), across)
    return Grid(columns, rows, int(width * down), rows * SIDE, down)
