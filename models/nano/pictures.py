"""Rendered pictures with questions about them, and the labels of each cell that the vision encoder sees.

A picture is a scene (shapes of different colours, anywhere), a bar chart (three to five bars of different
colours and heights), a text (two words or a number in large letters) or a window (a title of two words and a
button). A question asks for one fact of it; the blind control of the evaluation asks the same question about
another picture of the same kind.

Training and evaluation share no font and no text: pairs of words and numbers are split by
`models.nano.texts.split_of`.
"""

from __future__ import annotations

import functools
import io
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.nano import texts
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

FONTS: Final[dict[texts.Split, dict[str, str]]] = {
    "train": {
        "fonts-liberation": "LiberationSans-Regular LiberationSans-Bold",
        "fonts-freefont-ttf": "FreeSans FreeSansBold",
        "fonts-roboto-unhinted": "Roboto-Regular Roboto-Medium Roboto-Bold",
        "fonts-open-sans": "OpenSans-Regular OpenSans-Semibold OpenSans-Bold",
        "fonts-lato": "Lato-Regular Lato-Medium Lato-Bold",
        "fonts-noto-core": "NotoSans-Regular NotoSans-Bold",
        "fonts-cantarell": "Cantarell-Regular Cantarell-Bold",
        "fonts-crosextra-carlito": "Carlito-Regular Carlito-Bold",
        "fonts-sil-andika": "Andika-Regular Andika-Bold",
        "fonts-quicksand": "Quicksand-Medium Quicksand-Bold",
        "fonts-urw-base35": "NimbusSans-Regular NimbusSans-Bold URWGothic-Book URWGothic-Demi",
        "fonts-cabin": "Cabin-Regular Cabin-Bold",
        "fonts-inter": "Inter-Regular Inter-Medium Inter-Bold InterDisplay-Regular InterDisplay-SemiBold",
    },
    "eval": {"fonts-dejavu-core": "DejaVuSans DejaVuSans-Bold", "": ""},
}
"""Debian's packages and the fonts of them that are used; no package stands for Pillow's own font."""

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
    return _text(rng, split) if chosen == "text" else _window(rng, split)


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
    return f"{what} {_where(x / maps.shape[2], y / maps.shape[1])}"


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


def _shade(rng: random.Random, colour: str) -> tuple[int, int, int]:
    r, g, b = (max(0, min(255, v + rng.randint(-18, 18))) for v in RGB[colour])
    return r, g, b


def _canvas(rng: random.Random) -> tuple[Image.Image, str]:
    ground = rng.choice(("white", "white", "white", "black", "yellow", "blue"))
    if ground in {"yellow", "blue"}:
        tint = {"yellow": (250, 240, 190), "blue": (200, 222, 250)}[ground]
        return Image.new("RGB", (SIDE, SIDE), tint), "none"
    return Image.new("RGB", (SIDE, SIDE), _shade(rng, ground)), ground


class _Pens:
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
    """The place of a point, in parts of width and height."""
    across = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    down = "top" if y < 1 / 3 else "bottom" if y > 2 / 3 else ""
    return f"{down} {across}".strip() or "middle"


def _scene(rng: random.Random, most: int) -> Rendered:
    image, ground = _canvas(rng)
    pens = _Pens(image)
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
        for pen, fill in pens.each(_shade(rng, colour), labels):
            _draw(pen, shape, box, fill)
        facts.append((f"what colour is the {shape}", f"{shape} {colour}"))
        facts.append((f"which shape is {colour}", f"{colour} {shape}"))
        facts.append((f"where is the {shape}", f"{shape} {_where(x / SIDE, y / SIDE)}"))
    facts.append(("how many shapes are there", w.number(count)))
    if count == 1:
        facts.append(("what is in the picture", f"{colours[0]} {shapes[0]}"))
    return pens.finish(facts, "scene")


def _bars(rng: random.Random) -> Rendered:
    image, ground = _canvas(rng)
    pens = _Pens(image)
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
        for pen, fill in pens.each(_shade(rng, colour), labels):
            pen.rectangle((left, top, left + pitch * 0.62, SIDE - 24), fill=fill)
    facts = [
        ("which bar is the tallest", f"tallest {colours[heights.index(max(heights))]}"),
        ("which bar is the shortest", f"shortest {colours[heights.index(min(heights))]}"),
        ("how many bars are there", w.number(count)),
    ]
    return pens.finish(facts, "bars")


