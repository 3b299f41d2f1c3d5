"""Where Aside keeps its data, and the model packages that a person can call by name."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from models.errors import PackageError

MODELS: Final = "models"


def data_folder() -> Path:
    """Where packages that a person fetched or built may lie, to be found by name."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    return base / "aside"


def package_folders() -> dict[str, Path]:
    """All packages that have a name: nano, and the folders in the data folder."""
    from models import package  # noqa: PLC0415 # loads onnx, which `aside --help` does without

    found = {"nano": package.embedded()}
    folder = data_folder() / MODELS
    if folder.is_dir():
        for entry in sorted(folder.iterdir()):
            if (entry / package.GENAI_CONFIG).is_file() and entry.name not in found:
                found[entry.name] = entry
    return found


def find_package(name: str) -> Path:
    """A package by folder or name. Raises PackageError."""
    if "\0" in name or not name:
        raise PackageError("A model needs a name or a folder.")
    named = package_folders()
    if name in named and not Path(name).is_dir():
        return named[name]
    if name == "nano":
        return named[name]
    if not Path(name).is_dir():
        raise PackageError(
            f"There is no model package {name}.", "`aside models list` shows those that have a name."
        )
    return Path(name)
