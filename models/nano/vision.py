"""Stage 3: the vision encoder alone, told what stands in each of 16x16 cells; its heads are dropped later.

Most of the time it looks only at the cells with something on them and a few empty ones, which costs half;
then at whole pictures. It learns to read from pages full of words, which are fewer later.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 # torch's own name for it
from torch import Tensor, nn

from models.nano import network, pictures, shape

PARTS_UNTIL: Final = 0.85
"""The part of the stage that looks at some cells only."""
READING_UNTIL: Final = 0.55
"""The part of the stage with many pages."""
PAGES: Final = (0.7, 0.25)
"""The share of pages until then, and later."""
VARIED: Final = 0.25
"""From here on pages show all sizes, colours and fonts; reading begins with few of them."""
EMPTY: Final = 12
"""Cells with nothing on them that each picture of a batch has at least."""
BATCH: Final = 16
KEPT: Final = 500
"""Pages that are used again, in other colours."""
_WEIGHTS: Final = {"word": 2.0, "digit": 1.5, "letter": 1.5}


class Heads(nn.Module):
    """A linear classifier for each label of a cell."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(shape.VISION_WIDTH, n) for n in pictures.CLASSES)

    def losses(self, cells: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Losses; cells [..., width], labels [..., 8]. Empty cells weigh a tenth."""
        losses: dict[str, Tensor] = {}
        for number, name in enumerate(pictures.LABELS):
            wanted = labels[..., number].flatten()
            each = F.cross_entropy(
                self.parts[number](cells).flatten(0, -2),
                wanted,
                reduction="none",
                ignore_index=pictures.IGNORED,
            )
            weight = torch.where(wanted > 0, 1.0, 0.1) if name != "place" else torch.ones(wanted.shape)
            weight = weight * (wanted != pictures.IGNORED)
            losses[name] = _WEIGHTS.get(name, 1.0) * (each * weight).sum() / weight.sum().clamp(1)
        return losses

    def right(self, cells: Tensor, labels: Tensor) -> dict[str, tuple[int, int]]:
        """Right and all labelled cells, by label."""
        found = {}
        for number, name in enumerate(pictures.LABELS):
            wanted = labels[..., number]
            known = (wanted > 0) & (wanted != pictures.IGNORED)
            fine = (self.parts[number](cells).argmax(-1) == wanted) & known
            found[name] = (int(fine.sum()), int(known.sum()))
        return found


def tensor(rendered: list[pictures.Rendered]) -> tuple[Tensor, Tensor]:
    """Pixels uint8 [n, 448, 448, 3] and labels int64 [n, 16, 16, 8]."""
    pixels = torch.from_numpy(np.stack([r.crop for r in rendered]))
    return pixels, torch.from_numpy(np.stack([r.labels for r in rendered]))


def features(model: Any, rendered: list[pictures.Rendered]) -> tuple[Tensor, Tensor]:
    """Cells [n, 16, 16, width] of pictures as crops, what is beyond the picture masked, and as overviews."""
    pixels, _ = tensor(rendered)
    overview = network.see_cells(model, pixels)
    if not any(r.padded for r in rendered):
        return overview, overview
    return network.see_cells(model, pixels, patches=torch.tensor([r.patches for r in rendered])), overview


def covered(labels: Tensor, around: int = 1) -> Tensor:
    """Which cells show something, with their neighbours: bool [n, 256] from labels [n, 16, 16, 8]."""
    something = (labels[..., 0] > 0).float()[:, None]
    return F.max_pool2d(something, 2 * around + 1, 1, around).flatten(1) > 0


@torch.no_grad()
def _known(labels: Tensor, rendered: list[pictures.Rendered], crops: bool) -> Tensor:
    """Labels of crops without the cells beyond the picture, or of overviews: places are only for squares."""
    labels = labels.clone()
    for one, picture in zip(labels, rendered, strict=True):
        if picture.padded and not crops:
            one[..., pictures.PLACE] = pictures.IGNORED
        elif picture.padded:
            down, across = picture.cells
            one[down:] = pictures.IGNORED
            one[:, across:] = pictures.IGNORED
    return labels


def feed(rng: random.Random, now: list[float]) -> Iterator[list[pictures.Rendered]]:
    """Batches of new pictures without end, those with about as much on them together.

    `now` holds the stage's progress. A batch is of pages, of square pictures or of others.
    """
    old: list[pictures.Rendered] = []
    while True:
        pages = PAGES[now[0] > READING_UNTIL]
        makes = rng.choices((0, 1, 2), (pages, 0.62 * (1 - pages), 0.38 * (1 - pages)), k=4)
        for kind in makes:
            variety = min(1.0, now[0] / VARIED)
            if kind == 0 and len(old) >= KEPT and rng.random() < 0.6:
                made = [_recoloured(rng, page) for page in rng.sample(old, 2 * BATCH)]
            else:
                made = [_picture(rng, kind, variety) for _ in range(2 * BATCH)]
            if kind == 0:
                old = [*old, *made][-KEPT:]
            made.sort(key=lambda picture: int((picture.labels[..., 0] > 0).sum()))
            yield made[:BATCH]
            yield made[BATCH:]


def _recoloured(rng: random.Random, page: pictures.Rendered) -> pictures.Rendered:
    """The same page in other colours, which say nothing there; making a new one takes longer."""
    pixels = page.pixels[:, :, rng.sample(range(3), 3)]
    return dataclasses.replace(page, pixels=255 - pixels if rng.random() < 0.5 else pixels)


def _picture(rng: random.Random, kind: int, variety: float) -> pictures.Rendered:
    if kind == 0:
        return pictures.page(rng, variety)
    picture = pictures.render(rng, rng.choices(pictures.ALL_KINDS, (36, 8, 20, 36))[0])
    return picture if kind == 1 else pictures.resized(rng, picture)


def loss(
    model: Any, heads: Heads, batch: list[pictures.Rendered], progress: float, *, frozen: bool = False
) -> dict[str, Tensor]:
    """Losses on pictures: all of a third of them, or the cells with something on them of each."""
    whole = progress > PARTS_UNTIL
    if whole:
        batch = batch[::3]
    crops = any(r.padded for r in batch) and float(torch.rand(())) < 0.5
    pixels, labels = tensor(batch)
    labels = _known(labels, batch, crops)
    patches = torch.tensor([r.patches for r in batch]) if crops else None
    kept = None
    if not whole:
        page = not batch[0].facts
        shown = covered(labels * (labels != pictures.IGNORED), around=0 if page else 1)
        count = min(shown.shape[1], int(shown.sum(1).max()) + (4 if page else EMPTY))
        useful = (labels[..., 0] != pictures.IGNORED).flatten(1)
        kept = (shown + torch.rand(shown.shape) - 2.0 * ~useful).topk(count, 1).indices
        labels = labels.flatten(1, 2)[torch.arange(len(batch))[:, None], kept]
    with torch.set_grad_enabled(not frozen):
        cells = network.see_cells(model, pixels, kept, patches)
    return heads.losses(cells, labels)


@torch.no_grad()
def scores(model: Any, heads: Heads, seed: int = 3) -> dict[str, float]:
    """The part of labelled cells that is right on whole pictures of their own seed, by kind."""
    rng = random.Random(seed)
    found: dict[str, float] = {}
    for kind in pictures.ALL_KINDS:
        sums: dict[str, list[int]] = {}
        for other in (False, False, True, True):
            made = [pictures.render(rng, kind, split="eval") for _ in range(8)]
            if other:
                made = [pictures.resized(rng, picture) for picture in made]
            pixels, labels = tensor(made)
            patches = torch.tensor([r.patches for r in made]) if other else None
            cells = network.see_cells(model, pixels, patches=patches)
            for name, (right, all_) in heads.right(cells, _known(labels, made, crops=True)).items():
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
