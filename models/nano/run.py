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

SAVE_EVERY: Final = 120.0  # seconds of the processor


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
    ) -> None:
        """Trains until the stage's time is over. `groups`: parameters and their peak learning rates."""
        optimiser = torch.optim.AdamW(
            [{"params": [p for p in ps if p.requires_grad], "peak": peak} for ps, peak in groups],
            lr=0.0,
            betas=(0.9, 0.98),
            weight_decay=0.01,
        )
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            for name, module in self.modules.items():
                module.load_state_dict(state[name])
            if "optimiser" in state:
                optimiser.load_state_dict(state["optimiser"])
            self.spent, self.steps = state["spent"], state["steps"]
        short = bfloat16_is_faster()
        saved = measured = mark = time.process_time()
        recent: dict[str, list[float]] = {}
        while self.spent < self.seconds:
            progress = self.progress
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * min(1, (self.steps + 1) / 150) * _cosine(progress)
            with torch.autocast("cpu", torch.bfloat16, enabled=short):
                losses = loss(next(feed), progress)
            optimiser.zero_grad()
            torch.autograd.backward(torch.stack(list(losses.values())).sum())
            torch.nn.utils.clip_grad_norm_([p for g in optimiser.param_groups for p in g["params"]], 1.0)
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

    def _save(self, optimiser: torch.optim.Optimizer) -> None:
        state: dict[str, Any] = {name: module.state_dict() for name, module in self.modules.items()}
        state |= {"optimiser": optimiser.state_dict(), "spent": self.spent, "steps": self.steps}
        torch.save(state, self.path.with_suffix(".tmp"))
        self.path.with_suffix(".tmp").replace(self.path)


def _cosine(progress: float) -> float:
    return 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
