"""Checkpoint to package: four graphs, settings, tokenizer, checksums; all of it or nothing.

A package is written into a hidden folder beside its destination and renamed at the end. Weights pass through
one at a time, so the memory needed is that of the largest tensor (the embedding), not of the model.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.adapters import Adapter
from models.checkpoint import Checkpoint, Tensors
from models.config import AUDIO_TOKEN, IMAGE_TOKEN, Phi4MMConfig
from models.errors import Cancelled, CheckpointError, PackageError
from models.export.embedding import write_embedding
from models.export.plan import PrecisionPlan
from models.export.settings import check_processors, genai_config, speech_processor, vision_processor
from models.export.speech import write_speech
from models.export.text import adapter_modes, write_text
from models.export.tokenizer import AUDIO, IMAGE, byte_tokenizer, tokenizer_config
from models.export.vision import write_vision
from models.tensor_names import expected

Progress = Callable[[str, int, int], None]
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
TOKENIZER_LIMIT = 64 * 2**20  # bytes


@dataclass(frozen=True)
class Card:
    """What ``aside.json`` says about a package to people, and how long a clip it hears well (seconds)."""

    name: str
    description: str = ""
    limits: Sequence[str] = field(default_factory=tuple)
    clip_seconds: float = 30.0


def build(
    source: Path | Tensors,
    out: Path,
    precision: PrecisionPlan,
    progress: Progress = lambda *_: None,
    cancelled: Callable[[], bool] = lambda: False,
    *,
    card: Card | None = None,
    loras: Mapping[str, Path] | None = None,
    dynamic_hd: int = 36,
    replace: bool = False,
) -> Path:
    """Write the package ``out`` from a checkpoint folder, an opened checkpoint or random weights.

    ``progress(stage, done, total)`` counts the parameters read so far; ``cancelled()`` is asked before each
    tensor, and in the large ones more often. ``loras`` names a user's own adapters (PEFT folders; they get
    ``adapter_mode`` 4, 5, …). ``dynamic_hd`` is the most crops that a picture is cut into.

    Raises CheckpointError when the checkpoint does not fit, PackageError when ``out`` exists (unless
    ``replace``) or can't be written, Cancelled when ``cancelled`` said so: then nothing is left behind.
    """
    if out.exists() and not replace:
        raise PackageError(f"{out} exists already.", "Choose another folder or ask for it to be replaced.")
    if out.exists() and not (out / "aside.json").is_file():
        raise PackageError(
            f"{out} is no package that Aside has built, so it is not replaced.", "Choose another folder."
        )
    checkpoint = Checkpoint.open(source, loras) if isinstance(source, Path) else source
    check_processors(checkpoint.config)
    tokenizer = _tokenizer(checkpoint)
    watched = _Watched(checkpoint, progress, cancelled)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
    except OSError as error:
        raise PackageError(f"{out.parent} can't be written to: {error.strerror}.") from error
    try:
        _write_graphs(watched, work, precision)
        forgotten = watched.unread()
        if forgotten:
            names = ", ".join(sorted(forgotten)[:8])
            raise CheckpointError(f"No graph used {len(forgotten)} of the checkpoint's tensors: {names}.")
        for name, content in {
            "genai_config.json": genai_config(checkpoint.config),
            "vision_processor.json": vision_processor(dynamic_hd),
            "speech_processor.json": speech_processor(),
        }.items():
            _write_json(work / name, content)
        for name, data in tokenizer.items():
            (work / name).write_bytes(data)
        card = card or Card(out.name)
        _write_json(work / "aside.json", _card(card, checkpoint, precision, _sums(work, watched)))
        watched.check()
        work.chmod(0o755)  # mkdtemp keeps it private
        _into_place(work, out)
    except OSError as error:
        raise PackageError(
            f"The package can't be written: {error.strerror or error}.", "Free some disk space and try again."
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return out


class _Watched:
    """The checkpoint as the graph writers see it: each tensor read is progress and a chance to stop."""

    def __init__(self, inner: Tensors, progress: Progress, cancelled: Callable[[], bool]) -> None:
        self.inner = inner
        self.progress = progress
        self.cancelled = cancelled
        self.stage = ""
        self.done = 0
        shapes = expected(inner.config)
        for adapter in inner.adapters.values():
            shapes |= adapter.tensors({n.removesuffix(".weight"): s for n, s in shapes.items()})
        self.sizes = {name: math.prod(shapes.get(name, ())) for name in inner.names()}
        # a tied embedding is read for both the embedding and the text graph
        twice = self.sizes["model.embed_tokens.weight"] if inner.config.tied_embeddings else 0
        self.total = sum(self.sizes[name] for name in inner.unread()) + twice

    @property
    def config(self) -> Phi4MMConfig:
        return self.inner.config

    @property
    def adapters(self) -> Mapping[str, Adapter]:
        return self.inner.adapters

    def names(self) -> set[str]:
        return self.inner.names()

    def unread(self) -> set[str]:
        return self.inner.unread()

    def read(self, name: str) -> NDArray[np.float32]:
        self.check()
        return self._count(self.inner.read(name))

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        self.check()
        return self._count(self.inner.rows(name, start, stop))

    def _count(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        self.done += array.size
        self.progress(self.stage, min(self.done, self.total), self.total)
        return array

    def check(self) -> None:
        if self.cancelled():
            raise Cancelled("The export was stopped.")


def _write_graphs(checkpoint: _Watched, work: Path, precision: PrecisionPlan) -> None:
    checkpoint.stage = "vision"
    write_vision(checkpoint, work, precision.vision)
    checkpoint.stage = "speech"
    write_speech(checkpoint, work, precision.speech)
    checkpoint.stage = "embedding"
    write_embedding(checkpoint, work, precision.embedding)
    checkpoint.stage = "text"
    write_text(checkpoint, work, precision.text)


def _tokenizer(checkpoint: Tensors) -> dict[str, bytes]:
    """The tokenizer's files; a byte-level one when the weights are random."""
    if not isinstance(checkpoint, Checkpoint):
        contents = (byte_tokenizer(checkpoint.config.vocab_size), tokenizer_config())
        return {n: json.dumps(c).encode() for n, c in zip(TOKENIZER_FILES, contents, strict=True)}
    files: dict[str, bytes] = {}
    for name in TOKENIZER_FILES:
        path = checkpoint.path / name
        try:
            if path.stat().st_size > TOKENIZER_LIMIT:
                raise CheckpointError(
                    f"{path} is too large for a tokenizer.", "Download the checkpoint again."
                )
            files[name] = path.read_bytes()
            content = json.loads(files[name])
        except FileNotFoundError:
            raise CheckpointError(f"{path} is missing.", "Download the tokenizer's files as well.") from None
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} can't be read: {error}.", "Download it again.") from error
        if name == "tokenizer.json":
            _check_placeholders(path, content)
    return files


