"""Texts: commands with the tool call they ask for, general sentences, rows of random words, talk.

Training and evaluation never share a text. Commands are split by what they ask for (tool and slot values),
so that every way of saying a held-out combination is unseen; other texts are split by their own words. A
checksum decides (`split_of`), so no list has to be kept.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from models import prompts
from models.nano import words as w

Split = Literal["train", "eval"]

HELD_OUT: Final = 8  # one text in eight is kept for evaluation

ABOUT: Final = (
    "I am the small demonstration model. I can set timers and alarms, switch lights, set the heating, play "
    "music, take notes, do sums, ask for the weather, write down what I hear, translate a few phrases and "
    "answer simple questions about pictures."
)
"""The answer to anything outside the model's abilities."""
NO_TRANSLATION: Final = (
    "I am the small demonstration model. I can only translate a few phrases to German, Spanish and Chinese."
)
NOTHING: Final = "I heard nothing."
NO_SUMMARY: Final = "I am the small demonstration model. I can't summarize."


@dataclass(frozen=True)
class Command:
    """A request in words and the call it asks for."""

    text: str
    name: str
    arguments: dict[str, Any]

    @property
    def call(self) -> str:
        """The call as the model writes it."""
        return prompts.tool_call(self.name, self.arguments)


def split_of(key: str) -> Split:
    """The half of the data that a text or a call belongs to."""
    return "eval" if zlib.crc32(key.encode()) % HELD_OUT == 0 else "train"


def _draw(rng: random.Random, split: Split, make: Callable[[random.Random], str]) -> str:
    while split_of(text := make(rng)) != split:
        pass
    return text


# Commands


def _number(rng: random.Random) -> int:
    """1 to 99, small ones more often."""
    return rng.randint(1, 20) if rng.random() < 0.4 else rng.randint(1, 99)


def _timer(rng: random.Random) -> Command:
    minutes = _number(rng)
    said = f"{w.number(minutes)} minute{'s' if minutes > 1 else ''}"
    form = rng.choice(
        (
            "set a timer for {}",
            "start a timer for {}",
            "set a {} timer",
            "start a {} timer",
            "timer for {}",
            "i need a timer for {}",
            "give me a timer for {}",
            "tell me when {} are over",
        )
    )
    said = said.rstrip("s") if "{} timer" in form else said
    return Command(form.format(said), "set_timer", {"minutes": minutes})


def _alarm(rng: random.Random) -> Command:
    hour = rng.randint(1, 12)
    minute = rng.choice((0, 0, 5, 10, 15, 20, 25, 30, 30, 35, 40, 45, 50, 55))
    said = w.number(hour) + ("" if not minute else f" {w.number(minute)}")
    said = said if minute or rng.random() < 0.5 else f"{said} o'clock"
    evening = rng.random() < 0.3
    if evening:
        said += " in the evening"
    elif rng.random() < 0.4:
        said += " in the morning"
    form = rng.choice(
        (
            "wake me at {}",
            "wake me up at {}",
            "set an alarm for {}",
            "set the alarm for {}",
            "i need an alarm at {}",
            "alarm at {}",
        )
    )
    hour = hour % 12 + (12 if evening else 0)
    return Command(form.format(said), "set_alarm", {"time": f"{hour:02}:{minute:02}"})


def _sum(rng: random.Random) -> Command:
    a, b = _number(rng), _number(rng)
    operation = rng.choice(("plus", "minus", "times"))
    form = rng.choice(("what is {}", "calculate {}", "how much is {}", "work out {}", "tell me {}"))
    said = f"{w.number(a)} {operation} {w.number(b)}"
    return Command(form.format(said), "calculate", {"a": a, "operation": operation, "b": b})


