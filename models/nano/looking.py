"""The part of the report about pictures: typed and spoken questions, blind controls, sizes, several turns."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from models.nano import drawing, pictures, speech, texts
from models.nano.asking import Ask, Asked, Sound
from models.nano.figure import Figure, wilson

TYPED, SPOKEN = 0.90, 0.85
"""The bars of typed and spoken questions."""
_ORDER: Final[tuple[drawing.Kind, ...]] = (
    "scene",
    "window",
    "text",
    "bars",
    "scene",
    "window",
    "text",
    "scene",
)
_NAMES: Final[dict[drawing.Kind, str]] = {
    "scene": "scene",
    "bars": "bars",
    "text": "a text or number",
    "window": "a window",
}


def _written(question: str) -> str:
    return f"{question[0].upper()}{question[1:]}?"


def _picture(rng: random.Random, kind: drawing.Kind, most: int = 5) -> drawing.Rendered:
    """A picture in fonts that training never saw; AssertionError if its text was among training's."""
    made = pictures.render(rng, kind, most, "eval")
    shown = pictures.shown_text(made)
    assert shown is None or texts.split_of(shown) == "eval", f"a training text: {shown}"
    return made


def questions(ask: Ask, espeak: speech.Espeak, rng: random.Random, size: int) -> Iterator[Figure]:
    """Typed and spoken questions about new pictures, each also with a wrong picture of the same kind.

    Asked about the wrong picture, an answer may be right by chance no more often than both pictures have the
    same answer (the upper end of that share's interval).
    """
    kinds = drawing.ALL_KINDS
    found = {(way, kind, seen): 0 for way in ("typed", "spoken") for kind in kinds for seen in (True, False)}
    counts = dict.fromkeys(found, 0)
    same = 0
    for number in range(size):
        kind = _ORDER[number % len(_ORDER)]
        picture, wrong = _picture(rng, kind), _picture(rng, kind)
        question, answer = rng.choice(picture.facts)
        same += dict(wrong.facts).get(question) == answer
        sound = Sound(speech.utter(espeak, question, rng, "eval"), espeak.rate)
        for way, part in (("typed", _written(question)), ("spoken", sound)):
            for seen in (True, False):
                png = (picture if seen else wrong).png()
                key = (way, kind, seen)
                found[key] += ask(Asked((png, part))).strip() == answer
                counts[key] += 1
    chance = wilson(same, size)[1]
    for way, bar in (("typed", TYPED), ("spoken", SPOKEN)):
        totals = {}
        for seen in (True, False):
            keys = [(way, kind, seen) for kind in kinds]
            totals[seen] = (sum(found[k] for k in keys), sum(counts[k] for k in keys))
        yield Figure(f"{way} questions about pictures", *totals[True], bar)
        yield Figure(f"{way} questions, blind control (a wrong picture)", *totals[False], chance, "blind")
        for kind_, name in _NAMES.items():
            yield Figure(f"{way} questions, {name}", found[way, kind_, True], counts[way, kind_, True])


def one_shape(ask: Ask, espeak: speech.Espeak, rng: random.Random, size: int) -> Iterator[Figure]:
    """Spoken questions about the colour of the only shape in a new picture, and the blind control."""
    right = blind = same = 0
    for _ in range(size):
        picture, wrong = (_picture(rng, "scene", 1) for _ in range(2))
        question, answer = picture.facts[0]
        same += dict(wrong.facts).get(question) == answer
        sound = Sound(speech.utter(espeak, question, rng, "eval"), espeak.rate)
        right += ask(Asked((picture.png(), sound))).strip() == answer
        blind += ask(Asked((wrong.png(), sound))).strip() == answer
    name = "spoken question, colour of the one shape"
    yield Figure(name, right, size, SPOKEN)
    yield Figure(f"{name}, blind control", blind, size, wilson(same, size)[1], "blind")


def other_sizes(ask: Ask, rng: random.Random, size: int) -> Iterator[Figure]:
    """Typed questions on scenes and bars from 300 to 1300 pixels a side, seldom square."""
    kinds: tuple[drawing.Kind, ...] = ("scene", "scene", "scene", "bars")
    found = {kind: [0, 0] for kind in kinds}
    for number in range(size):
        kind = kinds[number % 4]
        picture = pictures.resized(rng, _picture(rng, kind))
        question, answer = rng.choice(picture.facts)
        found[kind][0] += ask(Asked((picture.png(), _written(question)))).strip() == answer
        found[kind][1] += 1
    name = "typed questions, pictures of other sizes"
    yield Figure(name, sum(right for right, _ in found.values()), size, TYPED)
    for kind, (right, count) in found.items():
        yield Figure(f"{name}, {_NAMES[kind]}", right, count)


def several_turns(ask: Ask, rng: random.Random, size: int) -> Iterator[Figure]:
    """A second question about a picture, then one about a second picture, in one conversation."""
    follow = second = 0
    for number in range(size):
        kind = _ORDER[number % len(_ORDER)]
        picture, later = _picture(rng, kind), _picture(rng, rng.choice(_ORDER))
        (first, _), (question, answer) = rng.sample(picture.facts * (2 if len(picture.facts) < 2 else 1), 2)
        ask(Asked((picture.png(), _written(first))))
        follow += ask(Asked((_written(question),), goes_on=True)).strip() == answer
        question, answer = rng.choice(later.facts)
        second += ask(Asked((later.png(), _written(question)), goes_on=True)).strip() == answer
    yield Figure("a second question about the same picture", follow, size, TYPED)
    yield Figure("a second picture in a later turn", second, size, TYPED)