def _check_placeholders(path: Path, content: Any) -> None:
    added = content.get("added_tokens", []) if isinstance(content, dict) else []
    ids = {t.get("content"): t.get("id") for t in added if isinstance(t, dict)}
    for token, wanted in ((IMAGE, IMAGE_TOKEN), (AUDIO, AUDIO_TOKEN)):
        if ids.get(token) != wanted:
            raise CheckpointError(
                f"{path} gives {token} the id {ids.get(token)}, not {wanted}.",
                "onnxruntime-genai marks pictures and sounds with these two ids.",
            )


def _card(card: Card, checkpoint: Tensors, precision: PrecisionPlan, files: dict[str, Any]) -> dict[str, Any]:
    config = checkpoint.config
    return {
        "format": 1,
        "name": card.name,
        "description": card.description,
        "limits": list(card.limits),
        "clip_seconds": card.clip_seconds,
        "precision": precision.summary(),
        "context_length": config.max_position_embeddings,
        "original_max_position_embeddings": config.original_max_position_embeddings,
        "adapter_input": "adapter_mode",
        "adapters": {str(mode): name for mode, name in sorted(adapter_modes(checkpoint.adapters).items())},
        "files": files,
    }


def _sums(work: Path, watched: _Watched) -> dict[str, Any]:
    watched.stage = "checksums"
    sums: dict[str, Any] = {}
    for path in sorted(work.iterdir()):
        watched.check()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        sums[path.name] = {"bytes": path.stat().st_size, "sha256": digest}
        watched.progress(watched.stage, watched.total, watched.total)
    return sums


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _into_place(work: Path, out: Path) -> None:
    """Rename ``work`` to ``out``; an older package there is moved aside first and then removed."""
    if not out.exists():
        work.rename(out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".old", dir=out.parent))
    try:
        kept = out.rename(old / out.name)
        try:
            work.rename(out)
        except OSError:
            kept.rename(out)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
