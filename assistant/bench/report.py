"""What a benchmark found: values with what was wanted of them, as a table and as JSON."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import psutil

from assistant import __version__
from assistant.tuned import processor

Verdict = Literal["ok", "missed", "not measured", "–"]
_UNITS: Final = {"ms": 1000.0, "s": 1.0, "×": 1.0}


@dataclass(frozen=True)
class Measure:
    """One quantity, measured once in each run.

    values   in seconds; of "×", ratios.
    unit     in which it is shown.
    wanted   what the statistic may have at most; None: it is only told.
    by       which statistic is judged: the median or the worst.
    how      how it was measured, or what it is derived from.
    """

    name: str
    what: str
    values: tuple[float, ...]
    unit: Literal["ms", "s", "×"] = "ms"
    wanted: float | None = None
    by: Literal["median", "worst"] = "median"
    how: str = ""

    @property
    def median(self) -> float | None:
        """None without any value."""
        return statistics.median(self.values) if self.values else None

    @property
    def worst(self) -> float | None:
        """None without any value."""
        return max(self.values, default=None)

    @property
    def verdict(self) -> Verdict:
        """Whether it is as wanted."""
        judged = self.median if self.by == "median" else self.worst
        if judged is None:
            return "not measured"
        if self.wanted is None:
            return "–"
        return "ok" if judged <= self.wanted else "missed"

    def as_json(self) -> dict[str, Any]:
        """All of it, in seconds."""
        return {
            "name": self.name,
            "what": self.what,
            "median": self.median,
            "worst": self.worst,
            "values": list(self.values),
            "wanted": self.wanted,
            "by": self.by,
            "verdict": self.verdict,
            "how": self.how,
        }

    def _shown(self, seconds: float | None) -> str:
        if seconds is None:
            return ""
        value = seconds * _UNITS[self.unit]
        return f"{value:.2f}" if self.unit != "ms" else f"{value:.1f}" if value < 10 else f"{value:.0f}"

    def row(self) -> tuple[str, ...]:
        """The cells of a table's row."""
        wanted = "" if self.wanted is None else f"≤ {self._shown(self.wanted)} ({self.by})"
        return (
            f"{self.what}, {self.unit}",
            self._shown(self.median),
            self._shown(self.worst),
            str(len(self.values)),
            wanted,
            self.verdict,
        )


@dataclass(frozen=True)
class Report:
    """All measures of a benchmark, and the conditions under which they were made."""

    measures: tuple[Measure, ...]
    conditions: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """One object."""
        return {
            "conditions": dict(self.conditions),
            "measures": [measure.as_json() for measure in self.measures],
            "notes": list(self.notes),
        }

    def table(self) -> str:
        """Markdown that is also read easily as it is."""
        head = ("", "median", "worst", "runs", "wanted", "verdict")
        lines = markdown([head, *(measure.row() for measure in self.measures)])
        lines += ["", *(f"- {measure.what}: {measure.how}" for measure in self.measures if measure.how)]
        lines += ["", *(f"- {note}" for note in self.notes), ""] if self.notes else [""]
        return "\n".join(lines + [f"{name}: {value}" for name, value in self.conditions.items()])


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, the first row its head; the first column to the left, the others to the right."""
    wide = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(w) if not i else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, wide, strict=True))
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines.insert(1, f"|{'|'.join('-' * (w + 1) + (':' if i else '-') for i, w in enumerate(wide))}|")
    return lines


def machine() -> dict[str, Any]:
    """The conditions that every benchmark tells; the load is that of before it began."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return {
        "aside": __version__,
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "load before": round(load, 2),
    }
