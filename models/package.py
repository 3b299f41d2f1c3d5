"""A model package on disk: where the embedded one lies, what a package must hold, and the check before
loading.

A package is data from a stranger. Its configuration can name libraries that would be loaded and files
anywhere on the disk, so `check` reads it all without executing or loading anything, and refuses what it
doesn't know. Every path from the command line or a download goes through `check` before any other code
opens it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from models.errors import PackageError
from models.json_files import parse_object, read_bytes

GENAI_CONFIG: Final = "genai_config.json"
MANIFEST: Final = "aside.json"
MODEL_TYPE: Final = "phi4mm"
GRAPHS: Final = {"text": "decoder", "vision": "vision", "speech": "speech", "embedding": "embedding"}
"""The four graphs by our name and by their section in genai_config.json."""
FIRST_OWN_ADAPTER: Final = 4
"""Adapter modes from here on are a user's own; the lower ones follow from what a conversation holds."""

CROPS: Final = 36
"""Crops of a picture at most, in packages that don't say."""
_ORIGINAL_LENGTH: Final = 4096  # Phi-4-multimodal's, for packages without aside.json
# fmt: off
_EXECUTABLE: Final = frozenset((
    ".so", ".dll", ".dylib", ".exe", ".com", ".pyd", ".node", ".jar", ".class", ".py", ".pyc", ".pyw", ".pkl",
    ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".bin", ".sh", ".bat", ".cmd", ".ps1", ".vbs", ".js",
    ".app", ".msi", ".wasm",
))
_SESSION_OPTIONS: Final = frozenset((
    "log_id", "log_severity_level", "log_verbosity_level", "provider_options", "intra_op_num_threads",
    "inter_op_num_threads", "enable_cpu_mem_arena", "enable_mem_pattern", "graph_optimization_level",
    "disable_cpu_ep_fallback", "disable_quant_qdq", "enable_quant_qdq_cleanup", "use_env_allocators",
))
# fmt: on
_FETCH: Final = "Fetch or build it again."
_DISTRUST: Final = "Don't use it: get the model from a source you trust."


@dataclass(frozen=True)
class PackageInfo:
    """What is known about a package without loading it.

    ``graphs`` has the file names of text, vision, speech and embedding; ``files`` the sizes in bytes;
    ``own_adapters`` a user's adapters by name, with their values of ``adapter_input``. Lengths are in tokens.
    The KV cache takes float32 [1, kv_heads, length, head_size] twice for each of ``layers``. Longer
    recordings are transcribed in pieces of ``clip_seconds``. ``graphs`` may have ``prefill`` as well, the
    text graph in a form that reads prompts quicker. ``retells``: it can say what a tool gave back. A
    picture has ``crops`` at most.
    """

    path: Path
    name: str
    description: str
    limits: tuple[str, ...]
    precision: Mapping[str, str]
    files: Mapping[str, int]
    graphs: Mapping[str, str]
    context_length: int
    original_max_position_embeddings: int
    layers: int
    kv_heads: int
    head_size: int
    hidden_size: int
    vocab_size: int
    adapter_input: str
    own_adapters: Mapping[str, int]
    clip_seconds: float = 30.0
    retells: bool = True
    crops: int = CROPS

    @property
    def bytes(self) -> int:
        """Size of the whole package."""
        return sum(self.files.values())

    @property
    def prefill_bytes(self) -> int:
        """Size of the graph that only reads prompts; 0 without one."""
        name = self.graphs.get("prefill")
        return sum(self.files.get(file, 0) for file in (name, f"{name}.data")) if name else 0

    def kv_bytes(self, tokens: int) -> int:
        """Size of the KV cache of so many tokens."""
        return 2 * 4 * self.layers * self.kv_heads * self.head_size * tokens


def embedded() -> Path:
    """The package of the demonstration model that comes with the program."""
    return Path(__file__).parent / "nano" / "package"


