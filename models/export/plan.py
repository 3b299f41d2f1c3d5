"""Which precision each graph of a package gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from models.export.quantize import FP32, Format, Precision
from models.export.text import TextPrecision

_EIGHT = Precision("rows8")
_EIGHT_BY_ROWS = TextPrecision(_EIGHT, _EIGHT, _EIGHT, _EIGHT)
PLANS = ("fp32", "fp16", "int8", "int4")


@dataclass(frozen=True)
class PrecisionPlan:
    """The precision of the four graphs; ``named`` gives the four plans that are offered.

    fp32  everything in float32: for comparison with the reference.
    fp16  float16 weights, float32 arithmetic: half the size, no loss worth the name.
    int8  8 bits everywhere. The encoders, which see many rows at once, quantise activations per call.
    int4  4 bits in the language model, but 8 where 4 hurt most: down projections, head and embedding. What 4
          bits change in an adapter is little beside what they change in the matrix that it is added to.
    """

    name: str = "fp32"
    text: TextPrecision = field(default_factory=TextPrecision)
    embedding: Precision = FP32
    vision: Precision = FP32
    speech: Precision = FP32
    prefill: TextPrecision | None = None

    @classmethod
    def named(
        cls,
        name: str,
        block_size: int = 64,
        *,
        sensitive: Literal["int8", "int4"] = "int8",
        prefill: bool = False,
    ) -> PrecisionPlan:
        """Return a plan of ``PLANS``; raise ValueError for another name or block size.

        ``block_size`` is that of matrices in 4 bits, ``sensitive`` the precision of the int4 plan's down
        projections and head. ``prefill`` adds the language model once more in 8 bits, for reading prompts.
        """
        if name not in PLANS:
            raise ValueError(f"unknown precision {name!r}, expected one of {', '.join(PLANS)}")
        encoders = Precision("fp32") if name == "fp32" else Precision("fp16")
        if name in ("int8", "int4"):
            encoders = Precision("dynamic8")
        plan = _uniform(name, encoders, block_size)
        if name == "int4":
            eight = Precision(
                "int8", 128
            )  # in 8 bits, smaller blocks gain nothing that is worth their scales
            text = replace(plan.text, down=eight, head=eight) if sensitive == "int8" else plan.text
            plan = replace(plan, text=text, embedding=eight)
        return replace(plan, prefill=_EIGHT_BY_ROWS if prefill else None)

    def summary(self, used: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
        """The plan in words, as ``aside.json`` records it.

        ``used`` has the block size of each weight by graph and name: narrow matrices get smaller blocks than
        the plan asks for.
        """
        words = self._text_words(used["text"])
        others = {"embedding": self.embedding, "vision": self.vision, "speech": self.speech}
        return (
            {"text": words}
            | {graph: _word(precision, set(used[graph].values())) for graph, precision in others.items()}
            | ({"prefill": self.prefill.projections.format} if self.prefill else {})
        )

    def _text_words(self, used: Mapping[str, int]) -> str:
        text = self.text
        parts = {"": text.projections, "down ": text.down, "head ": text.head, "adapters ": text.adapters}
        words = []
        for role, precision in parts.items():
            if role and precision == text.projections:
                continue
            same = {r for r, p in parts.items() if p == precision} if not role else {role}
            words.append(role + _word(precision, {b for n, b in used.items() if _role(n) in same}))
        return ", ".join(words)


def _role(weight: str) -> str:
    """Which part of ``TextPrecision`` a weight of the text graph belongs to."""
    if "_lora." in weight:
        return "adapters "
    return "head " if weight.startswith("lm_head.") else "down " if ".down_proj." in weight else ""


def _uniform(name: str, encoders: Precision, block_size: int) -> PrecisionPlan:
    formats: dict[str, Format] = {"fp32": "fp32", "fp16": "fp16", "int8": "int8", "int4": "int4"}
    one = Precision(formats[name], block_size) if name == "int4" else Precision(formats[name])
    return PrecisionPlan(name, TextPrecision(one, one, one, one), one, encoders, encoders)


def _word(precision: Precision, blocks: set[int]) -> str:
    sizes = " and ".join(str(size) for size in sorted(blocks))
    return f"{precision.format} block {sizes}" if sizes else precision.format
