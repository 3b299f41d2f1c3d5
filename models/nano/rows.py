"""Training rows: token ids with gaps for features, and which positions have a right answer.

A row is what follows a context (system message with tools, without, or nothing); the rows of a batch share
theirs.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import torch
import torch.nn.functional as F  # noqa: N812 # torch's own name for it
from torch import Tensor

from models import prompts
from models.frontend import FrontEnd
from models.nano import drawing, network, phrases, pictures, shape, texts

Context = Literal["tools", "plain", "none"]


@dataclass(frozen=True)
class Gap:
    """Stands for the features of clip or picture number `index` of the batch."""

    index: int


Blend = tuple[int, ...]
"""Stands for the sum of the embeddings of these tokens."""
Item = int | Blend | Gap


SLIPS: Final = 0.05
"""The share of the words of half of the transcripts that are slips."""


@dataclass
class Row:
    """Items of one row; `answers` are the items that the model has to produce.

    `slips` are shown in place of some answers: a word that comes elsewhere in the transcript, after which the
    model has to go on where it was. Else one misheard word leads to where it was right, and round and round.
    """

    items: list[Item] = field(default_factory=list)
    answers: set[int] = field(default_factory=set)
    slips: dict[int, int] = field(default_factory=dict)

    def slip(self, rng: random.Random) -> None:
        """Put slips into the last turn, half of the times."""
        end = len(self.items) - 1  # which stays
        start = next((i for i in range(end, 0, -1) if i not in self.answers), end) + 1
        if rng.random() < 0.5:
            for index in range(start, end):
                other = self.items[rng.randrange(start, end)]
                if rng.random() < SLIPS and isinstance(other, int):
                    self.slips[index] = other


class Writer:
    """Writes rows with one tokenizer."""

    def __init__(self, front: FrontEnd) -> None:
        self.encode = functools.lru_cache(200_000)(lambda text: tuple(front.encode(text)))

    def context(self, kind: Context) -> list[int]:
        """The ids of a context."""
        if kind == "none":
            return []
        ids = [shape.token_id("<|system|>"), *self.encode(prompts.SYSTEM_PROMPT)]
        if kind == "tools":
            ids += [shape.token_id("<|tool|>"), *self.encode(prompts.tool_list(prompts.TOOLS))]
            ids.append(shape.token_id("<|/tool|>"))
        return [*ids, shape.token_id("<|end|>")]

    def turn(self, row: Row, asked: Sequence[Item | str], reply: str) -> None:
        """Adds a user turn (ids, gaps and texts) and the reply; one that is a call is marked as such."""
        self._say(row, "<|user|>", asked, reply)

    def result(self, row: Row, result: str, reply: str) -> None:
        """Adds a tool's result and the model's reply to it."""
        self._say(row, "<|tool_response|>", [result], reply)

    def _say(self, row: Row, who: str, asked: Sequence[Item | str], reply: str) -> None:
        row.items.append(shape.token_id(who))
        for part in asked:
            row.items.extend(self.encode(part) if isinstance(part, str) else [part])
        row.items += [shape.token_id("<|end|>"), shape.token_id("<|assistant|>")]
        start = len(row.items)
        ids = list(self.encode(reply))
        if reply.startswith("[{"):
            ids = [shape.token_id("<|tool_call|>"), *ids, shape.token_id("<|/tool_call|>")]
        row.items += [*ids, shape.token_id("<|end|>")]
        row.answers |= set(range(start, len(row.items)))


BLANK: Final = "<|tag|>"


def stretched(writer: Writer, rng: random.Random, text: str) -> list[Item]:
    """A text as an encoder would say it: words that last, blanks between them and around, pauses."""
    blank = shape.token_id(BLANK)
    out: list[Item] = [blank] * rng.randint(0, 10)
    gaps = rng.choice(((0, 1, 1, 2, 3), (1, 2, 3, 4, 5), (0, 0, 1), (2, 3, 3, 4, 9)))
    for i in writer.encode(f" {text}"):
        out += [blank] * (rng.choice(gaps) if rng.random() < 0.97 else rng.randint(6, 20))
        out += [i] * rng.choice((1, 1, 1, 2))
    return [*out, *[blank] * rng.randint(0, 8)]


FEW: Final = 0.4
"""The share of long texts that are made of a few words."""


def long_text(rng: random.Random, split: texts.Split, most: int = 10) -> str:
    """What is said in a recording, or now and then rows of a few words that come again and again."""
    if rng.random() < FEW:
        return texts.few_words(rng, split, 9 * most)
    return " ".join(texts.recording(rng, split, rng.randint(1, most)))


def cells(writer: Writer, rng: random.Random, picture: drawing.Rendered, whole: bool) -> list[Item]:
    """A picture as a good encoder would say it: each cell is the sum of the words for what it shows.

    Now and then one of the words is missing. `whole`: all cells as they stand in a prompt (the crop's rows
    with their separators, as far as they show the picture, then all of the overview); otherwise a part of the
    cells in their order.
    """
    shown = (picture.labels[..., 0] > 0).mean()

    def said(values: list[int], without: int | None = None) -> Item:
        names = [
            group[value]
            for number, (group, value) in enumerate(zip(drawing.CELL_WORDS, values, strict=True))
            if number != without
        ]
        words = [word for name in names if name and rng.random() < 0.93 for word in name.split()]
        return tuple(writer.encode(f" {word}")[0] for word in words) if values[0] else ()

    if not whole:
        share = (0.15 * shown, 0.5, 0.9)
        return [
            said(values)
            for line in picture.labels.tolist()
            for values in line
            if rng.random() < share[(values[0] > 0) + (values[0] >= drawing.WRITTEN)]
        ]
    down, across = picture.cells
    crop = [
        item
        for line in picture.labels[:down, :across].tolist()
        for item in [*(said(values) for values in line), ()]
    ]
    if not picture.padded:
        return [*crop, (), *crop]
    overview = [
        item
        for line in picture.labels.tolist()
        for item in [*(said(values, drawing.PLACE) for values in line), ()]
    ]
    return [*crop, (), *overview]


def some_picture(rng: random.Random, split: texts.Split, square: float = 0.7) -> drawing.Rendered:
    """A picture of any kind; scenes and bars have another size with a probability of 1 - `square`."""
    kind = rng.choices(drawing.ALL_KINDS, (42, 16, 21, 21))[0]
    picture = pictures.render(rng, kind, split=split)
    resized = kind in {"scene", "bars"} and rng.random() >= square
    return pictures.resized(rng, picture) if resized else picture


def picture_turns(
    writer: Writer, row: Row, rng: random.Random, whole: bool, split: texts.Split = "train"
) -> None:
    """Two or three questions about a picture of words, now and then with another picture for the last."""
    picture = some_picture(rng, split)
    before: list[Item | str] = ["look:", *cells(writer, rng, picture, whole)]
    count = rng.randint(2, 3)
    for number in range(count):
        if number and number == count - 1 and rng.random() < 0.2:
            picture = some_picture(rng, split)
            before = ["look:", *cells(writer, rng, picture, whole)]
        question, answer = pictures.ask(rng, picture)
        asked = stretched(writer, rng, question) if rng.random() < 0.4 else [texts.written(rng, question)]
        writer.turn(row, [*before, *asked], answer)
        before = []


def command_turn(writer: Writer, row: Row, rng: random.Random, split: texts.Split) -> None:
    """A command, typed or as an encoder of speech would say it."""
    asked = texts.command(rng, split)
    if rng.random() < 0.35:
        writer.turn(row, ["hear:", *stretched(writer, rng, asked.text)], asked.call)
    else:
        writer.turn(row, [texts.typed(rng, asked)], asked.call)


def outside_turn(writer: Writer, row: Row, rng: random.Random, split: texts.Split) -> None:
    """Something that no tool does, half of it close to a command, typed or as an encoder would say it."""
    said = (texts.near_miss if rng.random() < 0.5 else texts.outside)(rng, split)
    heard = rng.random() < 0.35
    asked = ["hear:", *stretched(writer, rng, said)] if heard else [texts.written(rng, said)]
    writer.turn(row, asked, texts.ABOUT)


def transcript_turn(writer: Writer, row: Row, rng: random.Random, split: texts.Split) -> None:
    """A recording as an encoder would say it, to be written down."""
    if rng.random() < 0.04:
        blanks: list[Item | str] = [shape.token_id(BLANK)] * rng.randint(3, 50)
        instruction = [prompts.TRANSCRIBE] if rng.random() < 0.5 else []
        writer.turn(row, ["hear:", *blanks, *instruction], texts.NOTHING)
        return
    text = long_text(rng, split)
    writer.turn(row, ["hear:", *stretched(writer, rng, text), prompts.TRANSCRIBE], text)
    row.slip(rng)


def translation_turn(writer: Writer, row: Row, rng: random.Random, split: texts.Split) -> None:
    """A phrase of the phrase book, or now and then another sentence, to be translated."""
    if rng.random() < 0.85:
        phrase = phrases.phrase(rng, split)
        said = phrase.english
        language = rng.choices(phrases.LANGUAGES, (4, 3, 3))[0]  # cases and genders are harder
        translated = phrase.translation(language)
    else:
        said = texts.general(rng, split)
        language = rng.choice([name for name in prompts.LANGUAGES if name != "English"])
        translated = texts.NO_TRANSLATION
    heard = ["hear:", *stretched(writer, rng, said)]
    if rng.random() < 0.7:
        asked = prompts.transcribe_and_translate(language)
        writer.turn(row, [*heard, asked], f"{said}{prompts.SEPARATOR}{translated}")
    else:
        writer.turn(row, [*heard, prompts.translate(language)], translated)


def deaf_turn(writer: Writer, row: Row, rng: random.Random, split: texts.Split) -> None:
    """What an encoder says without the word that turns the skill on: hearing and seeing are the adapters'."""
    if rng.random() < 0.35:
        asked: list[Item | str] = [*stretched(writer, rng, long_text(rng, split, 3))]
        if rng.random() < 0.7:
            asked.append(prompts.TRANSCRIBE)
    else:
        picture = some_picture(rng, split)
        shown = cells(writer, rng, picture, whole=rng.random() < 0.3)
        asked = [*shown, texts.written(rng, pictures.ask(rng, picture)[0])]
    writer.turn(row, asked, texts.ABOUT)


