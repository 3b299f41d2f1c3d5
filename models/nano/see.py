"""Stage 5: pictures into the decoder.

The base decoder and both encoders stay frozen; the vision adapter, the picture projector and the vision
projector of speech learn typed and spoken questions about pictures.

The picture stands before the question, so it is run once for all the questions about it.
"""

from __future__ import annotations

import random
from typing import Any, Final

import torch
from torch import Tensor

from models.nano import corpus, ctc, network, pictures, rows, shape, texts, vision

PICTURES: Final = 3  # a step
ROWS: Final = 12  # a picture
ANCHOR: Final = 0.3
SPOKEN, BARS = 0.65, 0.35
"""The shares of spoken questions, and of pictures with bars."""
FOLLOWED, SECOND = 0.25, 0.2
"""The shares of rows with a second question about their picture, and of steps about a second picture."""
PARTS_UNTIL: Final = 0.55
"""The part of the stage that shows only the cells with something on them, and once; then all, twice."""
WARM: Final = 0.06
"""The first part of the stage: the projector alone learns to name what the cells show, in word embeddings."""


def _parts(features: Tensor, labels: Tensor) -> Tensor:
    """Of the features [n, 545, width] of whole pictures, the cells that show something and some others."""
    shown = vision.covered(labels)
    count = min(shown.shape[1], int(shown.sum(1).max()) + vision.EMPTY)
    kept = (shown + torch.rand(shown.shape)).topk(count, 1).indices.sort(1).values
    at = kept + kept // pictures.CELLS  # a separator after each row
    return features[torch.arange(len(features))[:, None], at]


Before = list[list[int | tuple[int, ...] | Tensor]]
"""Items of an earlier turn, one list for each picture, all as long."""


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


def row(writer: rows.Writer, turns: list[tuple[list[rows.Item | str], str]]) -> rows.Row:
    """A row that goes on after the picture: its first turn has no beginning of its own."""
    made = rows.Row()
    for question, answer in turns:
        writer.turn(made, question, answer)
    return rows.Row(made.items[1:], {a - 1 for a in made.answers})


