"""Stage 5: pictures into the decoder. The base decoder and both encoders stay frozen; the vision adapter, the picture
projector and the vision projector of speech learn typed and spoken questions about pictures.

The picture stands before the question, so it is run once for all the questions about it.
"""

from __future__ import annotations

import random
from typing import Any, Final

import torch
from torch import Tensor

from models.nano import corpus, ctc, network, pictures, rows, shape, texts, vision
from models.nano import words as w

PICTURES: Final = 3  # a step
ROWS: Final = 8  # a picture
WARM: Final = 0.04
"""The first part of the stage: the projector alone learns to name what the cells show, in word embeddings."""


def absent(rng: random.Random, picture: pictures.Rendered) -> tuple[str, str]:
    """A question about a shape that isn't there."""
    seen = {answer for _, answer in picture.facts} | {q.rsplit(" ", 1)[1] for q, _ in picture.facts}
    missing = rng.choice([s for s in w.SHAPES if s not in seen])
    return rng.choice((f"what colour is the {missing}", f"where is the {missing}")), f"there is no {missing}"


def asked(rng: random.Random, picture: pictures.Rendered) -> tuple[str, str]:
    """A question about a picture and its answer."""
    return absent(rng, picture) if rng.random() < 0.07 else rng.choice(picture.facts)


class Voices:
    """Spoken questions by their words."""

    def __init__(self, clips: list[corpus.Utterance]) -> None:
        self._clips: dict[str, list[corpus.Utterance]] = {}
        for clip in clips:
            if clip.kind == "question":
                self._clips.setdefault(clip.text, []).append(clip)

    def find(self, rng: random.Random, question: str) -> corpus.Utterance | None:
        """One of the recordings of a question, if there is one."""
        return rng.choice(self._clips[question]) if question in self._clips else None


def run_pictures(
    model: Any, context: network.Prefix | None, cells: Tensor, lora: network.Lora | None
) -> network.Prefix:
    """The cache of a context and the beginning of a user turn with a picture, one for each picture."""
    features = network.project_picture(model, cells)
    start = shape.token_id("<|user|>")
    embeds = network.embed_rows(model, [[start, f] for f in features])
    return network.decode(model, embeds, lora, context)[1]


def row(
    writer: rows.Writer, rng: random.Random, turns: list[tuple[list[int | rows.Gap | str], str]]
) -> rows.Row:
    """A row that goes on after the picture: its first turn has no beginning of its own."""
    made = rows.Row()
    for question, answer in turns:
        writer.turn(made, question, answer)
    return rows.Row(made.items[1:], {a - 1 for a in made.answers})


def warm_loss(model: Any, cells: Tensor, labels: Tensor, writer: rows.Writer) -> Tensor:
    """Distance of the projected cells from the sum of the embeddings of their kind, colour and letter."""
    table = model.model.embed_tokens.weight
    names = (
        [" picture", *(f" {k}" for k in pictures.KINDS)],
        [" there", *(f" {c}" for c in w.COLOURS)],
        [" word", *(c for c in pictures.LETTERS)],
    )
    wanted = sum(
        table[torch.tensor([writer.encode(n)[0] for n in group])][labels[..., number]]
        for number, group in enumerate(names)
    )
    grid = network.project_picture(model, cells)[:, :272].view(len(cells), 16, 17, -1)[:, :, :16]
    weight = torch.where(labels[..., :3].sum(-1) > 0, 1.0, 0.1)
    out: Tensor = ((grid - wanted).pow(2).sum(-1) * weight).sum() / weight.sum()
    return out


def loss(
    model: Any, lora: network.Lora, writer: rows.Writer, voices: Voices, rng: random.Random, progress: float
) -> dict[str, Tensor]:
    """The losses of one step on new pictures."""
    made_pictures = [pictures.render(rng) for _ in range(PICTURES * (3 if progress < WARM else 1))]
    pixels, labels = vision.tensor(made_pictures)
    with torch.no_grad():
        cells = network.see_cells(model, pixels)
    if progress < WARM:
        return {"warm": warm_loss(model, cells, labels, writer)}
    context: rows.Context = rng.choices(("tools", "plain", "none"), (30, 30, 40))[0]
    cache = run_pictures(model, rows.run_context(model, writer, context, lora), cells, lora)
    clips: list[corpus.Utterance] = []
    made: list[rows.Row] = []
    for picture in made_pictures:
        for _ in range(ROWS):
            question, answer = asked(rng, picture)
            clip = voices.find(rng, question) if rng.random() < 0.5 else None
            if clip:
                clips.append(clip)
            first: list[int | rows.Gap | str] = [
                rows.Gap(len(clips) - 1) if clip else texts.written(rng, question)
            ]
            turns = [(first, answer)]
            extra = rng.random()
            if extra < 0.1:
                question, answer = asked(rng, picture)
                turns.append(([texts.written(rng, question)], answer))
            elif extra < 0.14:
                turns.append(([texts.written(rng, texts.outside(rng, "train"))], texts.ABOUT))
            elif extra < 0.2 and context == "tools":
                command = texts.command(rng, "train")
                turns.append(([texts.typed(rng, command)], command.call))
            made.append(row(writer, rng, turns))
    features = hear(model, clips)
    return {context: rows.score(model, made, cache.repeat(ROWS), features, lora).loss}


def hear(model: Any, clips: list[corpus.Utterance]) -> list[Tensor]:
    """Features of clips through the vision projector of speech; the encoder is not trained here."""
    if not clips:
        return []
    frames, lengths = ctc.pad(clips)
    with torch.no_grad():
        encoded, _ = network.hear(model, frames, lengths)
    projected = network.project_speech(model, encoded, vision=True)
    return [p[:n] for p, n in zip(projected, (-(-lengths // 8)).tolist(), strict=True)]


@torch.no_grad()
def scores(
    model: Any,
    lora: network.Lora | None,
    writer: rows.Writer,
    voices: Voices,
    seed: int = 17,
    count: int = 24,
) -> dict[str, float]:
    """Exact answers to typed and spoken questions, with the picture and with a wrong one of the same kind."""
    rng = random.Random(seed)
    context = rows.run_context(model, writer, "plain", lora)
    sums: dict[str, list[int]] = {}
    for number in range(count):
        kind = ("scene", "scene", "text", "bars")[number % 4]
        right, wrong = pictures.render(rng, kind), pictures.render(rng, kind)  # type: ignore[arg-type] # a kind
        cells = network.see_cells(model, vision.tensor([right, wrong])[0])
        cache = run_pictures(model, context, cells, lora)
        typed = [row(writer, rng, [([q], a)]) for q, a in right.facts]
        heard = [(q, a, voices.find(rng, q)) for q, a in right.facts]
        clips = [c for _, _, c in heard if c]
        spoken = [
            row(writer, rng, [([rows.Gap(i)], a)]) for i, (_, a, c) in enumerate(h for h in heard if h[2])
        ]
        features = hear(model, clips)
        for name, prefix in (("", cache.row(0)), ("blind_", cache.row(1))):
            for way, made in (("typed", typed), ("spoken", spoken)):
                if not made:
                    continue
                exact = rows.score(model, made, prefix, features, lora).exact
                for key in (f"{name}{way}_{kind}", f"{name}{way}"):
                    pair = sums.setdefault(key, [0, 0])
                    pair[0] += sum(exact)
                    pair[1] += len(exact)
    return {name: round(a / b, 3) for name, (a, b) in sums.items()}