def check(path: Path, full: bool = False) -> PackageInfo:
    """Look through a package without loading anything; with ``full``, compare every file's SHA-256 as well.

    Raises PackageError, one sentence for what is missing, damaged, unsafe or of another kind.
    """
    from models.onnx_files import check_graph  # noqa: PLC0415 # loads onnx, which the window's start does without

    if not path.is_dir():
        raise PackageError(f"There is no model package at {path}.", "Give the folder of a package.")
    try:
        files = dict(_files(path))
        config = _json(path, GENAI_CONFIG)
        _check_config(config, GENAI_CONFIG)
        manifest = _json(path, MANIFEST) if MANIFEST in files else {}
        _check_sizes(path, files, manifest, full)
        info = _info(path, files, config, manifest)
        for name in info.graphs.values():
            check_graph(path, name, files)
    except OSError as error:
        raise PackageError(f"The package {path} can't be read: {error}.", "Check the disk.") from error
    except RuntimeError as error:  # a link to itself, or configuration nested a thousand times
        raise PackageError(f"The package {path} is made to be unreadable: {error}.", _DISTRUST) from error
    return info


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """All files by relative name with their sizes; refuses what a package has no business to hold."""
    inside = folder.resolve()
    for directory, subfolders, names in os.walk(folder):
        for name in [*subfolders, *names]:
            path = Path(directory) / name
            shown = path.relative_to(folder).as_posix()
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                raise PackageError(f"{shown} in the model package is a link out of its folder.", _DISTRUST)
            if path.is_dir():
                continue
            if not path.is_file():
                raise PackageError(f"{shown} in the model package is not a plain file.", _DISTRUST)
            if shown.lower() == "tokenizer_module.json":  # genai opens what it names, anywhere on the disk
                raise PackageError(f"The model package holds {shown}, which can name other files.", _DISTRUST)
            if not _EXECUTABLE.isdisjoint(suffix.lower() for suffix in path.suffixes):
                raise PackageError(f"The model package holds a program or pickle: {shown}.", _DISTRUST)
            yield shown, path.stat().st_size


def _json(folder: Path, name: str) -> dict[str, Any]:
    if not os.path.lexists(folder / name):
        raise PackageError(f"{name} is missing in {folder}.", "This is no model package, or a part of one.")
    return parse_object(read_bytes(folder / name, PackageError, _FETCH), name, PackageError, _FETCH)


def _check_config(value: object, where: str) -> None:
    """Refuse configuration that would make genai load a library or a file outside the package."""
    if isinstance(value, list):
        for item in value:
            _check_config(item, where)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        lower = str(key).lower()
        if not lower.isascii():  # genai's reader may take such a key for another one
            raise PackageError(f"{where} has a strange key: {key!a}.", _DISTRUST)
        if "library" in lower or lower.endswith("path") or "plugin" in lower:
            raise PackageError(f"{where} wants a library or file loaded ({key}).", _DISTRUST)
        if lower.endswith("filename"):
            _check_name(item, f"{where} ({key})")
        if lower in ("session_options", "run_options"):
            unknown = set(item) - _SESSION_OPTIONS if isinstance(item, dict) else {"a list"}
            if unknown:
                raise PackageError(f"{where} sets unknown options: {', '.join(sorted(unknown))}.", _DISTRUST)
        if lower == "provider_options" and _names_file(item):
            raise PackageError(f"{where} gives a hardware driver a file to load ({key}).", _DISTRUST)
        _check_config(item, where)


def _names_file(value: object) -> bool:
    """Tell whether some text inside looks like a path or a library."""
    if isinstance(value, dict):
        return any(_names_file(item) for item in (*value, *value.values()))
    if isinstance(value, list):
        return any(_names_file(item) for item in value)
    if not isinstance(value, str):
        return False
    suffixes = {suffix.lower() for suffix in Path(value).suffixes}
    return "/" in value or "\\" in value or not _EXECUTABLE.isdisjoint(suffixes)


def _check_name(name: object, where: str) -> None:
    """Refuse anything but the plain name of a file beside the configuration."""
    plain = isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\:\0")
    if not plain:
        raise PackageError(f"{where} names a file outside the package: {name!r}.", _DISTRUST)


