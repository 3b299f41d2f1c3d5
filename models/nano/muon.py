"""Muon: momentum made orthogonal, for the matrices of hidden layers (Keller Jordan, 2024).

torch's own computes in bfloat16, which is many times slower than float32 on processors without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import torch
from torch import Tensor

MOMENTUM: Final = 0.95
STEPS: Final = 5
QUINTIC: Final = (3.4445, -4.7750, 2.0315)
"""Coefficients of the iteration, as published with Muon."""
SCALE: Final = 0.2
"""Times the root of the longer side: the size of AdamW's steps (Liu et al., "Muon is scalable", 2025)."""


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix with singular values of about 1, by Newton and Schulz."""
    high, wide = matrix.shape
    x: Tensor = matrix.T if high > wide else matrix
    x = x / x.norm().clamp(1e-7)
    a, b, c = QUINTIC
    for _ in range(STEPS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if high > wide else x


class Muon(torch.optim.Optimizer):
    """Steps of `lr` on matrices [n, m] only."""

    def __init__(self, groups: Iterable[dict[str, Any]], decay: float) -> None:
        super().__init__(groups, {"lr": 0.0, "decay": decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step along the gradients; there is no `closure` that it could call."""
        assert closure is None
        for group in self.param_groups:
            for one in group["params"]:
                if one.grad is None:
                    continue
                momentum = self.state[one].setdefault("momentum", torch.zeros_like(one))
                momentum.lerp_(one.grad, 1 - MOMENTUM)
                along = orthogonal(one.grad.lerp(momentum, MOMENTUM))
                one.mul_(1 - group["lr"] * group["decay"])
                one.add_(along, alpha=-group["lr"] * SCALE * float(max(one.shape)) ** 0.5)
