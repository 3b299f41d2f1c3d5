"""Starting the engine on what is to compute."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from assistant.engine.devices import CPU
from assistant.engine.process import PATIENCE, EngineProcess, Patience
from assistant.engine.protocol import EngineSettings
from models.errors import DeviceError


def open_engine(
    package: Path, settings: EngineSettings, patience: Patience = PATIENCE
) -> tuple[EngineProcess, DeviceError | None]:
    """Start the engine; on the processor if the device can't be used, and then with the reason.

    Raises PackageError or EngineError.
    """
    try:
        return EngineProcess(package, settings, patience), None
    except DeviceError as error:
        return EngineProcess(package, replace(settings, device=CPU), patience), error