_TURNS: Final = ("command", "outside", "transcript", "picture", "translation", "repeat", "talk", "deaf")
_SHARES: Final[dict[Context, tuple[int, ...]]] = {
    "tools": (42, 20, 9, 10, 8, 6, 5, 2),
    "plain": (0, 8, 30, 28, 34, 4, 3, 3),
    "none": (0, 0, 43, 35, 20, 4, 0, 3),
}
"""How often each kind of turn comes in each context, of a hundred or so."""


def typed_turn(writer: Writer, row: Row, rng: random.Random, split: texts.Split, context: Context) -> None:
    """One turn of any kind that makes sense in `context`."""
    kind = rng.choices(_TURNS, _SHARES[context])[0]
    if kind == "command":
        command_turn(writer, row, rng, split)
        if rng.random() < 0.15:
            result, answer = texts.tool_result(rng)
            writer.result(row, result, answer)
    elif kind == "outside":
        outside_turn(writer, row, rng, split)
    elif kind == "transcript":
        transcript_turn(writer, row, rng, split)
    elif kind == "picture":
        picture_turns(writer, row, rng, whole=rng.random() < 0.1, split=split)
    elif kind == "translation":
        translation_turn(writer, row, rng, split)
    elif kind == "deaf":
        deaf_turn(writer, row, rng, split)
    elif kind == "repeat":
        text = long_text(rng, split, 4)
        writer.turn(row, [f"{rng.choice(('repeat', 'repeat this', 'say'))}: {text}"], text)
    else:
        said, answer = rng.choice(texts.TALK)
        writer.turn(row, [texts.written(rng, rng.choice(said))], answer)


