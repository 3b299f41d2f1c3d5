"""Stage 3: the vision encoder alone, told what stands in each of 16x16 cells; its heads are dropped later.

Most of the time it looks at quarters of pictures (16x16 patches at their own positions), which costs a fifth
and shows one or two whole shapes; then at whole pictures, where ranks and counts can be seen.
"""

from __future__ import annotations

import random
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 # torch's own name for it
from torch import Tensor, nn

from models.nano import network, pictures, shape

QUARTERS_UNTIL: Final = 0.85
"""The part of the stage that looks at quarters."""
SHAPES_FROM: Final = 0.3
_LOCAL: Final = 3  # the labels that can be seen in a quarter: kind, colour, letter
_REGIONS: Final = 9


class Heads(nn.Module):
    """A linear classifier for each label of a cell, and one for the cell's place in a 3x3 grid."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(shape.VISION_WIDTH, n) for n in (*pictures.CLASSES, _REGIONS))

    def losses(self, cells: Tensor, labels: Tensor, local: bool) -> dict[str, Tensor]:
        """Losses; cells [batch, h, w, width], labels [batch, h, w, 6]. Empty cells weigh a tenth."""
        losses: dict[str, Tensor] = {}
        for number, name in enumerate(("kind", "colour", "letter", "rank", "count", "place")):
            if local and _LOCAL <= number < 5:
                continue
            wanted = labels[..., number].flatten()
            each = F.cross_entropy(self.parts[number](cells).flatten(0, 2), wanted, reduction="none")
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


def place() -> Tensor:
    """The 3x3 region of each cell, int64 [16, 16]."""
    third = torch.arange(pictures.CELLS) * 3 // pictures.CELLS
    return third[:, None] * 3 + third[None]


def tensor(rendered: list[pictures.Rendered]) -> tuple[Tensor, Tensor]:
    """Pixels float32 [n, 3, 448, 448] as the processor scales them, and labels int64 [n, 16, 16, 6]."""
    pixels = torch.from_numpy(np.stack([r.pixels for r in rendered]).transpose(0, 3, 1, 2).astype(np.float32))
    labels = torch.from_numpy(np.stack([r.labels for r in rendered]))
    where = place().expand(len(rendered), -1, -1)[..., None]
    return pixels / 127.5 - 1, torch.cat((labels, where), -1)


def _picture(rng: random.Random, progress: float) -> pictures.Rendered:
    """All kinds alike in the first part; then mostly shapes, which take longest to tell apart."""
    if progress < SHAPES_FROM:
        return pictures.render(rng, "text" if rng.random() < 0.25 else None)
    return pictures.render(rng, "scene" if rng.random() < 0.9 else "bars")


def loss(model: Any, heads: Heads, rng: random.Random, progress: float) -> dict[str, Tensor]:
    """Losses on new pictures."""
    if progress > QUARTERS_UNTIL:
        pixels, labels = tensor([_picture(rng, progress) for _ in range(6)])
        return heads.losses(network.see_cells(model, pixels), labels, local=False)
    pixels, labels = tensor([_picture(rng, progress) for _ in range(24)])
    corner = 2 * rng.randint(0, 8), 2 * rng.randint(0, 8)  # in patches
    top, left = corner[0] * 14, corner[1] * 14
    cells = network.see_cells(model, pixels[:, :, top : top + 224, left : left + 224].contiguous(), corner)
    rows, columns = slice(corner[0] // 2, corner[0] // 2 + 8), slice(corner[1] // 2, corner[1] // 2 + 8)
    return heads.losses(cells, labels[:, rows, columns], local=True)


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
