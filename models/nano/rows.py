"""Training rows: token ids with gaps for features, and which positions have a right answer.

A row is what follows a context (system message with tools, without, or nothing); the rows of a batch share
theirs.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import torch
import torch.nn.functional as F  # noqa: N812 # torch's own name for it
from torch import Tensor

from models import prompts
from models.frontend import FrontEnd
from models.nano import network, shape, texts

Context = Literal["tools", "plain", "none"]


@dataclass(frozen=True)
class Gap:
    """Stands for the features of clip or picture number `index` of the batch."""

    index: int


@dataclass
class Row:
    """Items of one row; `answers` are the items that the model has to produce."""

    items: list[int | Gap] = field(default_factory=list)
    answers: set[int] = field(default_factory=set)


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

    def turn(self, row: Row, asked: list[int | Gap | str], reply: str) -> None:
        """Adds a user turn (ids, gaps and texts) and the reply; one that is a call is marked as such."""
        self._say(row, "<|user|>", asked, reply)

    def result(self, row: Row, result: str, reply: str) -> None:
        """Adds a tool's result and the model's reply to it."""
        self._say(row, "<|tool_response|>", [result], reply)

    def _say(self, row: Row, who: str, asked: list[int | Gap | str], reply: str) -> None:
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


def stretched(writer: Writer, rng: random.Random, text: str) -> list[int | Gap | str]:
    """A text as an encoder would say it: words that last, with blanks between them."""
    out: list[int | Gap | str] = []
    for i in writer.encode(f" {text}"):
        out += [shape.token_id(BLANK)] * rng.choice((0, 1, 1, 2, 3))
        out += [i] * rng.choice((1, 1, 1, 2))
    return [*out, *[shape.token_id(BLANK)] * rng.randint(0, 3)]


def typed_turn(writer: Writer, row: Row, rng: random.Random, split: texts.Split, context: Context) -> None:
    """One typed turn of any kind that makes sense in `context`."""
    kind = rng.random()
    if context == "tools" and kind < 0.7:
        asked = texts.command(rng, split)
        writer.turn(row, [texts.typed(rng, asked)], asked.call)
        if rng.random() < 0.15:
            result, answer = texts.tool_result(rng)
            writer.result(row, result, answer)
    elif kind < 0.85 if context == "tools" else kind < 0.65:
        text = texts.row(rng, split) if rng.random() < 0.75 else texts.general(rng, split)
        instruction = rng.choice(("repeat", "repeat this", "say"))
        if rng.random() < 0.5:
            writer.turn(row, [f"{instruction}:", *stretched(writer, rng, text)], text)
        else:
            writer.turn(row, [f"{instruction}: {text}"], text)
    elif kind < 0.92:
        said, answer = rng.choice(texts.TALK)
        writer.turn(row, [texts.written(rng, rng.choice(said))], answer)
    else:
        writer.turn(row, [texts.written(rng, texts.outside(rng, split))], texts.ABOUT)


def short_row(writer: Writer, rng: random.Random, split: texts.Split) -> Row:
    """One turn without a context, for the first half of the decoder's training: long copying and commands."""
    row = Row()
    kind = rng.random()
    if kind < 0.3:
        asked = texts.command(rng, split)
        writer.turn(row, [texts.typed(rng, asked)], asked.call)
        return row
    text = " ".join(texts.row(rng, split) for _ in range(rng.randint(1, 5)))
    writer.turn(row, ["repeat:", *(stretched(writer, rng, text) if kind > 0.8 else [f" {text}"])], text)
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
) -> Score:
    """Runs rows behind a prefix. `features` fill the gaps by number."""
    filled = [[features[i.index] if isinstance(i, Gap) else i for i in row.items] for row in rows]
    embeds = network.embed_rows(model, filled)
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
