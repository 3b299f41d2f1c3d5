"""Reads a Phi-4-multimodal checkpoint in the Hugging Face layout, one tensor at a time, without torch.

Both naming schemes are read; everything is offered under transformers' names (``models/tensor_names.py``).
A checkpoint is held against its config.json when it is opened: an unknown tensor, a missing one or one of the
wrong shape is an error that names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from models.adapters import ADAPTER_FILE, MOST_OWN, Adapter, PeftConfig, check_name
from models.config import Phi4MMConfig
from models.errors import CheckpointError
from models.json_files import Fields, read_object
from models.tensor_names import Shape, canonical, expected, text_projections, unused

BFLOAT16 = ml_dtypes.bfloat16  # importing it is what lets safetensors hand out bfloat16 arrays
_READABLE = {"BF16", "F16", "F32"}
_AGAIN = "Download the checkpoint again."


class Tensors(Protocol):
    """What the exporter needs of a checkpoint; also met by random weights."""

    @property
    def config(self) -> Phi4MMConfig:
        """The architecture."""

    @property
    def adapters(self) -> Mapping[str, Adapter]:
        """LoRA adapters by name: vision, speech, then the user's own."""

    def names(self) -> set[str]:
        """Canonical names of all tensors."""

    def read(self, name: str) -> NDArray[np.float32]:
        """Return one tensor as float32; raise CheckpointError if there is none of this name."""

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Return rows ``start`` to ``stop`` of a tensor, without reading the others."""

    def needed(self) -> set[str]:
        """The tensors that must be in the package."""


@dataclass
class _Stored:
    """Where one tensor lies."""

    file: Path
    name: str
    shape: Shape


@dataclass
class Checkpoint:
    """An opened checkpoint. Files are mapped while a tensor is read, and closed again."""

    path: Path
    config: Phi4MMConfig
    adapters: Mapping[str, Adapter]
    _tensors: dict[str, _Stored]

    @classmethod
    def open(cls, path: Path, loras: Mapping[str, Path] | None = None) -> Checkpoint:
        """Open a checkpoint folder, with a user's own LoRA folders (PEFT) by name.

        Raises CheckpointError when a file is missing or damaged, when a tensor is unknown, missing or of the
        wrong shape, or when the architecture or an adapter can't be exported.
        """
        try:
            return cls._open(path, loras or {})
        except OSError as error:
            raise CheckpointError(f"{path} can't be read: {error.strerror or error}.", _AGAIN) from error

    @classmethod
    def _open(cls, path: Path, own: Mapping[str, Path]) -> Checkpoint:
        config = Phi4MMConfig.read(path)
        tensors = _index(_weight_files(path))
        adapters = _stored_adapters(config, tensors)
        folders = {name: path / f"{name}-lora" for name in ("vision", "speech") if name not in adapters}
        if missing := [folder.name for folder in folders.values() if not folder.is_dir()]:
            raise CheckpointError(
                f"{path} has no folder {' and no folder '.join(missing)}, nor such matrices in its weights.",
                "Get the whole checkpoint: without adapters the model hears and sees badly.",
            )
        if len(own) > MOST_OWN:
            raise CheckpointError(f"{len(own)} adapters are too many.", f"A package takes up to {MOST_OWN}.")
        for name in own:
            check_name(name)
        for name, folder in {**folders, **own}.items():
            adapters[name] = _open_adapter(name, folder, config, tensors)
        wanted = expected(config)
        for adapter in adapters.values():
            wanted |= adapter.tensors(text_projections(config))
        optional = unused(config)
        _compare({name: stored.shape for name, stored in tensors.items()}, wanted, optional)
        return cls(path, config, adapters, tensors)

    def names(self) -> set[str]:
        """Canonical names of all tensors."""
        return set(self._tensors)

    def read(self, name: str) -> NDArray[np.float32]:
        """Return one tensor as float32; raise CheckpointError if there is none of this name."""
        return self._load(name, None)

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Return rows ``start`` to ``stop`` of a tensor, without reading the others."""
        return self._load(name, slice(start, stop))

    def _load(self, name: str, rows: slice | None) -> NDArray[np.float32]:
        stored = self._tensors.get(name)
        if stored is None:
            raise CheckpointError(f"The checkpoint has no tensor {name}.", _AGAIN)
        try:
            with safe_open(stored.file, framework="numpy") as file:
                array = file.get_slice(stored.name)[rows] if rows else file.get_tensor(stored.name)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{stored.file} can't be read: {error}.", _AGAIN) from error
        result: NDArray[np.float32] = array.astype(np.float32, copy=False)
        return result

    def needed(self) -> set[str]:
        """The tensors that must be in the package."""
        return set(self._tensors) - unused(self.config)