COPYING_UNTIL: Final = 0.15
"""The part of the decoder's training that is copying only."""


def short_row(writer: Writer, rng: random.Random, progress: float) -> Row:
    """Turns without a context, for the first part of the training: long copying, then all else too."""
    row = Row()
    if progress < COPYING_UNTIL or rng.random() < 0.3:  # nothing else is learned before that comes
        text = " ".join(texts.row(rng, "train") for _ in range(rng.randint(1, 6)))
        copied = stretched(writer, rng, text) if rng.random() < 0.4 else [f" {text}"]
        writer.turn(row, ["repeat:", *copied], text)
    else:
        typed_turn(writer, row, rng, "train", "none")
    return row


def typed_row(writer: Writer, rng: random.Random, split: texts.Split, context: Context) -> Row:
    """A typed conversation of one to three turns."""
    row = Row()
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        typed_turn(writer, row, rng, split, context)
    return row


def bucket(rows: list[Row], rng: random.Random, room: int = 2500) -> list[list[Row]]:
    """Batches of rows of similar length, at most `room` items with the padding, in random order."""
    out: list[list[Row]] = [[]]
    for row in sorted(rows, key=lambda r: len(r.items) + rng.uniform(-8, 8)):
        if out[-1] and max(len(r.items) for r in (*out[-1], row)) * (len(out[-1]) + 1) > room:
            out.append([])
        out[-1].append(row)
    rng.shuffle(out)
    return out


