"""The report on a nano package: freshly made questions that training never saw, asked of the real package.

`report(ask)` makes everything from a seed of its own and asserts that no held-out text or call belongs to the
training half. `ask` runs one prompt through whatever engine the caller has; this module knows none.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from models import prompts
from models.nano import pictures, speech, texts
from models.nano.wer import word_errors

SEED: Final = 20_260_723
"""Never used in training."""


@dataclass(frozen=True)
class Sound:
    """Mono samples in -1…1 at `rate` Hz."""

    samples: NDArray[np.float32] = field(repr=False)
    rate: int


@dataclass(frozen=True)
class Asked:
    """One user turn: texts, sounds and PNG pictures in this order, after the system message."""

    parts: tuple[str | bytes | Sound, ...]
    tools: bool = False
    """Whether the system message lists `prompts.TOOLS`."""


Ask = Callable[[Asked], str]
"""Gives the whole reply; a tool call without its surrounding special tokens."""


@dataclass(frozen=True)
class Figure:
    """One figure: `right` of `count`, or for word error rates the errors among `count` words."""

    name: str
    right: int
    count: int
    bar: float | None = None
    """What it must reach: at least for exact answers, at most for error rates."""
    kind: Literal["exact", "wer"] = "exact"

    @property
    def rate(self) -> float:
        """The share, 0 to 1 (error rates can exceed 1)."""
        return self.right / max(1, self.count)

    @property
    def passed(self) -> bool:
        """Whether the bar is reached; true without a bar."""
        return self.bar is None or (self.rate >= self.bar if self.kind == "exact" else self.rate <= self.bar)

    def __str__(self) -> str:
        text = f"{self.name}: {100 * self.rate:.1f} % ({self.right} of {self.count})"
        if self.bar is not None:
            wanted = "at least" if self.kind == "exact" else "at most"
            text += f", {wanted} {100 * self.bar:.0f} %: {'yes' if self.passed else 'NO'}"
        return text


def report(ask: Ask, size: int = 100, seed: int = SEED) -> Iterator[Figure]:
    """All figures, each as soon as it is known; `size` texts of each kind. Needs libespeak-ng."""
    espeak = speech.Espeak()
    rng = random.Random(seed)
    yield from transcription(ask, espeak, rng, size)
    yield noisy(ask, espeak, rng, size)
    yield long(ask, espeak, rng, size // 4)
    yield nothing(ask, rng, size)
    yield from typed_commands(ask, rng, size)
    yield spoken_commands(ask, espeak, rng, size // 2)
    yield outside(ask, rng, size // 2)
    yield from picture_questions(ask, espeak, rng, size)
    yield from one_shape(ask, espeak, rng, size // 2)


def _held_out(key: str) -> str:
    assert texts.split_of(key) == "eval", f"a training text: {key}"
    return key


def transcription(ask: Ask, espeak: speech.Espeak, rng: random.Random, size: int) -> Iterator[Figure]:
    """Word error rates of unseen texts in unseen voices."""
    errors: dict[str, tuple[int, int]] = {}
    for kind in ("command", "general", "row"):
        wrong = count = 0
        for _ in range(size):
            if kind == "command":
                made = texts.command(rng, "eval")
                _held_out(made.call)
                text = made.text
            else:
                text = _held_out(texts.general(rng, "eval") if kind == "general" else texts.row(rng, "eval"))
            sound = Sound(speech.utter(espeak, text, rng, "eval"), espeak.rate)
            wrong += word_errors(text, ask(Asked((sound, prompts.TRANSCRIBE))).strip())
            count += len(text.split())
        errors[kind] = (wrong, count)
    wrong, count = (errors["command"][i] + errors["general"][i] for i in range(2))
    yield Figure("word error rate, commands and general sentences", wrong, count, 0.20, "wer")
    yield Figure("word error rate, commands", *errors["command"], 0.06, "wer")
    yield Figure("word error rate, general sentences", *errors["general"], None, "wer")
    yield Figure("word error rate, rows of random words", *errors["row"], None, "wer")


def noisy(ask: Ask, espeak: speech.Espeak, rng: random.Random, size: int) -> Figure:
    """Word error rate of commands and general sentences with noise 10 dB below the speech."""
    wrong = count = 0
    for number in range(size):
        text = texts.command(rng, "eval").text if number % 2 else texts.general(rng, "eval")
        sound = Sound(speech.utter(espeak, text, rng, "eval", 10), espeak.rate)
        wrong += word_errors(text, ask(Asked((sound, prompts.TRANSCRIBE))).strip())
        count += len(text.split())
    return Figure("word error rate at 10 dB of noise", wrong, count, None, "wer")


def long(ask: Ask, espeak: speech.Espeak, rng: random.Random, size: int) -> Figure:
    """Word error rate of five to eight sentences in one recording, 10 to 30 s."""
    wrong = count = 0
    for _ in range(size):
        parts = [
            texts.command(rng, "eval").text if rng.random() < 0.5 else texts.general(rng, "eval")
            for _ in range(rng.randint(5, 8))
        ]
        sound = Sound(speech.utter(espeak, " , ".join(parts), rng, "eval"), espeak.rate)
        wrong += word_errors(" ".join(parts), ask(Asked((sound, prompts.TRANSCRIBE))).strip())
        count += sum(len(part.split()) for part in parts)
    return Figure("word error rate, recordings of 10 to 30 s", wrong, count, None, "wer")


def nothing(ask: Ask, rng: random.Random, size: int) -> Figure:
    """How often noise and music alone are no words, in what is written down and as a question."""
    right = 0
    for number in range(size):
        sound = Sound(speech.unspoken(rng), speech.UNSPOKEN_RATE)
        asked = Asked((sound, prompts.TRANSCRIBE)) if number % 2 else Asked((sound,), tools=True)
        right += ask(asked).strip() in ("", "I heard nothing.")
    return Figure("noise and music alone, nothing heard", right, size)


def typed_commands(ask: Ask, rng: random.Random, size: int) -> Iterator[Figure]:
    """Exact tool calls for typed commands, all and by tool."""
    counts = [[0, 0] for _ in prompts.TOOLS]
    for number in range(size):
        tool = number % len(prompts.TOOLS)
        made = texts.command(rng, "eval", tool)
        _held_out(made.call)
        counts[tool][0] += ask(Asked((texts.typed(rng, made),), tools=True)).strip() == made.call
        counts[tool][1] += 1
    total = [sum(c[i] for c in counts) for i in range(2)]
    yield Figure("typed commands, exact call", total[0], total[1], 0.90)
    for tool_, (right, count) in zip(prompts.TOOLS, counts, strict=True):
        yield Figure(f"typed commands, {tool_['name']}", right, count)


def spoken_commands(ask: Ask, espeak: speech.Espeak, rng: random.Random, size: int) -> Figure:
    """Exact tool calls for spoken commands."""
    right = 0
    for number in range(size):
        made = texts.command(rng, "eval", number % len(prompts.TOOLS))
        _held_out(made.call)
        sound = Sound(speech.utter(espeak, made.text, rng, "eval"), espeak.rate)
        right += ask(Asked((sound,), tools=True)).strip() == made.call
    return Figure("spoken commands, exact call", right, size)


def outside(ask: Ask, rng: random.Random, size: int) -> Figure:
    """How often it says what it can do when asked for something else."""
    right = 0
    for _ in range(size):
        asked = _held_out(texts.outside(rng, "eval"))
        right += ask(Asked((texts.written(rng, asked),), tools=True)).strip() == texts.ABOUT
    return Figure("outside its abilities, says so", right, size)


def picture_questions(ask: Ask, espeak: speech.Espeak, rng: random.Random, size: int) -> Iterator[Figure]:
    """Typed and spoken questions about new pictures, each also with a wrong picture of the same kind."""
    names: tuple[pictures.Kind, ...] = ("scene", "bars")
    found = {(way, kind, seen): 0 for way in ("typed", "spoken") for kind in names for seen in (True, False)}
    counts = dict.fromkeys(found, 0)
    for number in range(size):
        kind = names[number % 4 == 3]
        picture, wrong = pictures.render(rng, kind), pictures.render(rng, kind)
        question, answer = rng.choice(picture.facts)
        sound = Sound(speech.utter(espeak, question, rng, "eval"), espeak.rate)
        for way, part in (("typed", f"{question[0].upper()}{question[1:]}?"), ("spoken", sound)):
            for seen in (True, False):
                png = (picture if seen else wrong).png()
                key = (way, kind, seen)
                found[key] += ask(Asked((png, part))).strip() == answer
                counts[key] += 1
    for way in ("typed", "spoken"):
        totals = {}
        for seen in (True, False):
            keys = [(way, kind, seen) for kind in names]
            totals[seen] = (sum(found[k] for k in keys), sum(counts[k] for k in keys))
        blind = totals[False][0] / max(1, totals[False][1])
        bar = blind + 0.30
        yield Figure(f"{way} questions about pictures", *totals[True], bar)
        yield Figure(f"{way} questions, blind control (a wrong picture)", *totals[False])
        for kind_ in names:
            yield Figure(f"{way} questions, {kind_}", found[way, kind_, True], counts[way, kind_, True])


def one_shape(ask: Ask, espeak: speech.Espeak, rng: random.Random, size: int) -> Iterator[Figure]:
    """Spoken questions about the colour of the only shape in a new picture, and the blind control."""
    right = blind = 0
    for _ in range(size):
        picture, wrong = (pictures.render(rng, "scene", 1) for _ in range(2))
        question, answer = picture.facts[0]
        sound = Sound(speech.utter(espeak, question, rng, "eval"), espeak.rate)
        right += ask(Asked((picture.png(), sound))).strip() == answer
        blind += ask(Asked((wrong.png(), sound))).strip() == answer
    bar = blind / max(1, size) + 0.30
    yield Figure("spoken question, colour of the one shape", right, size, bar)
    yield Figure("spoken question, colour of the one shape, blind control", blind, size)
