"""Stage 3: the vision encoder alone, told what stands in each of 16x16 cells; its heads are dropped later.

Most of the time it looks only at the cells with something on them and a few empty ones, which costs half;
then at whole pictures. It learns to read from single words, each looked at alone: thousands in a minute.
"""

from __future__ import annotations

import collections
import random
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 # torch's own name for it
from torch import Tensor, nn

from models.nano import drawing, lettering, network, pictures, shape

PARTS_UNTIL: Final = 0.75
"""The part of the stage that looks at some cells only."""
HEADS_ALONE: Final = 100
"""Steps in which new heads learn to read a trained encoder before it goes on."""
READING_UNTIL: Final = 0.6
"""The part of the stage in which reading comes first."""
MIXTURE: Final = ((0.7, 0.1, 0.11, 0.09), (0.32, 0.22, 0.3, 0.16))
"""Shares of words alone, scenes and bars, texts and windows, resized scenes and bars: until then, later."""
KEPT: Final = 200
"""Pictures full of words: a batch is a new one and one of the last ones."""
HEIGHTS: Final = (0, 1, 1, 4)
"""How many rows of such a picture are looked at together; 0 stands for single words."""
WORD: Final = 6
"""Cells that are looked at for a single word."""
EMPTY: Final = 12
"""Cells with nothing on them that each picture of a batch has at least."""
BATCH: Final = 16
_WEIGHTS: Final = {"letter": 0.3}