def _weight_files(path: Path) -> list[Path]:
    index = path / "model.safetensors.index.json"
    files = [path / "model.safetensors"]
    if index.exists():
        fields = Fields(read_object(index, CheckpointError, _AGAIN), str(index), CheckpointError, _AGAIN)
        names = fields.section("weight_map").values.values()
        for name in names:
            if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
                raise CheckpointError(f"{index} names a file outside the folder: {name!r}.", "Don't use it.")
        files = [path / name for name in sorted(set(names))]
    for file in files:
        if not file.is_file():
            problem = "is not a plain file" if file.exists() else "is missing"
            raise CheckpointError(
                f"{file} {problem}.", "The weights must be safetensors files; get them all."
            )
    return files


def _index(files: Iterable[Path], adapter: str | None = None) -> dict[str, _Stored]:
    tensors: dict[str, _Stored] = {}
    for file in files:
        try:
            with safe_open(file, framework="numpy") as opened:
                for name in opened.keys():  # noqa: SIM118 (not a dict: it can't be iterated over)
                    part = opened.get_slice(name)
                    key = canonical(name, adapter)
                    if key in tensors:
                        raise CheckpointError(f"The tensor {name} is in the checkpoint twice.", _AGAIN)
                    if part.get_dtype() not in _READABLE:
                        raise CheckpointError(
                            f"The tensor {name} is stored as {part.get_dtype()}.",
                            "Use a checkpoint in bfloat16, float16 or float32.",
                        )
                    tensors[key] = _Stored(file, name, tuple(part.get_shape()))
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file} is damaged: {error}.", _AGAIN) from error
    return tensors


def _stored_adapters(config: Phi4MMConfig, tensors: Mapping[str, _Stored]) -> dict[str, Adapter]:
    """Adapters whose matrices lie among the base model's weights, as in the original repository."""
    adapters: dict[str, Adapter] = {}
    for name in ("vision", "speech"):
        modules = _adapted(name, tensors)
        if not modules:
            continue
        if name not in config.adapters:
            raise CheckpointError(f"config.json has no {name}_lora, but the weights have one.", _AGAIN)
        settings = config.adapters[name]
        scale = settings.alpha / settings.rank
        adapters[name] = Adapter(name, settings.rank, scale, frozenset(text_projections(config)))
    return adapters


def _open_adapter(name: str, folder: Path, config: Phi4MMConfig, tensors: dict[str, _Stored]) -> Adapter:
    """Add a PEFT folder's matrices to ``tensors`` and return the adapter."""
    peft = PeftConfig.read(folder)
    file = folder / ADAPTER_FILE
    if not file.is_file():
        problem = "is not a plain file" if file.exists() else "is missing"
        raise CheckpointError(f"{file} {problem}.", "Get the adapter again, saved as safetensors.")
    projections = text_projections(config)
    modules = frozenset(m for m in projections if peft.selects(m))
    if not modules:
        raise CheckpointError(
            f"target_modules in {peft.file} matches none of the language model's projections.",
            "They are qkv_proj, o_proj, gate_up_proj and down_proj.",
        )
    found = _index([file], name)
    foreign = sorted(tensor for tensor in found if not tensor.startswith(f"{name}_lora."))
    if foreign:
        raise CheckpointError(
            f"{file} holds {foreign[0]}, which is no LoRA matrix.", "Save the adapter without full weights."
        )
    elsewhere = sorted(_adapted(name, found) - modules)
    if elsewhere:
        known = elsewhere[0] in projections
        reason = (
            "target_modules does not select" if known else "is not one of the language model's projections"
        )
        raise CheckpointError(
            f"{file} adapts {elsewhere[0]}, which {reason}.",
            "Only qkv_proj, o_proj, gate_up_proj and down_proj of the language model can be adapted.",
        )
    tensors |= found
    return Adapter(name, peft.rank, peft.scale, modules)


def _adapted(name: str, tensors: Mapping[str, _Stored]) -> set[str]:
    prefix = f"{name}_lora."
    return {t.removeprefix(prefix).rpartition(".")[0] for t in tensors if t.startswith(prefix)}


def _compare(found: Mapping[str, Shape], wanted: Mapping[str, Shape], optional: set[str]) -> None:
    """Raise CheckpointError naming the tensors that are unknown, missing or of the wrong shape."""
    problems: list[str] = []
    for kind, names in (
        ("unknown", found.keys() - wanted.keys()),
        ("missing", wanted.keys() - found.keys() - optional),
    ):
        problems += [f"{kind}: {name}" for name in sorted(names)]
    for name in sorted(found.keys() & wanted.keys()):
        if found[name] != wanted[name]:
            problems.append(f"{name} is {list(found[name])} instead of {list(wanted[name])}")
    if problems:
        shown = "; ".join(problems[:8]) + (f"; and {len(problems) - 8} more" if len(problems) > 8 else "")
        raise CheckpointError(f"The checkpoint's tensors don't fit its config.json: {shown}.", _AGAIN)
