"""The training loop of one stage: optimiser, clock (of the processor), log and saved state."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from models.nano.muon import Muon

SAVE_EVERY: Final = 120.0  # seconds of the processor
DECAY: Final = 0.01


def bfloat16_is_faster() -> bool:
    """Whether products of bfloat16 are faster here: by a third, or many times slower."""
    best = []
    for kind in (torch.float32, torch.bfloat16):
        one = torch.ones(256, 256, dtype=kind)
        took = []
        for _ in range(20):
            started = time.perf_counter()
            one @ one
            took.append(time.perf_counter() - started)
        best.append(min(took))
    return best[1] < best[0]


class _Optimiser:
    """AdamW, and Muon for some matrices."""

    def __init__(
        self,
        groups: list[tuple[list[nn.Parameter], float]],
        matrices: tuple[list[nn.Parameter], float] | None,
    ) -> None:
        hidden, peak = matrices or ([], 0.0)
        left_out = {id(p) for p in hidden}
        others = [([p for p in ps if p.requires_grad and id(p) not in left_out], peak) for ps, peak in groups]
        self._all: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                [{"params": ps, "peak": peak} for ps, peak in others],
                lr=0.0,
                betas=(0.9, 0.98),
                weight_decay=DECAY,
            )
        ]
        if hidden:
            self._all.append(Muon([{"params": hidden, "peak": peak}], DECAY))
        self.groups = [group for one in self._all for group in one.param_groups]

    def zero(self) -> None:
        for one in self._all:
            one.zero_grad()

    def step(self) -> None:
        for one in self._all:
            one.step()

    def state(self) -> list[dict[str, Any]]:
        return [one.state_dict() for one in self._all]

    def load(self, state: list[dict[str, Any]]) -> None:
        for one, saved in zip(self._all, state, strict=True):
            one.load_state_dict(saved)
        self.groups = [group for one in self._all for group in one.param_groups]


class Run:
    """One stage's optimiser, clock, log and saved state."""

    def __init__(self, out: Path, stage: str, minutes: float, modules: dict[str, nn.Module]) -> None:
        self.path = out / f"{stage}.pt"
        self.log = out / f"{stage}.jsonl"
        self.modules = modules
        self.seconds = 60 * minutes
        self.spent = 0.0
        self.steps = 0

    @property
    def progress(self) -> float:
        """The part of the stage's time that is over."""
        return self.spent / self.seconds

    def train(
        self,
        groups: list[tuple[list[nn.Parameter], float]],
        feed: Iterator[Any],
        loss: Callable[[Any, float], dict[str, Tensor]],
        measure: Callable[[], dict[str, Any]] | None = None,
        matrices: tuple[list[nn.Parameter], float] | None = None,
    ) -> None:
        """Trains until the stage's time is over.

        `groups`: parameters and their peak learning rates; `matrices`: those of them for which Muon is used,
        and its peak learning rate.
        """
        optimiser = _Optimiser(groups, matrices)
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            for name, module in self.modules.items():
                module.load_state_dict(state[name])
            if "optimiser" in state:
                optimiser.load(state["optimiser"])
            self.spent, self.steps = state["spent"], state["steps"]
        short = bfloat16_is_faster()
        saved = measured = mark = time.process_time()
        recent: dict[str, list[float]] = {}
        while self.spent < self.seconds:
            progress = self.progress
            for group in optimiser.groups:
                group["lr"] = group["peak"] * min(1, (self.steps + 1) / 150) * _cosine(progress)
            with torch.autocast("cpu", torch.bfloat16, enabled=short):
                losses = loss(next(feed), progress)
            optimiser.zero()
            torch.autograd.backward(torch.stack(list(losses.values())).sum())
            torch.nn.utils.clip_grad_norm_([p for g in optimiser.groups for p in g["params"]], 1.0)
            optimiser.step()
            self.steps += 1
            now = time.process_time()
            self.spent, mark = self.spent + now - mark, now
            for name, value in losses.items():
                recent.setdefault(name, []).append(float(value.detach()))
            if self.steps % 50 == 0:
                self._note({k: round(sum(v) / len(v), 4) for k, v in recent.items()})
                recent.clear()
            if measure and now - measured > 300:
                self._note(measure())
                measured = mark = time.process_time()
            if now - saved > SAVE_EVERY:
                self._save(optimiser)
                saved = now
        self._save(optimiser)
        if measure:
            self._note({**measure(), "final": 1})

    def _note(self, what: dict[str, Any]) -> None:
        done = min(100.0, 100 * self.progress)
        said = ", ".join(f"{name} {value}" for name, value in what.items() if name != "final")
        sys.stderr.write(f"{self.log.stem} {done:3.0f} %  {self.spent / 60:5.1f} min  {said}\n")
        with self.log.open("a") as file:
            file.write(json.dumps({"step": self.steps, "minutes": round(self.spent / 60, 2), **what}) + "\n")

    def _save(self, optimiser: _Optimiser) -> None:
        state: dict[str, Any] = {name: module.state_dict() for name, module in self.modules.items()}
        state |= {"optimiser": optimiser.state(), "spent": self.spent, "steps": self.steps}
        torch.save(state, self.path.with_suffix(".tmp"))
        self.path.with_suffix(".tmp").replace(self.path)


def _cosine(progress: float) -> float:
    return 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
