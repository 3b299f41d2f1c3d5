"""LoRA adapters of a checkpoint: which projections they touch, and with what scale."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import CheckpointError

ADAPTER_FILE = "adapter_model.safetensors"
FIRST_USER_MODE = 4  # adapter_mode 0 none, 1 vision, 2 speech, 3 vision (pictures and sound)


@dataclass(frozen=True)
class Adapter:
    """A LoRA: ``delta W = scale * B @ A`` on each module of ``modules`` (paths in the language model)."""

    name: str
    rank: int
    scale: float
    modules: frozenset[str]

    def tensors(self, projections: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Canonical names and shapes of the matrices, A [rank, in] and B [out, rank]."""
        shapes: dict[str, tuple[int, ...]] = {}
        for module in sorted(self.modules):
            out, inner = projections[module]
            shapes[f"{self.name}_lora.{module}.lora_A"] = (self.rank, inner)
            shapes[f"{self.name}_lora.{module}.lora_B"] = (out, self.rank)
        return shapes


@dataclass(frozen=True)
class PeftConfig:
    """What matters in a PEFT folder's ``adapter_config.json``."""

    rank: int
    scale: float
    targets: str | tuple[str, ...]

    @classmethod
    def read(cls, folder: Path) -> PeftConfig:
        """Parse ``folder/adapter_config.json``; raise CheckpointError when it can't be exported."""
        path = folder / "adapter_config.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return cls._parse(values, path)
        except FileNotFoundError:
            raise CheckpointError(f"{folder} has no adapter_config.json.", "Give a PEFT folder.") from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise CheckpointError(
                f"{path} can't be used: {error!r}.", "Save the adapter again with PEFT."
            ) from error

    @classmethod
    def _parse(cls, values: dict[str, Any], path: Path) -> PeftConfig:
        plain: dict[str, tuple[object, object]] = {
            "peft_type": ("LORA", None),
            "use_dora": (False, None),
            "bias": ("none", None),
            "modules_to_save": (None, []),
            "rank_pattern": ({}, None),
            "alpha_pattern": ({}, None),
            "fan_in_fan_out": (False, None),
            "layers_to_transform": (None, []),
        }
        for name, allowed in plain.items():
            if values.get(name) not in allowed and name in values:
                raise CheckpointError(
                    f"{path} sets {name} to {values[name]!r}, which the exporter does not support.",
                    "Train a plain LoRA: one rank, no bias, no DoRA.",
                )
        rank, alpha = int(values["r"]), float(values["lora_alpha"])
        targets = values["target_modules"]
        return cls(
            rank,
            alpha / math.sqrt(rank) if values.get("use_rslora") else alpha / rank,
            targets if isinstance(targets, str) else tuple(targets),
        )

    def selects(self, module: str) -> bool:
        """Tell whether PEFT would adapt this module: a full regular expression, or names of path ends."""
        if isinstance(self.targets, str):
            return self.targets == "all-linear" or re.fullmatch(self.targets, module) is not None
        return any(module == t or module.endswith(f".{t}") for t in self.targets)
