"""Pictures with letters: texts, windows, and pages full of words to learn to read from.

Training and evaluation share no font and no text: pairs of words and numbers are split by
`models.nano.texts.split_of`.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

from models.nano import texts
from models.nano import words as w
from models.nano.drawing import (
    BUTTONS,
    CELL,
    CELLS,
    IGNORED,
    KINDS,
    LETTERS,
    PATCH,
    READ,
    SIDE,
    Box,
    Fill,
    Pens,
    Rendered,
    canvas,
    shade,
    where,
)

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


STRETCHED: Final = (0.85, 1.22)
"""How much wider than drawn half of the letters of training are: other fonts are narrower or wider."""


@dataclass(frozen=True)
class _Type:
    """A font of one size, made wider."""

    font: Any
    stretch: float

    def draw(self, image: Image.Image, at: tuple[float, float], text: str, ink: Fill) -> None:
        """Draws a text from `at`, in the middle of its height."""
        if self.stretch == 1:
            ImageDraw.Draw(image).text(at, text, font=self.font, fill=ink, anchor="lm")
            return
        long, high = math.ceil(self.font.getlength(text)) + 2 * CELL, 3 * CELL
        mask = Image.new("L", (long, high))
        ImageDraw.Draw(mask).text((CELL, high / 2), text, font=self.font, fill=255, anchor="lm")
        mask = mask.resize((round(long * self.stretch), high), Image.Resampling.BICUBIC)
        image.paste(ink, (round(at[0] - CELL * self.stretch), round(at[1] - high / 2)), mask)


@dataclass(frozen=True)
class _Face:
    """A font of any size."""

    name: str
    package: str
    stretch: float

    def at(self, size: int) -> _Type:
        """The font at a size in pixels."""
        return _Type(_font(self.name, self.package, size), self.stretch)


def _face(rng: random.Random, split: texts.Split) -> _Face:
    package = rng.choice(list(FONTS[split]))
    name = rng.choice(FONTS[split][package].split(" "))
    stretch = rng.uniform(*STRETCHED) if split == "train" and rng.random() < 0.5 else 1.0
    return _Face(name, package, round(stretch, 2))


def pair(rng: random.Random, split: texts.Split) -> tuple[str, str]:
    """Two different words to show."""
    while True:
        first, second = rng.sample(READ, 2)
        if texts.split_of(f"{first} {second}") == split:
            return first, second


def numeral(rng: random.Random, split: texts.Split, most: int = 99) -> str:
    """A number from 0 to `most` to show."""
    while texts.split_of(text := str(rng.randint(0, most))) != split:
        pass
    return text


_UNLIKE_DIGITS: Final = "".join(c for c in LETTERS if c not in "ilo")
"""Some fonts draw an I, an l and a 1 alike, and an O like a 0."""


def string(rng: random.Random, split: texts.Split) -> str:
    """Letters and digits in any order: a digit is to be read whatever stands beside it.

    A digit alone, or two side by side, are a number of `split`. Most are as long as a number.
    """
    while True:
        text = "".join(
            rng.choice(LETTERS[-10:] if rng.random() < 0.45 else _UNLIKE_DIGITS)
            for _ in range(rng.choice((1, 2, 2, 2, 3, 4, 5)))
        )
        parts = [text] if len(text) == 1 else [a + b for a, b in itertools.pairwise(text)]
        if all(texts.split_of(part) == split for part in parts if part.isdigit()):
            return text


def _cased(word: str) -> str:
    return "OK" if word == "ok" else word.capitalize()


def _say(text: str) -> dict[str, int]:
    """The labels of a word, a number or a string: of that, only digits where a number has them."""
    if text in READ:
        return {"word": 1 + READ.index(text)}
    digit = 1 + int(text[-1]) if text[-1].isdigit() else 0
    tens = len(READ) + int(text[0]) if len(text) == 2 and text[0] in "123456789" else 0
    if len(text) > 2 or not text.isdigit():
        return {"kind": IGNORED, "word": tens or IGNORED, "digit": digit}
    return {"word": tens, "digit": digit}


def _row(y: float) -> float:
    """The middle of the row of cells at a height."""
    return CELL * (y // CELL + 0.5)


@functools.lru_cache(200_000)
def _length(font: _Type, text: str) -> float:
    """How wide a text is, in pixels."""
    return float(font.font.getlength(text)) * font.stretch


def _wide(font: _Type, text: str) -> int:
    """How far a word reaches with the space behind it, in whole patches."""
    return PATCH * math.ceil((_length(font, text) + float(font.font.size) * 0.22) / PATCH)


def _write(
    pens: Pens, font: _Type, at: tuple[float, float], text: str, *, ink: Fill, labels: dict[str, int]
) -> None:
    """One word with its labels; `at` is where its line begins, in the middle of its height."""
    x, y = at
    wide, half = _length(font, text), CELL / 2 - 1
    font.draw(pens.image, at, text, ink)
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
        colour = shade(rng, rng.choice(w.COLOURS))
        if abs(_luma(colour) - _luma(ground)) > 90:
            return colour
    return (10, 10, 10) if _luma(ground) > 127 else (245, 245, 245)


def _size(rng: random.Random) -> int:
    """Of letters, in pixels: capitals fill a row of cells."""
    return rng.randint(28, 34)


def render_text(rng: random.Random, split: texts.Split) -> Rendered:
    """A number, or two words in one line or two."""
    image, _ = canvas(rng)
    pens, font = Pens(image), _face(rng, split).at(_size(rng))
    shown = [numeral(rng, split)] if rng.random() < 0.4 else list(pair(rng, split))
    lines = [[text] for text in shown] if rng.random() < 0.5 else [shown]
    wide = max(sum(_wide(font, _cased(t)) for t in line) for line in lines)
    pixel = pens.image.getpixel((0, 0))
    ground = (int(pixel[0]), int(pixel[1]), int(pixel[2])) if isinstance(pixel, tuple) else (0, 0, 0)
    left, top = rng.uniform(4, SIDE - 4 - wide), rng.uniform(0, SIDE - 2 * CELL * len(lines))
    if rng.random() < 0.3:  # a sign
        ground = shade(rng, rng.choice(w.COLOURS))
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


def page(rng: random.Random, split: texts.Split = "train", numbers: float = 0.3) -> Rendered:
    """Words and numbers all over a picture, to learn to read; nothing is asked.

    An empty cell at least stands between two in a row. `numbers` is their share.
    """
    ground = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
    pens = Pens(Image.new("RGB", (SIDE, SIDE), ground))
    for row in range(CELLS):
        x = PATCH * rng.randrange(0, 6)
        while True:
            form = rng.random()
            if form < numbers:
                text = numeral(rng, split, 9 if rng.random() < 0.3 else 99)
            else:
                text = string(rng, split) if form < 0.7 else rng.choice(READ)
            shown, font = _cased(text), _face(rng, split).at(_size(rng))
            if x + _wide(font, shown) > SIDE:
                break
            paper, y = ground, CELL * (row + 0.5)
            if rng.random() < 0.5:
                paper = shade(rng, rng.choice(w.COLOURS))
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


def render_window(rng: random.Random, split: texts.Split) -> Rendered:
    """A window with a title of two words and a button."""
    desktop = (rng.randint(20, 245), rng.randint(20, 245), rng.randint(20, 245))
    pens = Pens(Image.new("RGB", (SIDE, SIDE), desktop))
    face = _face(rng, split)
    body, bar, ink, grey = (_tinted(rng, colour) for colour in rng.choice(_THEMES))
    if rng.random() < 0.2:
        bar = shade(rng, rng.choice(w.COLOURS))
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
            draw.ellipse((x - r, y - r, x + r, y + r), fill=shade(rng, ("red", "yellow", "green")[number]))
        elif style == "cross":
            draw.line((x - r, y - r, x + r, y + r), fill=ink, width=2)
            draw.line((x - r, y + r, x + r, y - r), fill=ink, width=2)
            break
        else:
            draw.rectangle((x - r, y - r, x + r, y + r), outline=ink, width=2)


def _button(
    pens: Pens,
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
    fill = rng.choice((shade(rng, rng.choice(w.COLOURS)), _tinted(rng, grey), body))
    outline = _ink(rng, body) if fill == body or rng.random() < 0.3 else fill
    box = (x - wide, y - high, x + wide, y + high)
    pens.draw.rounded_rectangle(box, rng.choice((0, 4, 10, int(high))), fill=fill, outline=outline, width=2)
    labels = {"kind": 1 + KINDS.index("button")}
    pens.mark(box, labels | _say(word))
    _write(pens, font, (begin, y), shown, ink=_ink(rng, fill), labels=labels)
    return where(x / SIDE, y / SIDE)
