"""LoRA adapters of a checkpoint: which projections they touch, and with what scale."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from models.errors import CheckpointError
from models.json_files import Fields, read_object

ADAPTER_FILE = "adapter_model.safetensors"
MOST_OWN: Final = 16  # each is an If inside the one before, and protobuf reads 100 levels
_REMEDY: Final = "Train a plain LoRA and save it with PEFT."
# settings of PEFT 0.21 that don't change what a stored adapter computes
_HARMLESS: Final = frozenset((
    "auto_mapping", "base_model_name_or_path", "ensure_weight_tying", "eva_config", "inference_mode",
    "layers_pattern", "lora_dropout", "megatron_core", "peft_version", "qalora_group_size", "revision",
    "runtime_config", "task_type",
))  # fmt: skip
# ways to fill A and B before training that leave the base weights alone, unlike PiSSA, OLoRA, CorDA, LoftQ, …
_INITIALISATIONS: Final = (True, False, "gaussian", "eva", "orthogonal")
_READ: Final = frozenset((
    "peft_type", "r", "lora_alpha", "use_rslora", "target_modules", "exclude_modules", "bias",
    "init_lora_weights",
))  # fmt: skip


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


def check_name(name: str) -> None:
    """Raise CheckpointError unless a user's adapter may have this name."""
    if not re.fullmatch(r"[a-z][a-z0-9]{0,31}", name) or name in ("vision", "speech"):
        raise CheckpointError(
            f"{name!r} can't name an adapter.", "Use small letters and digits, but not vision or speech."
        )


@dataclass(frozen=True)
class PeftConfig:
    """What matters in a PEFT folder's ``adapter_config.json``.

    ``targets`` and ``excluded`` are a regular expression or names of modules, as in PEFT.
    """

    file: Path
    rank: int
    scale: float
    targets: str | tuple[str, ...]
    excluded: str | tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> PeftConfig:
        """Parse ``folder/adapter_config.json``.

        Raises CheckpointError when it is missing or damaged, or when PEFT would compute something else from
        it than ``B @ A`` times one scale: whatever is set and not known to be harmless is refused.
        """
        file = folder / "adapter_config.json"
        return cls.parse(read_object(file, CheckpointError, _REMEDY), file)

    @classmethod
    def parse(cls, values: Mapping[str, Any], file: Path) -> PeftConfig:
        """The same from parsed JSON; ``file`` is named in errors."""
        fields = Fields(values, str(file), CheckpointError, _REMEDY)
        if fields.values.get("peft_type") != "LORA":
            raise fields.wrong("peft_type", "LORA")
        fields.expect("bias", "none")
        fields.expect("init_lora_weights", *_INITIALISATIONS)
        for name in sorted(fields.values.keys() - _HARMLESS - _READ):
            if fields.values[name]:
                raise fields.wrong(name, "off: the exporter can't express it")
        rank, alpha = fields.whole("r", most=65_536), fields.real("lora_alpha", above=0, most=1e6)
        scale = alpha / math.sqrt(rank) if fields.flag("use_rslora", False) else alpha / rank
        if "target_modules" not in fields:
            raise fields.error(f"{file} has no target_modules.", _REMEDY)
        return cls(file, rank, scale, _names(fields, "target_modules"), _names(fields, "exclude_modules"))

    def selects(self, module: str) -> bool:
        """Tell whether PEFT would adapt this module."""
        every = isinstance(self.targets, str) and self.targets.lower() == "all-linear"
        return (every or _matches(self.targets, module)) and not _matches(self.excluded, module)


def _names(fields: Fields, name: str) -> str | tuple[str, ...]:
    """A regular expression or names of modules."""
    value = fields.values.get(name) or []
    if isinstance(value, str):
        try:
            re.compile(value)
        except (re.error, RecursionError, OverflowError):
            raise fields.wrong(name, "a regular expression") from None
        return value
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise fields.wrong(name, "a regular expression or a list of names")
    return tuple(value)


def _matches(names: str | tuple[str, ...], module: str) -> bool:
    """PEFT's rule: the expression matches the whole path, or a name is its end."""
    if isinstance(names, str):
        return re.fullmatch(names, module) is not None
    return any(module == name or module.endswith(f".{name}") for name in names)