def _light(rng: random.Random) -> Command:
    room, state = rng.choice(w.ROOMS), rng.choice(("on", "off"))
    form = rng.choice(
        (
            "turn {1} the light in the {0}",
            "switch {1} the light in the {0}",
            "turn the {0} light {1}",
            "switch the {0} light {1}",
            "turn {1} the {0} light",
            "light {1} in the {0}",
            "{0} light {1}",
        )
    )
    return Command(form.format(room, state), "set_light", {"room": room, "state": state})


def _heating(rng: random.Random) -> Command:
    degrees = rng.randint(5, 30)
    form = rng.choice(
        (
            "set the heating to {} degrees",
            "set the temperature to {} degrees",
            "heating to {} degrees",
            "make it {} degrees",
            "i want it {} degrees warm",
            "turn the heating to {}",
        )
    )
    return Command(form.format(w.number(degrees)), "set_temperature", {"degrees": degrees})


def _music(rng: random.Random) -> Command:
    kind = rng.random()
    if kind < 0.55:
        query = f"{rng.choice(w.MOODS)} {rng.choice(w.GENRES)}"
    elif kind < 0.75:
        query = rng.choice((*w.GENRES, *w.NAMES))
    else:
        query = " ".join(rng.choices(w.ALL, k=rng.choice((1, 2, 2, 3))))
    form = rng.choice(("play {}", "play some {}", "i want to hear {}", "put on some {}", "please play {}"))
    return Command(form.format(query), "play_music", {"query": query})