class Viewer:
    """The model with its vision adapter."""

    def __init__(self, model: Any, lora: network.Lora | None, writer: rows.Writer) -> None:
        self._model, self._lora, self._writer = model, lora, writer

    def _start(
        self, context: network.Prefix | None, features: Tensor, before: Before | None = None
    ) -> network.Prefix:
        """The cache of a context and the beginning of a user turn with a picture, one for each picture.

        `before` is a turn about another picture that comes first.
        """
        start = shape.token_id("<|user|>")
        items: list[list[int | tuple[int, ...] | Tensor]] = [[start, f] for f in features]
        if before:
            items = [[*one, *after] for one, after in zip(before, items, strict=True)]
        embeds = network.embed_rows(self._model, items)
        return network.decode(self._model, embeds, self._lora, context)[1]

    def _before(self, rng: random.Random, shown: list[pictures.Rendered], features: Tensor) -> Before | None:
        """A turn about each picture, all of the same length; None if no such questions are found."""
        start, end = shape.token_id("<|user|>"), shape.token_id("<|end|>")
        options: list[dict[tuple[int, int], list[int]]] = []
        for picture in shown:
            found: dict[tuple[int, int], list[int]] = {}
            for question, answer in picture.facts:
                asked, reply = self._writer.encode(f"{question}?"), self._writer.encode(answer)
                key = (len(asked), len(reply))
                found[key] = [*asked, end, shape.token_id("<|assistant|>"), *reply, end]
            options.append(found)
        common = sorted(set.intersection(*(set(found) for found in options)))
        if not common:
            return None
        key = rng.choice(common)
        return [[start, seen, *found[key]] for seen, found in zip(features, options, strict=True)]

    def _hear(self, clips: list[corpus.Utterance]) -> list[Tensor]:
        """Features of clips through the vision projector of speech; the encoder is not trained here."""
        if not clips:
            return []
        frames, lengths = ctc.pad(clips)
        with torch.no_grad():
            encoded, _ = network.hear(self._model, frames, lengths)
        projected = network.project_speech(self._model, encoded, vision=True)
        return [p[:n] for p, n in zip(projected, (-(-lengths // 8)).tolist(), strict=True)]

    def _anchor(self, features: Tensor, labels: Tensor) -> Tensor:
        """Distance of features of whole pictures from the sums of embeddings of words for what they show."""
        table = self._model.model.embed_tokens.weight
        wanted = torch.zeros(())
        for number, group in enumerate(pictures.CELL_WORDS):
            ids = [[self._writer.encode(f" {word}")[0] for word in name.split()] for name in group]
            vectors = [table[torch.tensor(i)].sum(0) if i else torch.zeros(table.shape[1]) for i in ids]
            wanted = wanted + torch.stack(vectors)[labels[..., number]]
        wanted = wanted * (labels[..., 0] > 0)[..., None]  # nothing is 0
        grid = features[:, :272].view(len(features), 16, 17, -1)[:, :, :16]
        weight = torch.where(labels[..., 0] > 0, 1.0, 0.1)
        out: Tensor = ((grid - wanted).pow(2).sum(-1) * weight).sum() / weight.sum()
        return out

    def _turns(
        self, rng: random.Random, picture: pictures.Rendered, gap: rows.Gap | None, first: tuple[str, str]
    ) -> rows.Row:
        """A row whose first question is spoken if there is a gap, now and then with a second, typed turn."""
        question, answer = first
        written = texts.written(rng, question)
        turns: list[tuple[list[rows.Item | str], str]] = [([gap or written], answer)]
        extra = rng.random()
        if extra < FOLLOWED:
            question, answer = pictures.ask(rng, picture)
            turns.append(([texts.written(rng, question)], answer))
        elif extra < FOLLOWED + 0.04:
            turns.append(([texts.written(rng, texts.outside(rng, "train"))], texts.ABOUT))
        elif extra < FOLLOWED + 0.08:
            command = texts.command(rng, "train")
            turns.append(([texts.typed(rng, command)], command.call))
        return row(self._writer, turns)

    def loss(self, voices: Voices, rng: random.Random, progress: float) -> dict[str, Tensor]:
        """The losses of one step on new pictures."""
        count = PICTURES * (1 if progress > PARTS_UNTIL else 2)
        most = 2 if progress < 0.15 else 5
        kind: pictures.Kind = "bars" if progress > 0.15 and rng.random() < BARS else "scene"
        made_pictures = [pictures.render(rng, kind, most) for _ in range(count)]
        pixels, labels = vision.tensor(made_pictures)
        with torch.no_grad():
            cells = network.see_cells(self._model, pixels)
        features = network.project_picture(self._model, cells)
        anchor = ANCHOR * self._anchor(features, labels)
        if progress < WARM:
            return {"anchor": anchor}
        if progress < PARTS_UNTIL:
            features = _parts(features, labels)
        context: rows.Context = rng.choices(("tools", "plain", "none"), (10, 50, 40))[0]
        begun = rows.run_context(self._model, self._writer, context, self._lora)
        before = None
        if progress > PARTS_UNTIL and rng.random() < SECOND:
            others = [pictures.render(rng, kind, most) for _ in range(count)]
            with torch.no_grad():
                cells = network.see_cells(self._model, vision.tensor(others)[0])
            before = self._before(rng, others, network.project_picture(self._model, cells))
        cache = self._start(begun, features, before)
        clips: list[corpus.Utterance] = []
        made: list[rows.Row] = []
        for picture in made_pictures:
            for _ in range(ROWS):
                first = pictures.ask(rng, picture)
                clip = voices.find(rng, first[0]) if rng.random() < SPOKEN else None
                if clip:
                    clips.append(clip)
                made.append(self._turns(rng, picture, rows.Gap(len(clips) - 1) if clip else None, first))
        found = rows.score(self._model, made, cache.repeat(ROWS), self._hear(clips), self._lora)
        return {context: found.loss, "anchor": anchor}

    @torch.no_grad()
    def scores(self, voices: Voices, seed: int = 17, count: int = 24) -> dict[str, Any]:
        """Exact answers to typed and spoken questions, with the picture and with a wrong one of its kind."""
        rng = random.Random(seed)
        context = rows.run_context(self._model, self._writer, "plain", self._lora)
        sums: dict[str, list[int]] = {}
        kinds: tuple[pictures.Kind, ...] = ("scene", "scene", "scene", "bars")
        for number in range(count):
            kind = kinds[number % 4]
            right, wrong = pictures.render(rng, kind), pictures.render(rng, kind)
            cells = network.see_cells(self._model, vision.tensor([right, wrong])[0])
            cache = self._start(context, network.project_picture(self._model, cells))
            typed = [row(self._writer, [([f"{q[0].upper()}{q[1:]}?"], a)]) for q, a in right.facts]
            heard = [(a, c) for q, a in right.facts if (c := voices.find(rng, q))]
            spoken = [row(self._writer, [([rows.Gap(i)], a)]) for i, (a, _) in enumerate(heard)]
            features = self._hear([c for _, c in heard])
            for name, prefix in (("", cache.row(0)), ("blind_", cache.row(1))):
                for way, made in (("typed", typed), ("spoken", spoken)):
                    exact = rows.score(self._model, made, prefix, features, self._lora).exact
                    for key in (f"{name}{way}_{kind}", f"{name}{way}"):
                        pair = sums.setdefault(key, [0, 0])
                        pair[0] += sum(exact)
                        pair[1] += len(exact)
        return {name: round(a / b, 3) for name, (a, b) in sums.items()}