# Pictures with letters


@functools.cache
def _font_files() -> dict[str, Path]:
    return {p.stem: p for p in Path("/usr/share/fonts").rglob("*") if p.suffix in {".ttf", ".otf"}}


@functools.lru_cache(4000)
def _font(name: str, package: str, size: int) -> Any:
    if not package:
        return ImageFont.load_default(size)
    if name not in _font_files():
        raise SystemExit(f"The font {name} is missing: install Debian's package {package}.")
    return ImageFont.truetype(_font_files()[name], size)


@dataclass(frozen=True)
class _Face:
    """A font of any size."""

    name: str
    package: str

    def at(self, size: int) -> Any:
        """The font at a size in pixels."""
        return _font(self.name, self.package, size)


def _face(rng: random.Random, split: texts.Split) -> _Face:
    package = rng.choice(list(FONTS[split]))
    return _Face(rng.choice(FONTS[split][package].split(" ")), package)


def pair(rng: random.Random, split: texts.Split) -> tuple[str, str]:
    """Two different words to show."""
    while True:
        first, second = rng.sample(READ, 2)
        if texts.split_of(f"{first} {second}") == split:
            return first, second


def numeral(rng: random.Random, split: texts.Split) -> str:
    """A number from 0 to 99 to show."""
    while texts.split_of(text := str(rng.randint(0, 99))) != split:
        pass
    return text


def _cased(word: str) -> str:
    return "OK" if word == "ok" else word.capitalize()


def _say(text: str) -> dict[str, int]:
    """The labels of a word or a number."""
    if not text.isdigit():
        return {"word": 1 + READ.index(text)}
    tens, ones = divmod(int(text), 10)
    return {"word": len(READ) + tens if tens else 0, "digit": 1 + ones}


def _row(y: float) -> float:
    """The middle of the row of cells at a height."""
    return CELL * (y // CELL + 0.5)


@functools.lru_cache(200_000)
def _length(font: Any, text: str) -> float:
    """How wide a text is, in pixels."""
    return float(font.getlength(text))


def _wide(font: Any, text: str) -> int:
    """How far a word reaches with the space behind it, in whole patches."""
    return PATCH * math.ceil((_length(font, text) + float(font.size) * 0.22) / PATCH)


def _write(
    pens: _Pens, font: Any, at: tuple[float, float], text: str, *, ink: Fill, labels: dict[str, int]
) -> None:
    """One word with its labels; `at` is where its line begins, in the middle of its height."""
    x, y = at
    wide, half = _length(font, text), CELL / 2 - 1
    pens.draw.text((x, y), text, font=font, fill=ink, anchor="lm")
    spare = max(0.0, CELL + 2 - wide)  # a short word has a cell too
    pens.mark((x, y - half, x + wide + spare, y + half), labels | _say(text.lower()))
    for number, character in enumerate(text):
        left, right = (x + _length(font, text[:n]) for n in (number, number + 1))
        pens.letter((left, y - half, right, y + half), character)


def _luma(colour: tuple[int, int, int]) -> float:
    return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]


def _ink(rng: random.Random, ground: tuple[int, int, int]) -> tuple[int, int, int]:
    """A colour that can be read on another one."""
    for _ in range(50):
        colour = _shade(rng, rng.choice(w.COLOURS))
        if abs(_luma(colour) - _luma(ground)) > 90:
            return colour
    return (10, 10, 10) if _luma(ground) > 127 else (245, 245, 245)


def _size(rng: random.Random) -> int:
    """Of letters, in pixels: capitals fill a row of cells."""
    return rng.randint(28, 34)