def _check_sizes(path: Path, files: Mapping[str, int], manifest: Mapping[str, Any], full: bool) -> None:
    """Hold the files against the list in aside.json."""
    listed = manifest.get("files", {})
    if not isinstance(listed, dict):
        raise PackageError(f"The list of files in {MANIFEST} is damaged.", _FETCH)
    for name, entry in listed.items():
        _check_name(name, MANIFEST)
        if name not in files:
            raise PackageError(f"{name} is missing in the model package.", _FETCH)
        if not isinstance(entry, dict) or files[name] != entry.get("bytes"):
            raise PackageError(
                f"{name} has {files[name]:,} bytes, which is not what {MANIFEST} says: it is cut or changed.",
                _FETCH,
            )
        if full and _sha256(path / name) != entry.get("sha256"):
            raise PackageError(f"{name} is damaged or changed: its SHA-256 is another one.", _FETCH)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _info(
    path: Path, files: Mapping[str, int], config: Mapping[str, Any], manifest: Mapping[str, Any]
) -> PackageInfo:
    model = config.get("model")
    kind = model.get("type") if isinstance(model, dict) else None
    if not isinstance(model, dict) or kind != MODEL_TYPE:
        raise PackageError(
            f"This package holds a model of type {kind!r}.", f"Aside runs {MODEL_TYPE} packages only."
        )
    if manifest and manifest.get("format") != 1:
        raise PackageError(
            f"{MANIFEST} has the format {manifest.get('format')!r}, unknown to this Aside.",
            "Update Aside.",
        )
    try:
        decoder = model["decoder"]
        graphs = {name: str(model[section]["filename"]) for name, section in GRAPHS.items()}
        processors = [str(model[section]["config_filename"]) for section in ("vision", "speech")]
        if "prefill" in manifest:
            _check_name(manifest["prefill"], MANIFEST)
            graphs["prefill"] = str(manifest["prefill"])
        context = _positive(manifest.get("context_length", model["context_length"]))
        info = PackageInfo(
            path=path,
            name=_shown(manifest.get("name", path.resolve().name)),
            description=_shown(manifest.get("description", "")),
            limits=tuple(_shown(limit) for limit in manifest.get("limits", ())),
            precision={str(k): str(v) for k, v in manifest.get("precision", {}).items()},
            files=files,
            graphs=graphs,
            context_length=context,
            original_max_position_embeddings=_positive(
                manifest.get("original_max_position_embeddings", min(context, _ORIGINAL_LENGTH))
            ),
            layers=_positive(decoder["num_hidden_layers"], 1_000),
            kv_heads=_positive(decoder["num_key_value_heads"], 1_000),
            head_size=_positive(decoder["head_size"], 1_000),
            hidden_size=_positive(decoder["hidden_size"], 100_000),
            vocab_size=_positive(model["vocab_size"]),
            adapter_input=str(manifest.get("adapter_input", "")),
            own_adapters={
                _shown(name): int(mode)
                for mode, name in manifest.get("adapters", {}).items()
                if int(mode) >= FIRST_OWN_ADAPTER
            },
            clip_seconds=float(min(1800.0, max(1.0, manifest.get("clip_seconds", 30.0)))),
            retells=manifest.get("retells", True) is not False,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PackageError(
            f"{GENAI_CONFIG} or {MANIFEST} lacks something or has a wrong value: {error!r}.", _FETCH
        ) from error
    for name in (*graphs.values(), *processors, "tokenizer.json", "tokenizer_config.json"):
        if name not in files:
            raise PackageError(f"{name} is missing in the model package.", _FETCH)
        if not files[name]:
            raise PackageError(f"{name} in the model package is empty.", _FETCH)
    for name in (*processors, "tokenizer.json", "tokenizer_config.json"):
        _check_config(_json(path, name), name) if name in processors else _json(path, name)
    return replace(info, crops=_crops(_json(path, processors[0])))


def _crops(processor: Mapping[str, Any]) -> int:
    """The most crops that a vision processor cuts a picture into."""
    try:
        for transform in processor["processor"]["transforms"]:
            attributes = transform["operation"].get("attrs", {})
            if "dynamic_hd" in attributes:
                return _positive(attributes["dynamic_hd"], 1_000)
    except (KeyError, TypeError, ValueError, AttributeError):
        pass  # the processor itself will say what is wrong with it
    return CROPS


def _positive(value: object, most: int = 10_000_000) -> int:
    """A number that memory is set aside by; beyond ``most`` it is no model's."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ValueError(f"{value!r} is not a number from 1 to {most}")
    return value


def _shown(text: object) -> str:
    """A stranger's words on one line, without characters that a terminal obeys."""
    return "".join(c if c.isprintable() else " " for c in str(text))