class Heads(nn.Module):
    """A linear classifier for each label of a cell."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(shape.VISION_WIDTH, n) for n in drawing.CLASSES)
        self.letter = nn.Linear(shape.VISION_WIDTH, len(drawing.LETTERS) + 1)

    def losses(self, patches: Tensor, labels: Tensor, letters: Tensor) -> dict[str, Tensor]:
        """Losses; patches [..., 4, width], labels of cells [..., 7], letters of patches [..., 4].

        Empty cells weigh a tenth.
        """
        cells = patches.mean(-2)
        losses: dict[str, Tensor] = {}
        scores = {name: part(cells) for name, part in zip(drawing.LABELS, self.parts, strict=True)}
        for number, name in enumerate((*drawing.LABELS, "letter")):
            wanted = (letters if name == "letter" else labels[..., number]).flatten()
            each = F.cross_entropy(
                (self.letter(patches) if name == "letter" else scores[name]).flatten(0, -2),
                wanted,
                reduction="none",
                ignore_index=drawing.IGNORED,
            )
            weight = torch.where(wanted > 0, 1.0, 0.1) if name != "place" else torch.ones(wanted.shape)
            weight = weight * (wanted != drawing.IGNORED)
            losses[name] = _WEIGHTS.get(name, 1.0) * (each * weight).sum() / weight.sum().clamp(1)
        return losses

    @torch.no_grad()
    def right(self, patches: Tensor, labels: Tensor, letters: Tensor) -> dict[str, tuple[int, int]]:
        """Right and all labelled cells (or patches with letters), by label."""
        found = {}
        for number, name in enumerate((*drawing.LABELS, "letter")):
            wanted = letters if name == "letter" else labels[..., number]
            known = (wanted > 0) & (wanted != drawing.IGNORED)
            scores = self.letter(patches) if name == "letter" else self.parts[number](patches.mean(-2))
            fine = (scores.argmax(-1) == wanted) & known
            found[name] = (int(fine.sum()), int(known.sum()))
        return found


def tensor(rendered: list[drawing.Rendered]) -> tuple[Tensor, Tensor]:
    """Pixels uint8 [n, 448, 448, 3] and labels int64 [n, 16, 16, 7]."""
    pixels = torch.from_numpy(np.stack([r.crop for r in rendered]))
    return pixels, torch.from_numpy(np.stack([r.labels for r in rendered]))


def _letters(rendered: list[drawing.Rendered]) -> Tensor:
    """Letters of patches by cells, int64 [n, 256, 4]."""
    return network.by_cells(torch.from_numpy(np.stack([r.letters for r in rendered])))


def features(model: Any, rendered: list[drawing.Rendered]) -> tuple[Tensor, Tensor]:
    """Cells [n, 16, 16, width] of pictures as crops, what is beyond the picture masked, and as overviews."""
    pixels, _ = tensor(rendered)
    overview = network.see_cells(model, pixels)
    if not any(r.padded for r in rendered):
        return overview, overview
    return network.see_cells(model, pixels, patches=torch.tensor([r.patches for r in rendered])), overview


def covered(labels: Tensor) -> Tensor:
    """Which cells show something, with their neighbours: bool [n, 256] from labels [n, 16, 16, 7]."""
    something = (labels[..., 0] > 0).float()[:, None]
    return F.max_pool2d(something, 3, 1, 1).flatten(1) > 0


@torch.no_grad()
def _known(labels: Tensor, rendered: list[drawing.Rendered], crops: bool) -> Tensor:
    """Labels of crops without the cells beyond the picture, or of overviews: places are only for squares."""
    labels = labels.clone()
    for one, picture in zip(labels, rendered, strict=True):
        if picture.padded and not crops:
            one[..., drawing.PLACE] = drawing.IGNORED
        elif picture.padded:
            down, across = picture.cells
            one[down:] = drawing.IGNORED
            one[:, across:] = drawing.IGNORED
    return labels


def feed(rng: random.Random, progress: Callable[[], float]) -> Iterator[list[drawing.Rendered]]:
    """Batches of new pictures without end, those with about as much on them together."""
    pages = collections.deque([lettering.page(rng)], KEPT)
    while True:
        for form in rng.choices(range(4), MIXTURE[progress() > READING_UNTIL], k=4):
            if form == 0:
                pages.append(lettering.page(rng))
                yield [pages[-1], rng.choice(pages)]
                continue
            made = [_picture(rng, form) for _ in range(2 * BATCH)]
            made.sort(key=lambda picture: int((picture.labels[..., 0] > 0).sum()))
            yield made[:BATCH]
            yield made[BATCH:]


def _picture(rng: random.Random, form: int) -> drawing.Rendered:
    if form == 2:
        return pictures.render(rng, "text" if rng.random() < 0.4 else "window")
    picture = pictures.render(rng, "scene" if rng.random() < 0.82 else "bars")
    return picture if form == 1 else pictures.resized(rng, picture)


def single_words(labels: Tensor) -> tuple[Tensor, Tensor]:
    """The words of pages, each with its cells and empty ones of its page: int64 [n, WORD], and pages [n].

    `labels` [pages, 16, 16, 7]; words without a break between them count as one, cut to `WORD` cells.
    """
    written = labels[..., 0] > 0
    kept, which = [], []
    for number, page in enumerate(written.flatten(1)):
        empty = (~page).nonzero()[:, 0]
        start = page.clone()
        start[1:] &= ~page[:-1] | (torch.arange(1, len(page)) % drawing.CELLS == 0)
        run = start.cumsum(0) * page
        for one in range(1, int(run.max()) + 1):
            cells = (run == one).nonzero()[:WORD, 0]
            others = empty[torch.randint(len(empty), (WORD - len(cells),))]
            kept.append(torch.cat((cells, others)))
            which.append(number)
    return torch.stack(kept), torch.tensor(which)


def rows(pages: int, height: int) -> tuple[Tensor, Tensor]:
    """Some rows of cells at a time, one below the other: int64 [n, height * 16], and pages [n]."""
    count = pages * drawing.CELLS // height
    kept = torch.arange(count * height * drawing.CELLS).view(count, -1) % drawing.CELLS**2
    return kept, torch.arange(pages).repeat_interleave(drawing.CELLS // height)


def loss(
    model: Any, heads: Heads, batch: list[drawing.Rendered], progress: float, *, frozen: bool = False
) -> dict[str, Tensor]:
    """Losses on pictures: all of a third of them, or the cells with something on them of each.

    Pages of words (without questions) are taken word by word, or one row or four at a time, so that words
    which stand side by side are told apart.
    """
    page = not batch[0].facts
    whole = progress > PARTS_UNTIL and not page
    if whole:
        batch = batch[::3]
    crops = any(r.padded for r in batch) and float(torch.rand(())) < 0.5
    pixels, labels = tensor(batch)
    labels = _known(labels, batch, crops)
    patches = torch.tensor([r.patches for r in batch]) if crops else None
    kept, which = None, torch.arange(len(batch))
    if page:
        height = HEIGHTS[int(torch.randint(len(HEIGHTS), ()))]
        kept, which = rows(len(batch), height) if height else single_words(labels)
    elif not whole:
        shown = covered(labels * (labels != drawing.IGNORED))
        count = min(shown.shape[1], int(shown.sum(1).max()) + EMPTY)
        useful = (labels[..., 0] != drawing.IGNORED).flatten(1)
        kept = (shown + torch.rand(shown.shape) - 2.0 * ~useful).topk(count, 1).indices
    labels, letters = labels.flatten(1, 2), _letters(batch)
    if kept is not None:
        labels, letters = labels[which[:, None], kept], letters[which[:, None], kept]
    with torch.set_grad_enabled(not frozen and torch.is_grad_enabled()):
        seen = network.see_patches(model, pixels, kept, patches, which)
    losses = heads.losses(seen, labels, letters)
    return {f"page_{name}" if page else name: value for name, value in losses.items()}


@torch.no_grad()
def scores(model: Any, heads: Heads, seed: int = 3) -> dict[str, float]:
    """The part of labelled cells that is right on whole pictures of their own seed, by kind."""
    rng = random.Random(seed)
    found: dict[str, float] = {}
    for kind in drawing.ALL_KINDS:
        sums: dict[str, list[int]] = {}
        for other in (False, False, True, True) if kind in {"scene", "bars"} else (False, False):
            made = [pictures.render(rng, kind, split="eval") for _ in range(8)]
            if other:
                made = [pictures.resized(rng, picture) for picture in made]
            pixels, labels = tensor(made)
            patches = torch.tensor([r.patches for r in made]) if other else None
            seen = network.see_patches(model, pixels, patches=patches)
            known = _known(labels, made, crops=True).flatten(1, 2)
            for name, (right, all_) in heads.right(seen, known, _letters(made)).items():
                for key in (name, f"{name}_other") if other else (name,):
                    pair = sums.setdefault(key, [0, 0])
                    pair[0] += right
                    pair[1] += all_
        wanted = {"scene": ("kind", "colour", "place"), "bars": ("colour", "rank")}
        for name, (right, all_) in sums.items():
            names = wanted.get(kind, ("kind", "word", "digit", "rank", "letter"))
            if all_ and name.removesuffix("_other") in names:
                found[f"{kind}_{name}"] = round(right / all_, 3)
    return found
