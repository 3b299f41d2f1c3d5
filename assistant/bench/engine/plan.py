"""Who is measured, and on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

Kind = Literal["aside", "genai", "llama", "encoders", "machine"]

KEPT: Final = 1_000
"""Tokens of the context that decoding and new tokens go on from."""
LONGEST: Final = 1_200
"""Tokens that a contender needs room for."""
STEPS: Final = 24
"""Tokens of one measurement of decoding."""
NEW: Final = 40
"""New tokens on a kept context: a short question."""


@dataclass(frozen=True)
class Contender:
    """Something that is measured, in a process of its own.

    path              a package's folder, a GGUF file, or the folder of the encoders' graphs.
    bytes_per_token   weights that one decoded token reads.
    kv_bytes          of keys and values that one token of context adds to that.
    operations        that one token of prefill takes: two for each weight it meets.
    files             bytes of the files that the language model needs.
    settings          of the engine, other than the number of threads.
    """

    name: str
    kind: Kind
    path: str = ""
    about: str = ""
    bytes_per_token: int = 0
    kv_bytes: int = 0
    operations: int = 0
    files: int = 0
    settings: Mapping[str, int | str] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


@dataclass(frozen=True)
class Section:
    """One thing that is measured: ``action`` of a contender (see `worker`), for contenders of some kinds.

    ``amount`` is what is done in the seconds that it takes, in ``unit``.
    """

    key: str
    action: str
    arguments: Mapping[str, int]
    amount: float
    unit: Literal["tokens/s", "s", "GB/s", "GFLOP/s", "GOP/s"] = "tokens/s"
    kinds: Sequence[Kind] = ("aside", "genai", "llama")


def _prefill(count: int) -> Section:
    return Section(f"prefill {count:,}", "prefill", {"count": count}, count)


def _machine(key: str, action: str, unit: Literal["GB/s", "GFLOP/s", "GOP/s"]) -> Section:
    return Section(key, action, {}, 1, unit, ("machine",))


def _encode(key: str, action: str, size: int) -> Section:
    return Section(key, action, {"size": size}, 1, "s", ("encoders",))


DECODE: Final = "decode"
DECODE_LATER: Final = f"decode at {KEPT:,}"
DECODE_ADAPTED: Final = "decode, speech adapter"
EXTEND: Final = f"{NEW} new on {KEPT:,}"
LOAD: Final = "load"
MEMORY: Final = "peak memory"

SECTIONS: Final = (
    _machine("memory read", "read", "GB/s"),
    _prefill(NEW),
    _prefill(128),
    _prefill(512),
    Section(DECODE, "decode", {"keep": 1, "count": STEPS}, STEPS),
    _machine("fp32 products", "fp32", "GFLOP/s"),
    _prefill(1_024),
    Section(EXTEND, "extend", {"keep": KEPT, "count": NEW}, NEW),
    Section(DECODE_LATER, "decode", {"keep": KEPT, "count": STEPS}, STEPS),
    _machine("int8 products", "int8", "GOP/s"),
    Section(DECODE_ADAPTED, "adapted", {"count": STEPS}, STEPS, kinds=("aside",)),
    _encode("picture, 1 crop", "see", 1),
    _encode("picture, 5 crops", "see", 5),
    _encode("speech, 5 s", "hear", 5),
    _encode("speech, 30 s", "hear", 30),
)
"""In the order of a round. The context of `KEPT` tokens is what the longest prefill left."""


@dataclass(frozen=True)
class Plan:
    """One benchmark.

    share     of the real model's depth and vocabulary that is in it.
    missing   who is not there, and why.
    best      the best of the rounds counts, not the median: for a machine that others use as well.
    """

    contenders: Sequence[Contender]
    rounds: int
    threads: int
    share: float = 1.0
    missing: Mapping[str, str] = field(default_factory=dict)
    best: bool = False
