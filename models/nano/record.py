"""What a training run was made of, and how it went: `record.json` and `curves.png` in its folder."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

_WIDE, _HIGH, _EDGE = 560, 220, 36  # pixels of one stage's plot
_COLOURS: Final = ("#1f6feb", "#d1495b", "#2e933c", "#edae49", "#6f42c1", "#00798c", "#8d6a9f", "#555555")
_SMOOTH: Final = 0.15


def write(out: Path, stages: list[str]) -> None:
    """Writes both files from what the stages left in `out`; stages that have not begun are left out."""
    logs = {name: log(out / f"{name}.jsonl") for name in stages if (out / f"{name}.jsonl").exists()}
    shards = sorted((out / "speech").glob("*.npz"))
    record = {
        "stages": {
            name: {
                "hours": round(notes[-1]["minutes"] / 60, 2),
                "steps": notes[-1]["step"],
                "seed": f"{name} 0, and '{name} <step>' after each stop",
                "last scores": next((scores(note) for note in reversed(notes) if scores(note)), {}),
            }
            for name, notes in logs.items()
        },
        "speech": {"shards": len(shards), "sha256": _sha256(shards)},
        "tokenizer": {"sha256": _sha256([out / "front" / "tokenizer.json"])},
        "made with": {name: version(name) for name in ("torch", "transformers", "tokenizers")},
        "machine": platform.machine(),
    }
    (out / "record.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    curves(logs).save(out / "curves.png")


def log(path: Path) -> list[dict[str, Any]]:
    """The notes of a stage: step, minutes, and losses or scores."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def scores(note: dict[str, Any]) -> dict[str, Any]:
    """What a note says beside step and minutes if it is one of scores, not of losses; else nothing."""
    found = {key: value for key, value in note.items() if key not in {"step", "minutes", "final"}}
    return found if any(key.startswith(_SCORES) for key in found) or "final" in note else {}


_SCORES: Final = ("wer_", "typed", "scene_", "set_timer")
"""How the first of the scores of each stage begins."""


def curves(logs: dict[str, list[dict[str, Any]]]) -> Image.Image:
    """One plot a stage, below each other: smoothed losses by minutes of the processor."""
    whole = Image.new("RGB", (_WIDE, _HIGH * max(1, len(logs))), "white")
    for number, (name, notes) in enumerate(logs.items()):
        _plot(ImageDraw.Draw(whole), number * _HIGH, name, [note for note in notes if not scores(note)])
    return whole


def _plot(draw: ImageDraw.ImageDraw, top: int, name: str, notes: list[dict[str, Any]]) -> None:
    font = ImageFont.load_default(12)
    left, right, low, high = _EDGE, _WIDE - 110, top + _HIGH - _EDGE, top + 28
    draw.text((left, top + 8), f"{name}: loss", "black", font)
    draw.line([(left, high), (left, low), (right, low)], "#999999")
    lines: dict[str, list[tuple[float, float]]] = {}
    for note in notes:
        for key, value in note.items():
            if key not in {"step", "minutes"}:
                points = lines.setdefault(key, [])
                before = points[-1][1] if points else value
                points.append((note["minutes"], before + _SMOOTH * (value - before)))
    if not lines:
        return
    most = max(minutes for points in lines.values() for minutes, _ in points) or 1.0
    peak = max(sorted(value for points in lines.values() for _, value in points)[: -1 or None]) or 1.0
    draw.text((right - 40, low + 6), f"{most:.0f} min", "black", font)
    draw.text((4, high - 6), f"{peak:.2g}", "black", font)
    highest = sorted(lines, key=lambda key: lines[key][-1][1], reverse=True)[: len(_COLOURS)]
    for place, (key, colour) in enumerate(zip(sorted(highest), _COLOURS, strict=False)):
        points = lines[key]
        at = [(left + (right - left) * x / most, low - (low - high) * min(1.0, y / peak)) for x, y in points]
        if len(at) > 1:
            draw.line(at, colour, 2)
        draw.text((right + 8, high + 14 * place), f"{key} {points[-1][1]:.2f}", colour, font)


def _sha256(paths: list[Path]) -> str:
    """One hash over the contents of files, in this order."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()
