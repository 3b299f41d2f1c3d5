"""What was found: medians, ratios within a round, shares of the machine's limit, and the aims."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from assistant.bench.engine.plan import (
    DECODE,
    DECODE_ADAPTED,
    DECODE_LATER,
    EXTEND,
    KEPT,
    LONGEST,
    MEMORY,
    NEW,
    SECTIONS,
    Contender,
    Plan,
    Section,
)
from assistant.bench.engine.prepare import ASIDE, LLAMA, MACHINE, REFERENCE, SHIPPED

BY_KEY: Final = {section.key: section for section in SECTIONS}
PREFILLS: Final = tuple(section.key for section in SECTIONS if section.action == "prefill")


@dataclass(frozen=True)
class Aim:
    """A ratio that is wanted: at least or at most so much."""

    what: str
    found: float | None
    wanted: float
    least: bool = True

    @property
    def verdict(self) -> Literal["met", "missed", "not measured"]:
        """Whether it is as wanted."""
        if self.found is None:
            return "not measured"
        return "met" if (self.found >= self.wanted) == self.least or self.found == self.wanted else "missed"


@dataclass
class Findings:
    """All values, in seconds, bytes or the machine's rates, round by round."""

    plan: Plan
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    rounds: int = 0
    stopped: bool = False

    def add(self, contender: str, key: str, value: float) -> None:
        """One measurement."""
        self.values.setdefault(contender, {}).setdefault(key, []).append(value)

    def of(self, contender: str, key: str) -> list[float]:
        """All measurements of one thing."""
        return self.values.get(contender, {}).get(key, [])

    def median(self, contender: str, key: str) -> float | None:
        """In seconds, bytes or the machine's rate; None if it was not measured. The best, if that counts."""
        found = self.of(contender, key)
        if not found:
            return None
        if self.plan.best:
            return max(found) if contender == MACHINE or key == MEMORY else min(found)
        return statistics.median(found)

    def rate(self, contender: str, key: str) -> float | None:
        """Tokens a second."""
        seconds = self.median(contender, key)
        return BY_KEY[key].amount / seconds if seconds else None

    def ratio(self, slower: tuple[str, str], faster: tuple[str, str]) -> float | None:
        """The median over the rounds of one time divided by another: how much faster the second one is."""
        if self.plan.best:
            one, other = self.median(*slower), self.median(*faster)
            return one / other if one and other else None
        pairs = list(zip(self.of(*slower), self.of(*faster), strict=False))
        return statistics.median(a / b for a, b in pairs) if pairs else None

    def limit(self, contender: Contender, key: str) -> float | None:
        """Tokens a second that the machine allows: by memory when decoding, by 8-bit products in a prompt."""
        if key in (DECODE, DECODE_LATER):
            bandwidth = self.median(MACHINE, "memory read")
            context = KEPT if key == DECODE_LATER else 0
            cost = contender.bytes_per_token + context * contender.kv_bytes
            return bandwidth * 1e9 / cost if bandwidth and cost else None
        if key in PREFILLS or key == EXTEND:
            products = self.median(MACHINE, "int8 products")
            return products * 1e9 / contender.operations if products and contender.operations else None
        return None

    def share(self, contender: Contender, key: str) -> float | None:
        """The part of the limit that is reached."""
        rate, limit = self.rate(contender.name, key), self.limit(contender, key)
        return rate / limit if rate and limit else None

    def memory_share(self, contender: Contender) -> float | None:
        """Peak memory as a multiple of the files and the keys and values of the longest context."""
        peak = self.median(contender.name, MEMORY)
        least = contender.files + contender.kv_bytes * LONGEST
        return peak / least if peak and contender.files else None

    def aims(self) -> list[Aim]:
        """What the project wants of itself, on two cores at full size."""
        ours = next(one for one in self.plan.contenders if one.name == ASIDE)
        other = LLAMA["Q4_0"]
        alone = f"prefill {NEW}"
        whole = (
            self.plan.share >= 1
        )  # what an encoder does once, and libraries, weigh as much in a small model

        def encoder(key: str) -> float | None:
            return self.ratio((SHIPPED, key), (REFERENCE, key)) if whole else None

        picture, speech = "picture, 5 crops", "speech, 30 s"
        return [
            Aim(f"decode, times {other}", self.ratio((other, DECODE), (ASIDE, DECODE)), 1.0),
            Aim("decode, of the limit", self.share(ours, DECODE), 0.9),
            Aim(f"decode at {KEPT:,}, of the limit", self.share(ours, DECODE_LATER), 0.9),
            Aim(
                "decode with the speech adapter, of without",
                self.ratio((ASIDE, DECODE), (ASIDE, DECODE_ADAPTED)),
                0.9,
            ),
            Aim(
                f"prefill 512, times {other}", self.ratio((other, "prefill 512"), (ASIDE, "prefill 512")), 2.0
            ),
            Aim(
                f"{NEW} tokens on {KEPT:,}, times alone",
                self.ratio((ASIDE, EXTEND), (ASIDE, alone)),
                1.2,
                False,
            ),
            Aim(f"{picture}, of fp32", encoder(picture), 0.5, False),
            Aim(f"{speech}, of fp32", encoder(speech), 0.5, False),
            Aim("peak memory, times files and KV", self.memory_share(ours) if whole else None, 1.15, False),
        ]

    def as_json(self, conditions: Mapping[str, Any]) -> dict[str, Any]:
        """One object; every measurement is in it."""
        return {
            "conditions": dict(conditions),
            "rounds": self.rounds,
            "threads": self.plan.threads,
            "share of the real size": self.plan.share,
            "contenders": [one.summary() | self._found(one) for one in self.plan.contenders],
            "missing": dict(self.plan.missing),
            "failed": self.failed,
            "aims": [
                {"what": a.what, "found": a.found, "wanted": a.wanted, "least": a.least, "verdict": a.verdict}
                for a in self.aims()
            ],
        }

    def _found(self, contender: Contender) -> dict[str, Any]:
        sections: dict[str, dict[str, Any]] = {}
        for key, values in self.values.get(contender.name, {}).items():
            section: Section | None = BY_KEY.get(key)
            tokens = section is not None and section.unit == "tokens/s"
            sections[key] = {
                "values": values,
                "unit": "bytes" if key == MEMORY else "s" if tokens or section is None else section.unit,
                "best" if self.plan.best else "median": self.median(contender.name, key),
            }
            if tokens:
                sections[key] |= {
                    "tokens_per_second": self.rate(contender.name, key),
                    "limit": self.limit(contender, key),
                    "times_aside": self.ratio((ASIDE, key), (contender.name, key)),
                }
        return {"sections": sections}