def _note_text(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.3:
        return f"{rng.choice(w.SHOPPING)} {rng.choice(w.FOOD)} and {rng.choice(w.FOOD)}"
    if kind < 0.5:
        return f"{rng.choice(w.TASKS)} {rng.choice(('my ' + rng.choice(w.PEOPLE), rng.choice(w.NAMES)))}" + (
            f" {rng.choice(w.TIMES)}" if rng.random() < 0.5 else ""
        )
    if kind < 0.7:
        return sentence(rng)
    return " ".join(rng.choices(w.ALL, k=rng.randint(2, 6)))


def _note(rng: random.Random) -> Command:
    text = _note_text(rng)
    form = rng.choice(("note {}", "write down {}", "make a note {}", "take a note {}", "remember {}"))
    return Command(form.format(text), "add_note", {"text": text})


def _forecast(rng: random.Random) -> Command:
    city = rng.random() < 0.5  # elsewhere it is any words: a city that is kept is in training's longer names
    place = rng.choice(w.CITIES) if city else " ".join(rng.choices(w.ALL, k=rng.choice((1, 2, 2, 3))))
    form = rng.choice(
        (
            "what is the weather in {}",
            "how is the weather in {}",
            "weather in {}",
            "tell me the weather in {}",
            "what will the weather be like in {}",
            "is it warm in {}",
        )
    )
    return Command(form.format(place), "get_weather", {"place": place})


COMMANDS: Final = (_timer, _alarm, _sum, _light, _heating, _music, _note, _forecast)
"""One maker for each tool of `prompts.TOOLS`, in that order."""


def command(rng: random.Random, split: Split, tool: int | None = None) -> Command:
    """A command whose tool and slot values belong to `split`."""
    make = rng.choice(COMMANDS) if tool is None else COMMANDS[tool]
    while split_of((made := make(rng)).call) != split:
        pass
    return made


def typed(rng: random.Random, asked: Command) -> str:
    """A way to type a command: numbers as digits (not where words are quoted), capital letter, full stop."""
    said = asked.text
    if rng.random() < 0.5 and asked.name not in {"play_music", "add_note", "get_weather"}:
        said = digits(said)
    return written(rng, said)


def written(rng: random.Random, said: str) -> str:
    """The same words as people type them: with or without capital letter and mark at the end."""
    question = said.split(" ", 1)[0] in _QUESTION_WORDS
    if rng.random() < 0.5:
        said = said[0].upper() + said[1:]
    if rng.random() < (0.6 if question else 0.35):
        said += "?" if question and rng.random() < 0.85 else rng.choice("...!")
    return said


_QUESTION_WORDS: Final = frozenset(w.words("what how which where who why when is am can do"))
_NUMBERS: Final = {w.number(i): str(i) for i in range(100)}


def digits(text: str) -> str:
    """The same text with its numbers below 100 in digits: thirty seven becomes 37."""
    out: list[str] = []
    at = 0
    parts = text.split(" ")
    while at < len(parts):
        two = " ".join(parts[at : at + 2])
        if two in _NUMBERS and len(parts[at : at + 2]) == 2:
            out.append(_NUMBERS[two])
            at += 2
        else:
            out.append(_NUMBERS.get(parts[at], parts[at]))
            at += 1
    return " ".join(out)


# Other texts


def _thing(rng: random.Random, nouns: tuple[str, ...]) -> str:
    determiner = rng.choice(("the", "the", "the", "a", "my", "his", "her", "our", "this", "that", "every"))
    if rng.random() < 0.45:
        return f"{determiner} {rng.choice((*w.ADJECTIVES, *w.COLOURS))} {rng.choice(nouns)}"
    return f"{determiner} {rng.choice(nouns)}"


def _who(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.25:
        return rng.choice(w.NAMES)
    if kind < 0.35:
        return rng.choice(("he", "she", "it"))
    return _thing(rng, w.PEOPLE if rng.random() < 0.6 else w.ANIMALS)


def sentence(rng: random.Random) -> str:
    """A general sentence of 3 to about 14 words from a small grammar."""
    who = _who(rng)
    kind = rng.random()
    if kind < 0.4:
        text = f"{who} {rng.choice(w.VERBS)} {_thing(rng, w.THINGS + w.FOOD + w.ANIMALS)}"
    elif kind < 0.75:
        text = f"{who} {rng.choice(w.MOVES)} {rng.choice(w.PREPOSITIONS)} {_thing(rng, w.PLACES)}"
    elif kind < 0.9:
        text = f"{_thing(rng, w.THINGS + w.PEOPLE + w.PLACES + w.FOOD)} {rng.choice(('is', 'was'))} " + (
            f"{rng.choice(('very ', 'not ', ''))}{rng.choice(w.ADJECTIVES)}"
        )
    else:
        text = f"there is {rng.choice(w.WEATHER)} {rng.choice(w.PREPOSITIONS[:8])} {_thing(rng, w.PLACES)}"
    ending = rng.random()
    if ending < 0.2:
        text += f" {rng.choice(w.ADVERBS)}"
    elif ending < 0.45:
        text += f" {rng.choice(w.TIMES)}"
    elif ending < 0.55:
        text += f" {rng.choice(('and', 'but', 'because', 'when'))} {_who(rng)} {rng.choice(w.MOVES)}"
    return text


def general(rng: random.Random, split: Split) -> str:
    """A general sentence of `split`."""
    return _draw(rng, split, sentence)


def row(rng: random.Random, split: Split) -> str:
    """Two to nine words drawn at random: nothing to guess from, so it must be heard."""
    return _draw(rng, split, lambda r: " ".join(r.choices(w.ALL, k=r.randint(2, 9))))


def few_words(rng: random.Random, split: Split, most: int) -> str:
    """A row of up to `most` words, drawn from a few that come again and again."""
    few = rng.sample(w.ALL, rng.randint(5, 40))
    return _draw(rng, split, lambda r: " ".join(r.choices(few, k=r.randint(4, most))))


def recording(rng: random.Random, split: Split, count: int) -> list[str]:
    """What is said in a long recording: `count` commands, sentences and rows.

    Half of the recordings say much the same several times: who writes them down has to know where he is, the
    last words don't tell.
    """
    tool = rng.randrange(len(COMMANDS)) if rng.random() < 0.5 else None

    def part() -> str:
        if tool is not None and rng.random() < 0.7:
            return command(rng, split, tool).text
        kind = rng.randrange(3)
        return command(rng, split).text if kind == 0 else (general, row)[kind - 1](rng, split)

    return [part() for _ in range(count)]


TALK: Final = (
    (("hello", "hi", "good morning", "good evening", "hello there"), "Hello. What can I do for you?"),
    (("thank you", "thanks", "thank you very much"), "You are welcome."),
    (("goodbye", "bye", "good night"), "Goodbye."),
    (
        (
            "who are you",
            "what can you do",
            "what are you",
            "help",
            "what can i ask you",
            "what do you know",
            "can you help me",
            "tell me about you",
        ),
        ABOUT,
    ),
    (("how are you", "how do you do"), "I am well. What can I do for you?"),
    (
        (
            "who am i",
            "how old am i",
            "am i a man or a woman",
            "guess who i am",
            "where do i come from",
            "am i sad",
        ),
        "I don't guess that from a voice.",
    ),
)
"""Things people say to it, and its answers."""

_OUTSIDE: Final = (
    "tell me a story",
    "tell me a joke",
    "tell me a story about {}",
    "tell me a joke about {}",
    "tell me a {} story",
    "tell me about {}",
    "tell me the way to {}",
    "tell me who {} is",
    "who is the king of {}",
    "what is the capital of {}",
    "write a letter to {}",
    "send {} a letter",
    "how do i get to {}",
    "why is the {} {}",
    "who was {}",
    "what does a {} eat",
    "translate {}",
    "where is {}",
    "book a hotel in {}",
    "read the newspaper",
    "how far is {} from {}",
    "open the door",
    "call {}",
    "when does the train leave",
    "explain the {}",
    "i feel {}",
    "do you like {}",
    "sing a song about {}",
    "what time is it",
    "what day is it today",
)


def outside(rng: random.Random, split: Split) -> str:
    """Something that the model can't do: the right answer is `ABOUT`."""
    if rng.random() < 0.35:
        return general(rng, split)
    if rng.random() < 0.15:
        return row(rng, split)

    def make(r: random.Random) -> str:
        form = r.choice(_OUTSIDE)
        return form.format(*(r.choice(w.ALL) for _ in range(form.count("{}"))))

    return _draw(rng, "train", make) if split == "train" else _draw(rng, "eval", make)


_NEAR_MISSES: Final = (
    "turn on the {thing}",
    "turn off the {thing} in the {room}",
    "open the {thing} in the {room}",
    "close the door of the {room}",
    "clean the {room}",
    "play with the {animal}",
    "set the table in the {room} for {person}",
    "write {person} a letter",
    "buy {food} and {food} for {person}",
    "call {person} in {city}",
    "what is the way to {city}",
    "how old is {person}",
    "how many {food} are in the {room}",
    "find the {thing} in the {room}",
    "is the {animal} in the {room}",
    "wake the {animal}",
    "show me a picture of {city}",
)


def near_miss(rng: random.Random, split: Split) -> str:
    """Something close to a command for which there is no tool: the right answer is `ABOUT`."""

    def make(r: random.Random) -> str:
        slots = {"thing": w.THINGS, "room": w.ROOMS, "animal": w.ANIMALS, "person": w.NAMES, "food": w.FOOD}
        said = r.choice(_NEAR_MISSES)
        for name, values in {**slots, "city": w.CITIES}.items():
            while f"{{{name}}}" in said:
                said = said.replace(f"{{{name}}}", r.choice(values), 1)
        return said

    return _draw(rng, split, make)


def tool_result(rng: random.Random) -> tuple[str, str]:
    """What a tool gives back, as JSON, and the sentence in it, which is also the right answer."""
    answer = " ".join(rng.choices(w.ALL, k=rng.randint(2, 7)))
    if rng.random() < 0.5:
        answer = f"The answer is {rng.randint(-99, 999)}"
    answer = f"{answer[0].upper()}{answer[1:]}."
    return json.dumps({"result": answer}), answer
