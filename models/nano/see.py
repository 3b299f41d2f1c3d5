"""Stage 5: pictures into the decoder.

The base decoder and both encoders stay frozen; the vision adapter, the picture projector and the vision
projector of speech learn typed and spoken questions about pictures. What the encoders make of a picture or a
clip is computed once and used several times.

The picture stands before the question, so it is run once for all the questions about it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from models.frontend import FrontEnd
from models.nano import corpus, ctc, drawing, lettering, network, pictures, rows, shape, speech, texts, vision

PICTURES: Final = 4  # a step
ROWS: Final = 8  # a picture
ANCHOR: Final = 0.3
SPOKEN: Final = 0.55
"""The share of spoken questions."""
KINDS: Final = (36, 14, 22, 28)
"""The shares of scenes, bars, texts and windows."""
OTHER: Final = 0.5
"""The share of scenes and bars of other sizes."""
FOLLOWED, SECOND = 0.3, 0.2
"""The shares of rows with a second question about their picture, and of steps about a second picture."""
PARTS_UNTIL: Final = 0.45
"""The part of the stage that shows only the cells with something on them, and once; then all, twice."""
WARM: Final = 0.04
"""The first part of the stage: the projector alone learns to name what is seen, in embeddings."""
VOICES: Final = 50
"""Recordings of each question."""
FIRST, NEW = 320, 0.5
"""Pictures to begin with, and the part of the steps that make as many new ones as they show."""
MOST: Final = 3000
"""Pictures of one form that are kept."""
PAGES, NEW_PAGE, KEPT_PAGES = 30, 0.12, 300
"""Pages of numbers to begin with, the part of the steps that make a new one, and how many are kept."""


@dataclass(frozen=True)
class Shown:
    """A picture as the encoder sees it, to ask about.

    `crop` [down, across, width] are the cells that show it, `overview` [16, 16, width] all of them; `labels`
    are those of the crop.
    """

    facts: tuple[tuple[str, str], ...]
    kind: drawing.Kind
    crop: Tensor = field(repr=False)
    overview: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)


@torch.no_grad()
def shown(model: Any, rendered: list[drawing.Rendered]) -> list[Shown]:
    """Pictures as the encoder sees them."""
    crops, overviews = vision.features(model, rendered)
    out = []
    for picture, crop, overview in zip(rendered, crops.float(), overviews.float(), strict=True):
        down, across = picture.cells
        labels = torch.from_numpy(picture.labels[:down, :across])
        out.append(Shown(picture.facts, picture.kind, crop[:down, :across], overview, labels))
    return out


class Gallery:
    """Pictures of all kinds and sizes by their form; those of a step have the same one."""

    def __init__(self, model: Any, rng: random.Random, split: texts.Split = "train") -> None:
        self._model, self._rng, self._split = model, rng, split
        self._found: dict[tuple[int, ...], list[Shown]] = {}
        self._pages: list[Shown] = []

    def add_page(self) -> None:
        """A new page full of numbers, of which nothing is asked."""
        made = lettering.page(self._rng, self._split, numbers=1.0)
        made.labels[..., drawing.LABELS.index("rank")] = 0
        self._pages += shown(self._model, [made])
        del self._pages[:-KEPT_PAGES]

    def pages(self, count: int) -> list[Shown]:
        """Some pages full of numbers."""
        return self._rng.sample(self._pages, count)

    def add(self, count: int) -> None:
        """New pictures."""
        rng = self._rng
        square: list[drawing.Rendered] = []
        others: list[drawing.Rendered] = []
        for _ in range(count):
            kind = rng.choices(drawing.ALL_KINDS, KINDS)[0]
            made = pictures.render(rng, kind, split=self._split)
            if kind in {"scene", "bars"} and rng.random() < OTHER:
                others.append(pictures.resized(rng, made))
            else:
                square.append(made)
        for group in (square, others):
            for start in range(0, len(group), 8):
                for one in shown(self._model, group[start : start + 8]):
                    same = self._found.setdefault(tuple(one.crop.shape), [])
                    same.append(one)
                    del same[:-MOST]

    def choose(self, count: int) -> list[Shown]:
        """Some pictures of one form."""
        forms = {form: found for form, found in self._found.items() if len(found) >= count}
        form = self._rng.choices(list(forms), [len(found) for found in forms.values()])[0]
        return self._rng.sample(forms[form], count)


@dataclass(frozen=True)
class Clip:
    """A spoken question as the encoder hears it: [frames, width]."""

    text: str
    encoded: Tensor = field(repr=False)


def questions(
    front: FrontEnd, espeak: speech.Espeak, rng: random.Random, times: int
) -> list[corpus.Utterance]:
    """Every question about pictures so many times, in voices for training."""
    made = []
    for text in pictures.QUESTIONS:
        for _ in range(times):
            wave = speech.utter(espeak, text, rng, "train")
            frames = front.clip(wave, espeak.rate).audio_embeds[0].astype(np.float16)
            made.append(corpus.Utterance(frames, text, "question", ""))
    return made


class Voices:
    """Spoken questions by their words, as the encoder hears them."""

    @torch.no_grad()
    def __init__(self, model: Any, clips: list[corpus.Utterance]) -> None:
        self._clips: dict[str, list[Clip]] = {}
        asked = sorted((c for c in clips if c.kind == "question"), key=lambda c: len(c.frames))
        for start in range(0, len(asked), 16):
            batch = asked[start : start + 16]
            frames, lengths = ctc.pad(batch)
            encoded, _ = network.hear(model, frames, lengths)
            for clip, one, count in zip(batch, encoded, (-(-lengths // 8)).tolist(), strict=True):
                self._clips.setdefault(clip.text, []).append(Clip(clip.text, one[:count].float()))

    def find(self, rng: random.Random, question: str) -> Clip | None:
        """One of the recordings of a question, if there is one."""
        return rng.choice(self._clips[question]) if question in self._clips else None


def _parts(features: Tensor, labels: Tensor) -> Tensor:
    """Of the features [n, length, width] of whole pictures, the cells that show something and some others."""
    across = labels.shape[2]
    covered = vision.covered(labels)
    count = min(covered.shape[1], int(covered.sum(1).max()) + vision.EMPTY)
    kept = (covered + torch.rand(covered.shape)).topk(count, 1).indices.sort(1).values
    at = kept + kept // across  # a separator after each row
    return features[torch.arange(len(features))[:, None], at]


Before = list[list[int | tuple[int, ...] | Tensor]]
"""Items of earlier turns, one list for each picture, all as long."""


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

        `before` are turns about another picture that come first.
        """
        start = shape.token_id("<|user|>")
        items: list[list[int | tuple[int, ...] | Tensor]] = [[start, f] for f in features]
        if before:
            items = [[*one, *after] for one, after in zip(before, items, strict=True)]
        embeds = network.embed_rows(self._model, items)
        return network.decode(self._model, embeds, self._lora, context)[1]

    def _before(self, rng: random.Random, seen: list[Shown], features: Tensor) -> Before | None:
        """One or two turns about each picture, all of the same length; None if they have none."""
        begin, end = shape.token_id("<|user|>"), shape.token_id("<|end|>")
        options: list[dict[tuple[int, int], list[int]]] = []
        for picture in seen:
            found: dict[tuple[int, int], list[int]] = {}
            for question, answer in rng.sample(picture.facts, len(picture.facts)):
                asked, reply = self._writer.encode(f"{question}?"), self._writer.encode(answer)
                key = (len(asked), len(reply))
                found[key] = [*asked, end, shape.token_id("<|assistant|>"), *reply, end]
            options.append(found)
        common = sorted(set.intersection(*(set(found) for found in options)))
        if not common:
            return None
        first, *more = rng.sample(common, min(len(common), rng.choice((1, 2))))
        return [
            [begin, one, *found[first], *(i for key in more for i in (begin, *found[key]))]
            for one, found in zip(features, options, strict=True)
        ]

    def _hear(self, clips: list[Clip]) -> list[Tensor]:
        """Features of clips through the vision projector of speech."""
        if not clips:
            return []
        projected = network.project_speech(
            self._model, torch.cat([clip.encoded for clip in clips]), vision=True
        )
        return list(torch.split(projected, [len(clip.encoded) for clip in clips]))

    def _anchor(self, features: Tensor, labels: Tensor) -> Tensor:
        """Distance of features of whole pictures from the sums of embeddings of words for what they show."""
        table = self._model.model.embed_tokens.weight
        down, across = labels.shape[1:3]
        wanted = torch.zeros(())
        for number, group in enumerate(drawing.CELL_WORDS):
            ids = [[self._writer.encode(f" {word}")[0] for word in name.split()] for name in group]
            vectors = [table[torch.tensor(i)].sum(0) if i else torch.zeros(table.shape[1]) for i in ids]
            wanted = wanted + torch.stack(vectors)[labels[..., number]]
        wanted = wanted * (labels[..., 0] > 0)[..., None]  # nothing is 0
        grid = features[:, : down * (across + 1)].view(len(features), down, across + 1, -1)[:, :, :across]
        weight = torch.where(labels[..., 0] > 0, 1.0, 0.1)
        out: Tensor = ((grid - wanted).pow(2).sum(-1) * weight).sum() / weight.sum()
        return out

    def _project(self, seen: list[Shown]) -> Tensor:
        crops, overviews = torch.stack([s.crop for s in seen]), torch.stack([s.overview for s in seen])
        return network.project_picture(self._model, crops, overviews)

    def _turns(
        self, rng: random.Random, picture: Shown, gap: rows.Gap | None, first: tuple[str, str]
    ) -> rows.Row:
        """A row whose first question is spoken if there is a gap, now and then with a second, typed turn."""
        question, answer = first
        written = texts.written(rng, question)
        turns: list[tuple[list[rows.Item | str], str]] = [([gap or written], answer)]
        extra = rng.random()
        if extra < FOLLOWED:
            question, answer = pictures.ask(rng, picture)
            turns.append(([texts.written(rng, question)], answer))
        elif extra < FOLLOWED + 0.03:
            turns.append(([texts.written(rng, texts.outside(rng, "train"))], texts.ABOUT))
        elif extra < FOLLOWED + 0.06:
            command = texts.command(rng, "train")
            turns.append(([texts.typed(rng, command)], command.call))
        return row(self._writer, turns)

    def loss(
        self, gallery: Gallery, voices: Voices, rng: random.Random, progress: float
    ) -> dict[str, Tensor]:
        """The losses of one step."""
        if rng.random() < NEW:
            gallery.add(PICTURES)
        parts = progress < PARTS_UNTIL
        seen = gallery.choose(PICTURES * (2 if parts else 1))
        features = self._project(seen)
        labels = torch.stack([s.labels for s in seen])
        if rng.random() < NEW_PAGE:
            gallery.add_page()
        pages = gallery.pages(2)  # in pictures, numbers are too few to learn to say all of them
        numbers = self._anchor(self._project(pages), torch.stack([s.labels for s in pages]))
        anchor = ANCHOR * (self._anchor(features, labels) + numbers)
        if progress < WARM:
            return {"anchor": anchor}
        before = None
        if rng.random() < SECOND:
            others = gallery.choose(len(seen))
            earlier = self._project(others)
            if parts:
                earlier = _parts(earlier, torch.stack([s.labels for s in others]))
            before = self._before(rng, others, earlier)
        if parts:
            features = _parts(features, labels)
        context: rows.Context = rng.choices(("tools", "plain", "none"), (10, 55, 35))[0]
        begun = rows.run_context(self._model, self._writer, context, self._lora)
        cache = self._start(begun, features, before)
        clips: list[Clip] = []
        made: list[rows.Row] = []
        for picture in seen:
            for _ in range(ROWS):
                first = pictures.ask(rng, picture)
                clip = voices.find(rng, first[0]) if rng.random() < SPOKEN else None
                if clip:
                    clips.append(clip)
                made.append(self._turns(rng, picture, rows.Gap(len(clips) - 1) if clip else None, first))
        found = rows.score(self._model, made, cache.repeat(ROWS), self._hear(clips), self._lora)
        return {context: found.loss, "anchor": anchor}

    @torch.no_grad()
    def scores(self, voices: Voices, seed: int = 17, count: int = 12) -> dict[str, Any]:
        """Exact answers to typed and spoken questions, with the picture and with a wrong one of its kind.

        `count` pictures of each kind, held-out texts in held-out fonts.
        """
        rng = random.Random(seed)
        context = rows.run_context(self._model, self._writer, "plain", self._lora)
        sums: dict[str, list[int]] = {}
        for kind in drawing.ALL_KINDS:
            for number in range(2 * count):
                pair = [pictures.render(rng, kind, split="eval") for _ in range(2)]
                other = number % 2 and kind in {"scene", "bars"}
                if other:
                    pair = [pictures.resized(rng, picture) for picture in pair]
                right = pair[0]
                typed = [row(self._writer, [([f"{q[0].upper()}{q[1:]}?"], a)]) for q, a in right.facts]
                heard = [(a, c) for q, a in right.facts if (c := voices.find(rng, q))]
                spoken = [row(self._writer, [([rows.Gap(i)], a)]) for i, (a, _) in enumerate(heard)]
                features = self._hear([c for _, c in heard])
                suffix = "_other" if other else ""
                for name, one in zip(("", "blind_"), pair, strict=True):
                    cache = self._start(context, self._project(shown(self._model, [one])))
                    for way, made in (("typed", typed), ("spoken", spoken)):
                        exact = rows.score(self._model, made, cache, features, self._lora).exact
                        for key in {f"{name}{way}_{kind}{suffix}", f"{name}{way}{suffix}"}:
                            total = sums.setdefault(key, [0, 0])
                            total[0] += sum(exact)
                            total[1] += len(exact)
        return {name: round(a / b, 3) for name, (a, b) in sorted(sums.items())}
