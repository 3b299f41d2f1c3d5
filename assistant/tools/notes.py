"""Notes: a text file with one line for each, that any editor opens."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from assistant import atomic
from models.errors import ToolError


class Notes:
    """The file. A note that was added is on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, text: str) -> None:
        """Add one line. Raises ToolError, and then nothing was added."""
        line = f"- {datetime.now():%Y-%m-%d %H:%M} {' '.join(text.split())}\n"
        try:
            with atomic.locked(self.path):
                atomic.append(self.path, line.encode("utf-8", "replace"))
        except OSError as error:
            raise ToolError(f"The note can't be kept: {atomic.reason(error)}.") from error