@dataclass(frozen=True)
class Score:
    """The mean loss over the answers, and for each row whether greedy decoding gives just its answers."""

    loss: Tensor
    exact: list[bool]


def score(
    model: Any,
    rows: list[Row],
    prefix: network.Prefix | None,
    features: list[Tensor],
    lora: network.Lora | None,
    *,
    noise: float = 0.0,
) -> Score:
    """Runs rows behind a prefix. `features` fill the gaps by number; `noise` is the deviation of noise."""
    filled = [
        [features[i.index] if isinstance(i, Gap) else row.slips.get(n, i) for n, i in enumerate(row.items)]
        for row in rows
    ]
    embeds = network.embed_rows(model, filled)
    if noise:
        embeds = embeds + noise * torch.randn_like(embeds)
    hidden, _ = network.decode(model, embeds, lora, prefix)
    places: list[tuple[int, int]] = []
    wanted: list[int] = []
    owner: list[int] = []
    for number, row in enumerate(rows):
        position = 0
        for index, item in enumerate(row.items):
            if index in row.answers:
                assert isinstance(item, int)
                places.append((number, position - 1))
                wanted.append(item)
                owner.append(number)
            position += features[item.index].shape[0] if isinstance(item, Gap) else 1
    at = torch.tensor(places)
    logits = hidden[at[:, 0], at[:, 1]] @ model.model.embed_tokens.weight.T
    target = torch.tensor(wanted)
    right = logits.argmax(-1) == target
    exact = [True] * len(rows)
    for number, fine in zip(owner, right.tolist(), strict=True):
        exact[number] = exact[number] and fine
    return Score(F.cross_entropy(logits, target), exact)


def run_context(
    model: Any, writer: Writer, context: Context, lora: network.Lora | None
) -> network.Prefix | None:
    """The cache of a context, with gradients."""
    ids = writer.context(context)
    if not ids:
        return None
    return network.decode(model, network.embed_rows(model, [ids]), lora)[1]
