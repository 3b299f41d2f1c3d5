"""What was measured to be quickest on this machine: `aside bench tune` keeps it, who starts the engine asks.

Kept by package, in the data folder, for one machine: another processor or number of cores has its own.
"""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psutil

from assistant import atomic
from assistant.engine.protocol import EngineSettings
from assistant.packages import data_folder
from models.errors import SettingsError
from models.package import PackageInfo

CHOSEN: Final = ("threads", "chunk", "spinning", "arena", "prefill")
"""The settings of the engine that are chosen by measurement."""
_DEFAULTS: Final = EngineSettings()
_BLOCKS: Final = {16, 32, 64, 128}
_USUAL_BLOCK: Final = 64


def default_path() -> Path:
    """The file in the data folder."""
    return data_folder() / "tuned.json"


def settings(package: PackageInfo, path: Path | None = None) -> EngineSettings:
    """The engine's settings for a package on this machine; the defaults where nothing usable is kept."""
    found = _read(path or default_path()).get(package_key(package))
    known = {n: v for n, v in found.items() if n in CHOSEN} if isinstance(found, dict) else {}
    if any(type(value) is not type(getattr(_DEFAULTS, name)) for name, value in known.items()):
        return _DEFAULTS
    try:
        return replace(_DEFAULTS, **known)
    except ValueError:
        return _DEFAULTS


def keep(package: PackageInfo, chosen: EngineSettings | None, path: Path | None = None) -> None:
    """Keep the settings for a package on this machine; None forgets them. Raises SettingsError."""
    values = None if chosen is None else {name: getattr(chosen, name) for name in CHOSEN}
    _keep(package_key(package), values, path or default_path())


def block_size(path: Path | None = None) -> int:
    """The block size that 4-bit weights built for this machine get."""
    found = _read(path or default_path()).get(_machine())
    return found if isinstance(found, int) and found in _BLOCKS else _USUAL_BLOCK


def keep_block_size(chosen: int | None, path: Path | None = None) -> None:
    """Keep it for this machine; None forgets it. Raises SettingsError."""
    _keep(_machine(), chosen, path or default_path())


def _keep(key: str, value: Any, path: Path) -> None:
    try:
        with atomic.locked(path):
            all_kept = _read(path)
            all_kept.pop(key, None)
            if value is not None:
                all_kept[key] = value
            atomic.replace(path, (json.dumps(all_kept, indent=2) + "\n").encode())
    except OSError as error:
        raise SettingsError(f"What was measured can't be kept: {error}.", "Check the disk.") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(atomic.read(path) or b"{}")
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def package_key(package: PackageInfo) -> str:
    """A package on this machine, for files that keep what was measured."""
    return f"{package.name}, {package.bytes} bytes, on {_machine()}"


def _machine() -> str:
    return f"{platform.machine()} {processor()} with {psutil.cpu_count(logical=False) or 1} cores"


def processor() -> str:
    """The processor's name."""
    path = Path("/proc/cpuinfo")
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
