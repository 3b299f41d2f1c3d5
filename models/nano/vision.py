"""Stage 3: the vision encoder alone, told what stands in each of 16x16 cells; its heads are dropped later.

Most of the time it looks only at the cells with something on them and a few empty ones, which costs half;
then at whole pictures.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 # torch's own name for it
from torch import Tensor, nn

from models.nano import network, pictures, shape

PARTS_UNTIL: Final = 0.82
"""The part of the stage that looks at some cells only."""
EMPTY: Final = 12
"""Cells with nothing on them that each picture of a batch has at least."""


class Heads(nn.Module):
    """A linear classifier for each label of a cell."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(shape.VISION_WIDTH, n) for n in pictures.CLASSES)

    def losses(self, cells: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Losses; cells [..., width], labels [..., 6]. Empty cells weigh a tenth."""
        losses: dict[str, Tensor] = {}
        for number, name in enumerate(("kind", "colour", "letter", "rank", "count", "place")):
            wanted = labels[..., number].flatten()
            each = F.cross_entropy(self.parts[number](cells).flatten(0, -2), wanted, reduction="none")
            weight = torch.where(wanted > 0, 1.0, 0.1) if number < 5 else torch.ones(())
            losses[name] = (each * weight).sum() / weight.expand_as(each).sum()
        return losses

    def right(self, cells: Tensor, labels: Tensor) -> dict[str, tuple[int, int]]:
        """Right and all labelled cells, by label."""
        found = {}
        for number, name in enumerate(("kind", "colour", "letter", "rank", "count", "place")):
            wanted = labels[..., number]
            fine = (self.parts[number](cells).argmax(-1) == wanted) & (wanted > 0)
            found[name] = (int(fine.sum()), int((wanted > 0).sum()))
        return found


def tensor(rendered: list[pictures.Rendered]) -> tuple[Tensor, Tensor]:
    """Pixels uint8 [n, 448, 448, 3] and labels int64 [n, 16, 16, 6]."""
    pixels = torch.from_numpy(np.stack([r.pixels for r in rendered]))
    return pixels, torch.from_numpy(np.stack([r.labels for r in rendered]))


def covered(labels: Tensor) -> Tensor:
    """Which cells show something, with their neighbours: bool [n, 256] from labels [n, 16, 16, 6]."""
    something = (labels[..., 0] > 0).float()[:, None]
    return F.max_pool2d(something, 3, 1, 1).flatten(1) > 0


def feed(rng: random.Random) -> Iterator[list[pictures.Rendered]]:
    """Batches of 16 new pictures without end, those with about as much on them together."""
    while True:
        made = [pictures.render(rng, "scene" if rng.random() < 0.85 else "bars") for _ in range(64)]
        made.sort(key=lambda picture: int((picture.labels[..., 0] > 0).sum()))
        batches = [made[i : i + 16] for i in range(0, 64, 16)]
        rng.shuffle(batches)
        yield from batches


def loss(model: Any, heads: Heads, batch: list[pictures.Rendered], progress: float) -> dict[str, Tensor]:
    """Losses on pictures: all of a third of them, or the cells with something on them of each."""
    if progress > PARTS_UNTIL:
        pixels, labels = tensor(batch[::3])
        return heads.losses(network.see_cells(model, pixels), labels)
    pixels, labels = tensor(batch)
    shown = covered(labels)
    count = min(shown.shape[1], int(shown.sum(1).max()) + EMPTY)
    kept = (shown + torch.rand(shown.shape)).topk(count, 1).indices
    cells = network.see_cells(model, pixels, kept)
    return heads.losses(cells, labels.flatten(1, 2)[torch.arange(len(batch))[:, None], kept])


@torch.no_grad()
def scores(model: Any, heads: Heads, seed: int = 3) -> dict[str, float]:
    """The part of labelled cells that is right on 48 whole pictures of a seed of their own."""
    rng = random.Random(seed)
    sums: dict[str, list[int]] = {}
    for _ in range(8):
        pixels, labels = tensor([pictures.render(rng) for _ in range(6)])
        for name, (right, all_) in heads.right(network.see_cells(model, pixels), labels).items():
            pair = sums.setdefault(name, [0, 0])
            pair[0] += right
            pair[1] += all_
    return {name: round(a / max(1, b), 3) for name, (a, b) in sums.items()}
