"""Trains the nano model: `python -m models.nano.train --out build/nano` runs every stage; each can be resumed.

Stages are limited by time, not by steps, so that a slower machine gives a weaker model instead of a longer wait;
`--minutes` scales them. A stage saves every two minutes and, started again, goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from models.frontend import FrontEnd
from models.nano import corpus, ctc, network

SAVE_EVERY: Final = 120.0  # seconds


class Run:
    """One stage's optimiser, clock, log and saved state."""

    def __init__(self, out: Path, stage: str, minutes: float, modules: dict[str, nn.Module]) -> None:
        self.path = out / f"{stage}.pt"
        self.log = out / f"{stage}.jsonl"
        self.modules = modules
        self.seconds = 60 * minutes
        self.spent = 0.0
        self.steps = 0
        self.groups: list[tuple[list[nn.Parameter], float]] = []

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
            optimiser.load_state_dict(state["optimiser"])
            self.spent, self.steps = state["spent"], state["steps"]
        saved = measured = mark = time.monotonic()
        sums: dict[str, float] = {}
        count = 0
        while self.spent < self.seconds:
            progress = self.spent / self.seconds
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * min(1, (self.steps + 1) / 150) * _cosine(progress)
            losses = loss(next(feed), progress)
            optimiser.zero_grad()
            sum(losses.values(), torch.zeros(())).backward()
            torch.nn.utils.clip_grad_norm_([p for g in optimiser.param_groups for p in g["params"]], 1.0)
            optimiser.step()
            self.steps += 1
            now = time.monotonic()
            self.spent, mark = self.spent + now - mark, now
            count += 1
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            if self.steps % 50 == 0:
                self._note({k: round(v / count, 4) for k, v in sums.items()})
                sums, count = {}, 0
            if measure and now - measured > 300:
                self._note(measure())
                measured = mark = time.monotonic()
            if now - saved > SAVE_EVERY:
                self._save(optimiser)
                saved = now
        self._save(optimiser)
        if measure:
            self._note({**measure(), "final": 1})

    def _note(self, what: dict[str, Any]) -> None:
        with self.log.open("a") as file:
            file.write(json.dumps({"step": self.steps, "minutes": round(self.spent / 60, 2), **what}) + "\n")

    def _save(self, optimiser: torch.optim.Optimizer) -> None:
        state = {name: module.state_dict() for name, module in self.modules.items()}
        state |= {"optimiser": optimiser.state_dict(), "spent": self.spent, "steps": self.steps}
        torch.save(state, self.path.with_suffix(".tmp"))
        self.path.with_suffix(".tmp").replace(self.path)


def _cosine(progress: float) -> float:
    return 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _speech_feed(out: Path, rng: random.Random) -> Iterator[list[corpus.Utterance]]:
    """Batches without end; shards that appear meanwhile are taken up after each pass."""
    data: list[corpus.Utterance] = []
    known: set[Path] = set()
    while True:
        for path in sorted((out / "speech").glob("*.npz")):
            if path not in known:
                known.add(path)
                data += corpus.read_shard(path)
        yield from ctc.batches(data, rng)


def stage_speech(out: Path, minutes: float) -> None:
    """The speech encoder with CTC."""
    front = FrontEnd(out / "front")
    model = network.build()
    heads = ctc.Heads(front, ctc.vocabulary())
    ctc.set_statistics(model, corpus.read_shard(out / "speech" / "0000.npz"))
    encoder = model.model.embed_tokens_extend.audio_embed.encoder
    held = _held_out_speech(out, front)
    rng = random.Random(os.getpid())

    def measure() -> dict[str, Any]:
        errors: dict[str, list[int]] = {}
        with torch.no_grad():
            for batch in ctc.batches(held, random.Random(0)):
                read = heads.read(network.hear(model, *ctc.pad(batch))[0])
                for utterance, text in zip(batch, read, strict=True):
                    pair = errors.setdefault(utterance.kind, [0, 0])
                    pair[0] += ctc.word_errors(utterance.text, text)
                    pair[1] += len(utterance.text.split())
        return {f"wer_{kind}": round(a / b, 4) for kind, (a, b) in errors.items()}

    parameters = [*encoder.parameters(), *heads.parameters()]
    Run(out, "speech", minutes, {"encoder": encoder, "heads": heads}).train(
        [(parameters, 2e-3)],
        _speech_feed(out, rng),
        lambda batch, progress: {"loss": ctc.loss(model, heads, batch, rng, progress)},
        measure,
    )


def _held_out_speech(out: Path, front: FrontEnd) -> list[corpus.Utterance]:
    """Held-out utterances in held-out voices, for the curves (the final report makes its own)."""
    path = out / "held.npz"
    if not path.exists():
        corpus.make_shard(front, corpus.speech.Espeak(), 0, path, "eval", 240)
    return corpus.read_shard(path)


STAGES: Final[dict[str, tuple[Callable[[Path, float], None], float]]] = {"speech": (stage_speech, 30)}


def main() -> None:
    """Runs one stage or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", choices=STAGES)
    parser.add_argument("--out", type=Path, default=Path("build/nano"))
    parser.add_argument("--minutes", type=float, help="for the stage, or for each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in [options.stage] if options.stage else STAGES:
        run, minutes = STAGES[name]
        run(options.out, options.minutes or minutes)


if __name__ == "__main__":
    main()
