"""The report on a nano package: freshly made questions that training never saw, asked of the real package.

`report(ask)` makes everything from a seed of its own and asserts that no held-out text or call belongs to the
training half. `ask` runs one prompt through whatever engine the caller has; this module knows none.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Final

from models import prompts
from models.nano import flite, looking, phrases, speech, texts
from models.nano.asking import Ask, Asked, Counted, Sound
from models.nano.figure import Figure
from models.nano.wer import word_errors

SEED: Final = 20_260_723
"""Never used in training."""


def report(ask: Ask, size: int = 100, seed: int = SEED) -> Iterator[Figure]:
    """All figures, each as soon as it is known; `size` texts of each kind. Needs libespeak-ng."""
    espeak = speech.Espeak()
    counted = Counted(ask)

    def rng(name: str) -> random.Random:
        return random.Random(f"{seed} {name}")  # no figure changes when another one is added

    yield from transcription(counted, espeak, rng("transcription"), size)
    yield noisy(counted, espeak, rng("noisy"), size)
    yield long(counted, espeak, rng("long"), size // 4)
    yield second_synthesiser(counted, rng("flite"), size // 2)
    yield unheard_accent(counted, espeak, rng("accent"), size // 2)
    yield nothing(counted, rng("nothing"), size)
    yield from typed_commands(counted, rng("typed"), size)
    yield spoken_commands(counted, espeak, rng("spoken"), size)
    yield from no_call(counted, espeak, rng("no call"), size // 2)
    yield outside(counted, rng("outside"), size // 2)
    yield from translations(counted, espeak, rng("translations"), size // 2)
    yield from looking.questions(counted, espeak, rng("pictures"), size)
    yield from looking.one_shape(counted, espeak, rng("one shape"), size // 2)
    yield from looking.other_sizes(counted, rng("sizes"), size // 2)
    yield from looking.several_turns(counted, rng("turns"), size // 2)
    whole = counted.replies - counted.looped
    yield Figure("replies that end without going round in circles", whole, counted.replies, 1.0)


def held_out(key: str) -> str:
    """A text or a call that training never saw; AssertionError if it did."""
    assert texts.split_of(key) == "eval", f"a training text: {key}"
    return key


def _command(rng: random.Random, tool: int | None = None) -> texts.Command:
    made = texts.command(rng, "eval", tool)
    held_out(made.call)
    return made


def _either(rng: random.Random) -> str:
    """A command or a general sentence."""
    return _command(rng).text if rng.random() < 0.5 else held_out(texts.general(rng, "eval"))


def _heard(ask: Ask, sound: Sound, text: str) -> tuple[int, int]:
    """Errors in the transcript of a text, and its words."""
    return word_errors(text, ask(Asked((sound, prompts.TRANSCRIBE)))), len(text.split())


def transcription(ask: Ask, espeak: speech.Espeak, rng: random.Random, size: int) -> Iterator[Figure]:
    """Word error rates of unseen texts in unseen voices."""
    makers: dict[str, Callable[[], str]] = {
        "command": lambda: _command(rng).text,
        "general": lambda: held_out(texts.general(rng, "eval")),
        "row": lambda: held_out(texts.row(rng, "eval")),
    }
    found: dict[str, list[tuple[int, int]]] = {kind: [] for kind in makers}
    for kind, make in makers.items():
        for _ in range(size):
            text = make()
            sound = Sound(speech.utter(espeak, text, rng, "eval"), espeak.rate)
            found[kind].append(_heard(ask, sound, text))
    both = [*found["command"], *found["general"]]
    yield Figure.of_words("word error rate, commands and general sentences", both, 0.05)
    yield Figure.of_words("word error rate, commands", found["command"], 0.06)
    yield Figure.of_words("word error rate, general sentences", found["general"])
    yield Figure.of_words("word error rate, rows of random words", found["row"], 0.25)


def noisy(ask: Ask, espeak: speech.Espeak, rng: random.Random, size: int) -> Figure:
    """Word error rate of commands and general sentences with noise 10 dB below the speech."""
    found = []
    for _ in range(size):
        text = _either(rng)
        found.append(_heard(ask, Sound(speech.utter(espeak, text, rng, "eval", 10), espeak.rate), text))
    return Figure.of_words("word error rate at 10 dB of noise", found, 0.10)


def long(ask: Ask, espeak: speech.Espeak, rng: random.Random, size: int) -> Figure:
    """Word error rate of five to eight sentences in one recording, 10 to 30 s."""
    found = []
    for _ in range(size):
        parts = [_either(rng) for _ in range(rng.randint(5, 8))]
        sound = Sound(speech.utter(espeak, " , ".join(parts), rng, "eval"), espeak.rate)
        found.append(_heard(ask, sound, " ".join(parts)))
    return Figure.of_words("word error rate, recordings of 10 to 30 s", found, 0.05)


def second_synthesiser(ask: Ask, rng: random.Random, size: int) -> Figure:
    """Word error rate of commands and general sentences as another synthesiser says them."""
    name = "word error rate, a synthesiser that training never used (flite)"
    if not flite.installed():
        return Figure(name, 0, 0, 0.30, "wer", note=flite.MISSING)
    found = []
    for _ in range(size):
        text = _either(rng)
        found.append(_heard(ask, Sound(*flite.say(text, rng)), text))
    return Figure.of_words(name, found, 0.30)


def unheard_accent(ask: Ask, espeak: speech.Espeak, rng: random.Random, size: int) -> Figure:
    """Word error rate of commands and general sentences in an accent that is not in training."""
    found = []
    for _ in range(size):
        text = _either(rng)
        wave = speech.utter(espeak, text, rng, "eval", accent=speech.UNHEARD_ACCENT)
        found.append(_heard(ask, Sound(wave, espeak.rate), text))
    return Figure.of_words("word error rate, an accent that training never heard (Caribbean)", found)


def nothing(ask: Ask, rng: random.Random, size: int) -> Figure:
    """How often noise and music alone are no words, in what is written down and as a question."""
    right = 0
    for number in range(size):
        sound = Sound(speech.unspoken(rng), speech.UNSPOKEN_RATE)
        asked = Asked((sound, prompts.TRANSCRIBE)) if number % 2 else Asked((sound,), tools=True)
        right += ask(asked).strip() in ("", texts.NOTHING)
    return Figure("noise and music alone, nothing heard", right, size, 0.95)


def typed_commands(ask: Ask, rng: random.Random, size: int) -> Iterator[Figure]:
    """Exact tool calls for typed commands, all and by tool."""
    counts = [[0, 0] for _ in prompts.TOOLS]
    for number in range(size):
        tool = number % len(prompts.TOOLS)
        made = _command(rng, tool)
        counts[tool][0] += ask(Asked((texts.typed(rng, made),), tools=True)).strip() == made.call
        counts[tool][1] += 1
    total = [sum(c[i] for c in counts) for i in range(2)]
    yield Figure("typed commands, exact call", total[0], total[1], 0.98)
    for tool_, (right, count) in zip(prompts.TOOLS, counts, strict=True):
        yield Figure(f"typed commands, {tool_['name']}", right, count)


def spoken_commands(ask: Ask, espeak: speech.Espeak, rng: random.Random, size: int) -> Figure:
    """Exact tool calls for spoken commands."""
    right = 0
    for number in range(size):
        made = _command(rng, number % len(prompts.TOOLS))
        sound = Sound(speech.utter(espeak, made.text, rng, "eval"), espeak.rate)
        right += ask(Asked((sound,), tools=True)).strip() == made.call
    return Figure("spoken commands, exact call", right, size, 0.92)


def no_call(ask: Ask, espeak: speech.Espeak, rng: random.Random, size: int) -> Iterator[Figure]:
    """How often no tool is called when none fits: typed, half of them close to a command, and spoken."""
    right = {"typed": 0, "spoken": 0}
    for number in range(size):
        make = texts.near_miss if number % 2 else texts.outside
        asked = held_out(make(rng, "eval"))
        sound = Sound(speech.utter(espeak, asked, rng, "eval"), espeak.rate)
        for way, part in (("typed", texts.written(rng, asked)), ("spoken", sound)):
            right[way] += not ask(Asked((part,), tools=True)).strip().startswith("[{")
    for way, fine in right.items():
        yield Figure(f"no tool fits, {way}: no call", fine, size, 0.95)


def outside(ask: Ask, rng: random.Random, size: int) -> Figure:
    """How often it says what it can do when asked for something else."""
    right = 0
    for _ in range(size):
        asked = held_out(texts.outside(rng, "eval"))
        right += ask(Asked((texts.written(rng, asked),), tools=True)).strip() == texts.ABOUT
    return Figure("outside its abilities, says so", right, size)


def translations(ask: Ask, espeak: speech.Espeak, rng: random.Random, size: int) -> Iterator[Figure]:
    """Exact transcript and translation of spoken phrases; `size` for each language."""
    total = 0
    for language in phrases.LANGUAGES:
        right = 0
        for _ in range(size):
            phrase = phrases.phrase(rng, "eval")
            sound = Sound(speech.utter(espeak, held_out(phrase.english), rng, "eval"), espeak.rate)
            reply = ask(Asked((sound, prompts.transcribe_and_translate(language))))
            right += reply.strip() == phrase.both(language)
        total += right
        yield Figure(f"phrase book to {language}, transcript and translation exact", right, size)
    name = "phrase book, transcript and translation exact"
    yield Figure(name, total, size * len(phrases.LANGUAGES), 0.90)
