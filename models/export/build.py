"""Checkpoint to package: four graphs, settings, tokenizer, checksums; all of it or nothing.

Weights pass through one at a time, so the memory needed is that of the largest tensor (the embedding), not of
the model.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.adapters import Adapter
from models.checkpoint import Checkpoint, Tensors
from models.config import AUDIO_TOKEN, IMAGE_TOKEN, Phi4MMConfig
from models.errors import Cancelled, CheckpointError
from models.export.embedding import write_embedding
from models.export.plan import PrecisionPlan
from models.export.settings import check_processors, genai_config, speech_processor, vision_processor
from models.export.speech import write_speech
from models.export.staging import Staging, unwritable
from models.export.text import PREFILL, adapter_modes, write_prefill, write_text
from models.export.tokenizer import AUDIO, IMAGE, byte_tokenizer, tokenizer_config
from models.export.vision import write_vision
from models.json_files import parse_object, read_bytes
from models.onnx_files import block_sizes
from models.tensor_names import expected

Progress = Callable[[str, int, int], None]
GRAPHS = ("text", "embedding", "vision", "speech")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
_AGAIN = "Download the tokenizer's files again."
_AT_ONCE = 4 * 2**20  # bytes hashed between two chances to stop


@dataclass(frozen=True)
class Card:
    """What ``aside.json`` says about a package to people, and how long a clip it hears well (seconds).

    ``retells``: whether what it says after a tool's result can be shown; if not, the result stands alone.
    """

    name: str
    description: str = ""
    limits: Sequence[str] = field(default_factory=tuple)
    clip_seconds: float = 30.0
    retells: bool = True


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
    ``adapter_mode`` 4, 5, …) and goes with a checkpoint folder. ``dynamic_hd`` is the most crops that a
    picture is cut into.

    Raises CheckpointError when the checkpoint does not fit, PackageError when ``out`` exists (unless
    ``replace``) or can't be written, Cancelled when ``cancelled`` said so: then nothing is left behind.
    """
    if loras and not isinstance(source, Path):
        raise ValueError("an opened checkpoint has its adapters already")
    try:
        staging = Staging(out, replace)
    except OSError as error:
        raise unwritable(out, error) from error
    checkpoint = Checkpoint.open(source, loras) if isinstance(source, Path) else source
    check_processors(checkpoint.config)
    tokenizer = _tokenizer(checkpoint)
    watched = _Watched(checkpoint, progress, cancelled)
    try:
        with staging:
            if precision.prefill:
                watched.total += watched.projections
            _write_graphs(watched, staging.package, precision)
            if watched.unread:
                names = ", ".join(sorted(watched.unread)[:8])
                raise CheckpointError(
                    f"No graph used {len(watched.unread)} of the checkpoint's tensors: {names}."
                )
            work = staging.package
            settings = {
                "genai_config.json": genai_config(checkpoint.config),
                "vision_processor.json": vision_processor(dynamic_hd),
                "speech_processor.json": speech_processor(),
            }
            for name, data in {**{n: _json(c) for n, c in settings.items()}, **tokenizer}.items():
                (work / name).write_bytes(data)
            used = {graph: block_sizes(work / f"phi-4-mm-{graph}.onnx") for graph in GRAPHS}
            about = _about(card or Card(out.name), checkpoint) | {"precision": precision.summary(used)}
            if precision.prefill:
                about["prefill"] = f"{PREFILL}.onnx"
            (work / "aside.json").write_bytes(_json(about | {"files": _sums(work, watched)}))
            staging.publish(watched.check)
    except OSError as error:
        raise unwritable(out, error) from error
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
        self.unread = inner.needed()  # here, not in the checkpoint: that may serve several builds
        self.projections = sum(
            size
            for name, size in self.sizes.items()
            if ".layers." in name
            and ".embed_tokens_extend." not in name
            and name in self.unread
            # reading a prompt ends with the last keys and values
            and (f".layers.{inner.config.layers - 1}." not in name or "qkv_proj" in name or "input_" in name)
        )
        # a tied embedding is read for both the embedding and the text graph
        twice = self.sizes["model.embed_tokens.weight"] if inner.config.tied_embeddings else 0
        self.total = sum(self.sizes[name] for name in self.unread) + twice

    @property
    def config(self) -> Phi4MMConfig:
        return self.inner.config

    @property
    def adapters(self) -> Mapping[str, Adapter]:
        return self.inner.adapters

    def names(self) -> set[str]:
        return self.inner.names()

    def needed(self) -> set[str]:
        return self.inner.needed()

    def read(self, name: str) -> NDArray[np.float32]:
        self.check()
        return self._count(name, self.inner.read(name))

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        self.check()
        return self._count(name, self.inner.rows(name, start, stop))

    def _count(self, name: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
        self.unread.discard(name)
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
    if precision.prefill:
        checkpoint.stage = "prefill"
        write_prefill(checkpoint, work, precision.prefill)


def _tokenizer(checkpoint: Tensors) -> dict[str, bytes]:
    """The tokenizer's files; a byte-level one when the weights are random."""
    if not isinstance(checkpoint, Checkpoint):
        contents = (byte_tokenizer(checkpoint.config.vocab_size), tokenizer_config())
        return {n: json.dumps(c).encode() for n, c in zip(TOKENIZER_FILES, contents, strict=True)}
    files: dict[str, bytes] = {}
    for name in TOKENIZER_FILES:
        path = checkpoint.path / name
        files[name] = read_bytes(path, CheckpointError, _AGAIN)
        content = parse_object(files[name], str(path), CheckpointError, _AGAIN)
        if name == "tokenizer.json":
            _check_placeholders(path, content)
    return files


def _check_placeholders(path: Path, content: dict[str, Any]) -> None:
    added = content.get("added_tokens")
    tokens = [t for t in added if isinstance(t, dict)] if isinstance(added, list) else []
    ids = {str(t.get("content")): t.get("id") for t in tokens}
    for token, wanted in ((IMAGE, IMAGE_TOKEN), (AUDIO, AUDIO_TOKEN)):
        if ids.get(token) != wanted:
            raise CheckpointError(
                f"{path} gives {token} the id {ids.get(token)}, not {wanted}.",
                "onnxruntime-genai marks pictures and sounds with these two ids.",
            )


def _about(card: Card, checkpoint: Tensors) -> dict[str, Any]:
    """``aside.json`` but for the precision and the files."""
    config = checkpoint.config
    return {
        "format": 1,
        "name": card.name,
        "description": card.description,
        "limits": list(card.limits),
        "clip_seconds": card.clip_seconds,
        "retells": card.retells,
        "context_length": config.max_position_embeddings,
        "original_max_position_embeddings": config.original_max_position_embeddings,
        "adapter_input": "adapter_mode",
        "adapters": {str(mode): name for mode, name in sorted(adapter_modes(checkpoint.adapters).items())},
    }


def _sums(work: Path, watched: _Watched) -> dict[str, Any]:
    watched.stage = "checksums"
    sums: dict[str, Any] = {}
    for path in sorted(work.iterdir()):
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while data := file.read(_AT_ONCE):
                watched.check()
                digest.update(data)
        sums[path.name] = {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}
        watched.progress(watched.stage, watched.total, watched.total)
    return sums


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
