"""What the settings make of the tools: which of them a model is told of, and which need no yes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from assistant.settings import Tools
from assistant.tools.loop import Policy
from assistant.tools.toolbox import OFFERED, Toolbox
from models import package
from models.prompts import TOOLS


@dataclass(frozen=True)
class Kit:
    """The tools, and what may happen in one turn. With ``enabled`` False, no call is ever run."""

    toolbox: Toolbox
    policy: Policy
    enabled: bool = True

    def offered(self, path: Path) -> list[dict[str, Any]]:
        """The tools that the model of a package is told of."""
        return offered(path) if self.enabled else []


NO_TOOLS: Final = Kit(Toolbox.in_folder(Path(), offered=()), Policy(), enabled=False)
"""For a model that may not call anything."""


def kit(folder: Path, wanted: Tools) -> Kit:
    """The tools of the settings, with their files in ``folder``."""
    if not wanted.enabled:
        return NO_TOOLS
    weather = Path(wanted.weather_file).expanduser() if wanted.weather_file else None
    return Kit(Toolbox.in_folder(folder, weather), Policy(unasked=frozenset(wanted.without_asking)))


def offered(path: Path) -> list[dict[str, Any]]:
    """The tools that the model of a package can use: nano was trained with exactly `TOOLS`."""
    return TOOLS if path == package.embedded() else list(OFFERED)
