"""Builds what is measured: a package with random weights, its encoders in float32, files for llama.cpp.

All is kept for the next time, under a name that changes with the exporter's source.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Final

from assistant.bench.engine import gguf_model
from assistant.bench.engine.cost import graph_cost
from assistant.bench.engine.plan import Contender, Plan
from models import export, package, random_weights
from models.config import Phi4MMConfig
from models.errors import AsideError, PackageError
from models.export import Card, PrecisionPlan, build
from models.export.quantize import FP32
from models.export.speech import write_speech
from models.export.vision import write_vision
from models.package import PackageInfo
from models.random_weights import RandomCheckpoint

Progress = Callable[[str, int, int], None]
ASIDE: Final = "Aside"
GENAI: Final = "og.Generator"
LLAMA: Final = {quant: f"llama.cpp {quant}" for quant in gguf_model.QUANTS}
SHIPPED: Final = "encoders as shipped"
REFERENCE: Final = "encoders in fp32"
MACHINE: Final = "machine"

_NEEDED: Final = ("llama_cpp", "gguf")
# without the flags, gcc 12 drops the tile's configuration, and llama.cpp crashes on processors with AMX
_INSTALL: Final = (
    "install it with: CMAKE_ARGS=\"-DGGML_NATIVE=ON -DCMAKE_CXX_FLAGS='-fno-dse -fno-tree-dse'\" "
    "{python} -m pip install gguf llama-cpp-python (compiles for some minutes; needs a C++ compiler)"
)


class NoSpaceError(AsideError):
    """The disk is too full for what would be built."""


def prepare(
    config: Phi4MMConfig,
    folder: Path,
    rounds: int,
    threads: int,
    progress: Progress = lambda *_: None,
    *,
    precision: PrecisionPlan | None = None,
    best: bool = False,
) -> Plan:
    """Build what isn't there yet, in ``folder``; who takes part, and who is missing.

    ``precision`` is the package's, int4 by default.

    Raises PackageError, NoSpaceError.
    """
    label = f"{config.layers}x{config.hidden_size}"
    here = folder / f"{label}-{_digest(config)}"
    _forget(folder, label, here)
    missing = _missing()
    _check_space(config, here, bool(missing))
    here.mkdir(parents=True, exist_ok=True)
    source = RandomCheckpoint(config)
    precision = precision or PrecisionPlan.named("int4")
    built = here / f"package-{hashlib.sha256(repr(precision).encode()).hexdigest()[:6]}"
    if not built.is_dir():
        build(source, built, precision, progress, card=Card("random"))
    reference = here / "encoders-fp32"
    if not reference.is_dir():
        _whole(reference, lambda part: _encoders(source, part, progress))
    info = package.check(built)
    contenders = package_contenders(info)
    contenders += [
        Contender(SHIPPED, "encoders", str(built), info.precision.get("vision", "")),
        Contender(REFERENCE, "encoders", str(reference), "fp32"),
    ]
    if not missing:
        for quant in gguf_model.QUANTS:
            file = here / f"{quant}.gguf"
            if not file.exists():
                _whole(file, functools.partial(gguf_model.write, config, quant, progress=progress))
            contenders.append(_llama(config, quant, file))
    share = config.layers / random_weights.REAL.layers
    return Plan(contenders, rounds, threads, share, missing, best)


def package_contenders(info: PackageInfo) -> list[Contender]:
    """The machine, and those that run a package: the engine and onnxruntime-genai."""
    cost = graph_cost(info.path / info.graphs["text"])
    names = [info.graphs[name] for name in ("text", "embedding", "prefill") if name in info.graphs]
    genai = f"onnxruntime-genai {metadata.version('onnxruntime-genai')}, the same package"

    ours = Contender(
        ASIDE,
        "aside",
        str(info.path),
        "; prompts ".join(info.precision[n] for n in ("text", "prefill") if n in info.precision),
        cost.bytes,
        info.kv_bytes(1),
        cost.operations,
        sum(size for file, size in info.files.items() if file.startswith(tuple(names))),
    )
    return [Contender(MACHINE, "machine"), ours, replace(ours, name=GENAI, kind="genai", about=genai)]


def _llama(config: Phi4MMConfig, quant: gguf_model.Quant, file: Path) -> Contender:
    matrices = [
        t for t in gguf_model.tensors(config, quant) if t.name.startswith("blk.") and len(t.shape) == 2
    ]
    return Contender(
        LLAMA[quant],
        "llama",
        str(file),
        f"llama-cpp-python {metadata.version('llama-cpp-python')}, embedding and head Q6_K",
        gguf_model.decode_bytes(config, quant),
        2 * 2 * config.layers * config.kv_heads * config.head_dim,
        2 * sum(t.shape[0] * t.shape[1] for t in matrices),
        file.stat().st_size,
    )


def _missing() -> dict[str, str]:
    """Who can't take part, and what to do about it."""
    if all(importlib.util.find_spec(name) for name in _NEEDED):
        return {}
    return {"llama.cpp": _INSTALL.format(python=sys.executable)}


def _encoders(source: RandomCheckpoint, folder: Path, progress: Progress) -> None:
    folder.mkdir()
    progress("encoders in fp32", 0, 2)
    write_vision(source, folder, FP32)
    progress("encoders in fp32", 1, 2)
    write_speech(source, folder, FP32)


def _whole(out: Path, write: Callable[[Path], object]) -> None:
    """Write a file or folder all or nothing."""
    part = out.with_name(f"{out.name}.part")
    _delete(part)
    try:
        write(part)
        part.rename(out)
    except OSError as error:
        raise PackageError(f"{out} can't be written: {error}.", "Choose another folder.") from error
    finally:
        _delete(part)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _forget(folder: Path, label: str, kept: Path) -> None:
    """Delete what an earlier exporter built in this size."""
    for old in folder.glob(f"{label}-*"):
        if old != kept:
            _delete(old)


def _digest(config: Phi4MMConfig) -> str:
    """Changes with the exporter and the shape."""
    found = hashlib.sha256(repr(config).encode())
    assert export.__file__ is not None
    for source in [*sorted(Path(export.__file__).parent.glob("*.py")), Path(random_weights.__file__)]:
        found.update(source.read_bytes())
    found.update(Path(gguf_model.__file__).read_bytes())
    return found.hexdigest()[:8]


def _check_space(config: Phi4MMConfig, here: Path, alone: bool) -> None:
    """Raise NoSpaceError if there is surely not enough."""
    weights = 3.84e9 * config.layers / random_weights.REAL.layers
    wanted = weights * (0.55 + 0.47 + (0 if alone else 1.2)) if not here.exists() else 0
    there = next(parent for parent in here.parents if parent.exists())
    free = shutil.disk_usage(there).free
    if wanted > free:
        raise NoSpaceError(
            f"The benchmark needs {wanted / 1e9:.0f} GB in {there}, {free / 1e9:.0f} GB are free.",
            "Choose another folder with --folder, or --quick.",
        )
