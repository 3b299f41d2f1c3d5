"""Finds the engine's settings that are quickest on this machine: each beside the best so far."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import psutil

from assistant.bench.engine.plan import Contender
from assistant.bench.engine.process import Peer
from assistant.engine.protocol import EngineSettings
from assistant.tuned import CHOSEN
from models.config import Phi4MMConfig
from models.export import Card, PrecisionPlan, build
from models.package import check
from models.random_weights import RandomCheckpoint

PROMPT: Final = 256  # tokens that a turn reads
REPLY: Final = 32  # tokens that it writes
_BETTER: Final = 1.03
"""How much quicker something must be than what was there before: less is chance."""
_SMALLER: Final = 0.95
"""The share of memory that is worth having, if it isn't slower."""

BLOCK_SIZES: Final = (32, 64, 128)
_WORTH: Final = 1.05
"""How much quicker larger blocks must be: they are less exact."""

Say = Callable[[str, float], None]


@dataclass(frozen=True)
class Trial:
    """One setting against the best before it: how much quicker a turn was, and how much memory it took."""

    name: str
    value: int | str
    quicker: float
    memory: float
    chosen: bool

    def summary(self) -> dict[str, Any]:
        """For --json."""
        return {
            "setting": self.name,
            "value": self.value,
            "times as fast": self.quicker,
            "of the memory": self.memory,
            "chosen": self.chosen,
        }


def choices(cores: int, logical: int, prefill: bool) -> list[tuple[str, int | str]]:
    """What is tried, in this order: the settings that matter most come first.

    ``prefill`` tells whether the package has a second graph for prompts: it takes memory.
    """
    threads = sorted({1, max(1, cores - 1), cores, logical} - {cores}, reverse=True)
    return [
        *([("prefill", "same")] if prefill else []),
        *(("threads", count) for count in threads),
        *(("chunk", size) for size in (256, 64)),
        ("spinning", False),
        ("arena", False),
    ]


def start(cores: int) -> EngineSettings:
    """What the trials begin with."""
    return EngineSettings(threads=cores)


def tune(package: Path, rounds: int, say: Say) -> tuple[EngineSettings, list[Trial]]:
    """The settings that were quickest, and all trials. Raises EngineError."""
    cores = psutil.cpu_count(logical=False) or 1
    best = start(cores)
    trials: list[Trial] = []
    wanted = choices(cores, psutil.cpu_count() or cores, "prefill" in check(package).graphs)
    for at, (name, value) in enumerate(wanted):
        other = replace(best, **{name: value})  # type: ignore[arg-type] # a name of CHOSEN
        tell = _told(say, f"{name} {value}", at, len(wanted), rounds)
        quicker, memory = compare(package, best, other, rounds, tell)
        chosen = quicker >= _BETTER or (memory <= _SMALLER and quicker >= 1 / _BETTER)
        trials.append(Trial(name, value, quicker, memory, chosen))
        best = other if chosen else best
    return best, trials


def compare(
    package: Path, one: EngineSettings, other: EngineSettings, rounds: int, tell: Iterator[None]
) -> tuple[float, float]:
    """How many times as fast ``other`` is, and its memory as a share of the first one's; both are loaded."""
    with ExitStack() as stack:
        pair = [stack.enter_context(_peer(package, settings)) for settings in (one, other)]
        try:
            for peer in pair:
                peer.ask("load")
                peer.ask("warm")
            ratios = []
            for number in range(rounds):
                next(tell)
                seconds: dict[int, float] = {}
                for i in (0, 1) if number % 2 else (1, 0):
                    seconds[i] = pair[i].ask("turn", prompt=PROMPT, reply=REPLY)
                ratios.append(seconds[0] / seconds[1])
            memory = pair[1].ask("memory") / pair[0].ask("memory")
        except BaseException:
            for peer in pair:
                peer.kill()
            raise
    return statistics.median(ratios), memory


def tune_blocks(config: Phi4MMConfig, rounds: int, say: Say) -> tuple[int, list[Trial]]:
    """The block size of 4-bit weights that writes quickest here, and all trials, on random weights.

    Smaller blocks are more exact, so the next size has to be worth it. Raises EngineError or PackageError.
    """
    with tempfile.TemporaryDirectory(prefix="aside-blocks-") as folder, ExitStack() as stack:
        peers = {}
        for at, size in enumerate(BLOCK_SIZES):
            say(f"building blocks of {size}", 0.5 * at / len(BLOCK_SIZES))
            plan = PrecisionPlan.named("int4", size)
            package = build(RandomCheckpoint(config), Path(folder) / str(size), plan, card=Card("random"))
            peers[size] = stack.enter_context(_peer(package, start(psutil.cpu_count(logical=False) or 1)))
        seconds: dict[int, list[float]] = {size: [] for size in peers}
        try:
            for peer in peers.values():
                peer.ask("load")
                peer.ask("warm")
            for number in range(rounds):
                say("writing with each", 0.5 + 0.5 * number / rounds)
                for size, peer in peers.items():
                    seconds[size].append(peer.ask("decode", keep=1, count=REPLY))
            memory = {size: peer.ask("memory") for size, peer in peers.items()}
        except BaseException:
            for peer in peers.values():
                peer.kill()
            raise
    best, trials = BLOCK_SIZES[0], []
    for size in BLOCK_SIZES[1:]:
        quicker = statistics.median(a / b for a, b in zip(seconds[best], seconds[size], strict=True))
        trials.append(Trial("block size", size, quicker, memory[size] / memory[best], quicker >= _WORTH))
        best = size if trials[-1].chosen else best
    return best, trials


def _peer(package: Path, settings: EngineSettings) -> Peer:
    given = {name: getattr(settings, name) for name in CHOSEN if name != "threads"}
    return Peer(Contender("Aside", "aside", str(package), settings=given), settings.threads)


def _told(say: Say, what: str, at: int, total: int, rounds: int) -> Iterator[None]:
    """Tells progress each time it is asked for the next."""
    for number in range(rounds):
        say(what, (at + number / rounds) / total)
        yield