def _text(rng: random.Random, split: texts.Split) -> Rendered:
    image, _ = _canvas(rng)
    pens, font = _Pens(image), _face(rng, split).at(_size(rng))
    shown = [numeral(rng, split)] if rng.random() < 0.4 else list(pair(rng, split))
    lines = [[text] for text in shown] if rng.random() < 0.5 else [shown]
    wide = max(sum(_wide(font, _cased(t)) for t in line) for line in lines)
    pixel = pens.image.getpixel((0, 0))
    ground = (int(pixel[0]), int(pixel[1]), int(pixel[2])) if isinstance(pixel, tuple) else (0, 0, 0)
    left, top = rng.uniform(4, SIDE - 4 - wide), rng.uniform(0, SIDE - 2 * CELL * len(lines))
    if rng.random() < 0.3:  # a sign
        ground = _shade(rng, rng.choice(w.COLOURS))
        box = (left - 20, top - 8, left + wide + 12, top + 2 * CELL * len(lines) - 8)
        pens.draw.rounded_rectangle(box, rng.randint(0, 20), fill=ground)
    ink = _ink(rng, ground)
    kind = 1 + KINDS.index("number" if len(shown) == 1 else "word")
    for number, line in enumerate(lines):
        x, y = PATCH * (left // PATCH), _row(top + 2 * CELL * number + CELL / 2)
        for text in line:
            rank = 4 + shown.index(text) if len(shown) == 2 else 0
            _write(pens, font, (x, y), _cased(text), ink=ink, labels={"kind": kind, "rank": rank})
            x += _wide(font, _cased(text))
    said = " ".join(shown)
    facts = [("what does it say", said)]
    if len(shown) == 1:
        facts.append(("what number is there", said))
    return pens.finish(facts, "text")


def page(rng: random.Random, split: texts.Split = "train") -> Rendered:
    """Words and numbers all over a picture, to learn to read; nothing is asked.

    An empty cell at least stands between two in a row.
    """
    ground = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
    pens = _Pens(Image.new("RGB", (SIDE, SIDE), ground))
    for row in range(CELLS):
        x = PATCH * rng.randrange(0, 6)
        while True:
            text = numeral(rng, split) if rng.random() < 0.4 else rng.choice(READ)
            shown, font = _cased(text), _face(rng, split).at(_size(rng))
            if x + _wide(font, shown) > SIDE:
                break
            paper, y = ground, CELL * (row + 0.5)
            if rng.random() < 0.5:
                paper = _shade(rng, rng.choice(w.COLOURS))
                box = (x - 4, y - CELL / 2, x + _wide(font, shown) - 4, y + CELL / 2)
                pens.draw.rectangle(box, fill=paper)
            labels = {"kind": 1 + KINDS.index("number" if text.isdigit() else "word"), "rank": IGNORED}
            _write(pens, font, (x, y), shown, ink=_ink(rng, paper), labels=labels)
            x += _wide(font, shown) + PATCH * rng.randrange(3, 7)
    return pens.finish([], "text")


_THEMES: Final = (
    # window, title bar, letters, lines
    ((250, 250, 250), (225, 225, 228), (30, 30, 30), (200, 200, 205)),
    ((255, 255, 255), (255, 255, 255), (20, 20, 20), (222, 222, 226)),
    ((240, 240, 240), (40, 90, 180), (255, 255, 255), (190, 190, 195)),
    ((245, 246, 248), (60, 62, 70), (240, 240, 240), (200, 204, 210)),
    ((40, 42, 48), (28, 30, 34), (235, 235, 235), (74, 78, 88)),
    ((30, 32, 38), (52, 56, 66), (225, 228, 235), (62, 66, 76)),
)


def _tinted(rng: random.Random, colour: tuple[int, int, int], by: int = 10) -> tuple[int, int, int]:
    r, g, b = (max(0, min(255, v + rng.randint(-by, by))) for v in colour)
    return r, g, b


def _window(rng: random.Random, split: texts.Split) -> Rendered:
    desktop = (rng.randint(20, 245), rng.randint(20, 245), rng.randint(20, 245))
    pens = _Pens(Image.new("RGB", (SIDE, SIDE), desktop))
    face = _face(rng, split)
    body, bar, ink, grey = (_tinted(rng, colour) for colour in rng.choice(_THEMES))
    if rng.random() < 0.2:
        bar = _shade(rng, rng.choice(w.COLOURS))
        ink = _ink(rng, bar)
    left, right = rng.uniform(4, 50), rng.uniform(SIDE - 50, SIDE - 5)
    font, radius = face.at(_size(rng)), rng.choice((0, 0, 6, 12, 18))
    titled = list(pair(rng, split))
    cased = [_cased(word) for word in titled]
    middle = CELL * (rng.choice((1, 1, 2)) + 0.5)
    half = rng.uniform(20, 30)
    top, low, bottom = middle - half, middle + half, rng.uniform(SIDE - 60, SIDE - 5)
    if rng.random() < 0.5:
        pens.draw.rounded_rectangle(
            (left + 5, top + 6, right + 4, bottom + 4), radius, fill=_tinted(rng, (60, 60, 60), 40)
        )
    edge = _tinted(rng, grey) if rng.random() < 0.6 else body
    pens.draw.rounded_rectangle((left, top, right, bottom), radius, fill=body, outline=edge)
    pens.draw.rounded_rectangle((left, top, right, low), radius, fill=bar)
    pens.draw.rectangle((left, low - radius, right, low), fill=bar)
    wide = sum(_wide(font, word) for word in cased)
    room = max(0.0, right - left - wide - 12)
    x = PATCH * math.ceil((left + 6 + room * rng.choice((0, 0.5, 0.9))) / PATCH)
    if x - left > right - x - wide:
        _controls(pens.draw, rng, (left + 8, x - 8), middle, ink)
    else:
        _controls(pens.draw, rng, (x + wide + 8, right - 8), middle, ink)
    for word, said in zip(cased, titled, strict=True):
        labels = {"kind": 1 + KINDS.index("title"), "rank": 4 + titled.index(said)}
        _write(pens, font, (x, middle), word, ink=ink, labels=labels)
        x += _wide(font, word)
    word = rng.choice(BUTTONS)
    place = _button(pens, rng, face, word, area=(left, low, right, bottom), theme=(body, grey))
    facts = [
        ("what is the title", f"title {' '.join(titled)}"),
        ("what does the button say", f"button {word}"),
        ("where is the button", f"button {place}"),
    ]
    return pens.finish(facts, "window")


def _controls(
    draw: ImageDraw.ImageDraw, rng: random.Random, room: tuple[float, float], y: float, ink: Fill
) -> None:
    """Small signs in a title bar, as far as there is room from left to right."""
    left, right = room
    style, r = rng.choice(("none", "dots", "cross", "boxes")), rng.randint(5, 8)
    count = min(rng.randint(1, 3), int((right - left) / (3 * r)))
    for number in range(count if style != "none" else 0):
        x = right - (3 * number + 1) * r
        if style == "dots":
            draw.ellipse((x - r, y - r, x + r, y + r), fill=_shade(rng, ("red", "yellow", "green")[number]))
        elif style == "cross":
            draw.line((x - r, y - r, x + r, y + r), fill=ink, width=2)
            draw.line((x - r, y + r, x + r, y - r), fill=ink, width=2)
            break
        else:
            draw.rectangle((x - r, y - r, x + r, y + r), outline=ink, width=2)


def _button(
    pens: _Pens,
    rng: random.Random,
    face: _Face,
    word: str,
    *,
    area: Box,
    theme: tuple[tuple[int, int, int], tuple[int, int, int]],
) -> str:
    """Draws the inside of a window, a button and grey lines; returns where the button is."""
    left, top, right, bottom = area
    body, grey = theme
    font, shown = face.at(_size(rng)), _cased(word)
    long = _length(font, shown)
    wide, high = long / 2 + rng.uniform(8, 28), rng.uniform(20, 28)
    x, y = ((rng.randrange(3) + 0.5 + rng.uniform(-0.25, 0.25)) * SIDE / 3 for _ in range(2))
    x = min(max(x, left + wide + 14), right - wide - 8)
    begin = PATCH * ((x - long / 2) // PATCH)
    x, y = begin + long / 2, _row(min(max(y, top + high + 16), bottom - high - 16))
    line = top + rng.uniform(16, 40)
    thick, step = rng.randint(4, 10), rng.uniform(20, 34)
    end = rng.uniform(top, bottom) if rng.random() < 0.7 else top
    while line + thick < min(end, bottom - 8):
        if not y - high - 12 < line < y + high + 4:
            pens.draw.rectangle(
                (left + 14, line, rng.uniform(left + 80, right - 14), line + thick), fill=grey
            )
        line += step
    fill = rng.choice((_shade(rng, rng.choice(w.COLOURS)), _tinted(rng, grey), body))
    outline = _ink(rng, body) if fill == body or rng.random() < 0.3 else fill
    box = (x - wide, y - high, x + wide, y + high)
    pens.draw.rounded_rectangle(box, rng.choice((0, 4, 10, int(high))), fill=fill, outline=outline, width=2)
    labels = {"kind": 1 + KINDS.index("button")}
    pens.mark(box, labels | _say(word))
    _write(pens, font, (begin, y), shown, ink=_ink(rng, fill), labels=labels)
    return _where(x / SIDE, y / SIDE)
