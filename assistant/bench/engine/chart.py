"""The findings as a picture: bars for each contender, and a mark where the machine's limit is (SVG)."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from assistant.bench.engine.findings import PREFILLS, Findings
from assistant.bench.engine.plan import DECODE, DECODE_ADAPTED, DECODE_LATER, EXTEND, Contender

_COLOURS: Final = ("#2f6fde", "#8a94a6", "#d9822b", "#b35a9e")
_INK: Final = "#1c2330"
_LEFT: Final = 170
_WIDE: Final = 560
_RIGHT: Final = 90
_BAR: Final = 13
_GAP: Final = 14
_FAR: Final = 2.5
"""A limit beyond so many times the best rate is told in words, so that the bars stay long enough."""


def draw(findings: Findings) -> str:
    """A self-contained SVG document."""
    models = [one for one in findings.plan.contenders if one.kind in ("aside", "genai", "llama")]
    share = findings.plan.share
    scaled = f", scaled from {share:.3g} of the depth" if share < 1 else ""
    parts: list[str] = [_text(20, 32, f"Tokens a second, {findings.plan.threads} threads{scaled}", 17)]
    x = 20
    for one, colour in zip(models, _COLOURS, strict=False):
        parts += [_box(x, 46, 12, 12, colour), _text(x + 18, 57, one.name)]
        x += 40 + 8 * len(one.name)
    parts += [_box(x, 45, 2, 14, _INK), _text(x + 10, 57, "what the machine allows")]
    y = 84
    for title, keys in (
        ("Reading a prompt", [*PREFILLS, EXTEND]),
        ("Writing", [DECODE, DECODE_LATER, DECODE_ADAPTED]),
    ):
        drawn, y = _panel(findings, models, title, keys, y)
        parts += drawn
    width = _LEFT + _WIDE + _RIGHT
    size = f'width="{width}" height="{y}" viewBox="0 0 {width} {y}"'
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">\n'
        f'<rect width="{width}" height="{y}" fill="white"/>\n{body}\n</svg>\n'
    )


def _panel(
    findings: Findings, models: Sequence[Contender], title: str, keys: Sequence[str], y: int
) -> tuple[list[str], int]:
    """One group of bars for each key, all on one scale; returns where it ends."""
    share = findings.plan.share
    limits = {(m.name, k): (findings.limit(m, k) or 0) * share for m in models for k in keys}
    rates = {(m.name, k): (findings.rate(m.name, k) or 0) * share for m in models for k in keys}
    best = max(rates.values(), default=0) or 1
    most = max([best, *(limit for limit in limits.values() if limit <= _FAR * best)])
    far = [limit for limit in limits.values() if limit > most]
    away = f" (the machine allows {max(far):.0f})" if far else ""
    parts = [_text(20, y, title + away, 14)]
    y += 12
    for key in keys:
        present = [(i, m) for i, m in enumerate(models) if rates[m.name, key]]
        if not present:
            continue
        parts.append(_text(20, y + _BAR * len(present) / 2 + 5, key))
        for i, model in present:
            rate, limit = rates[model.name, key], limits[model.name, key]
            parts.append(_box(_LEFT, y, _WIDE * rate / most, _BAR - 2, _COLOURS[i]))
            parts.append(_text(_LEFT + _WIDE * rate / most + 6, y + 10, f"{rate:.1f}", 11))
            if 0 < limit <= most:
                parts.append(_box(_LEFT + _WIDE * limit / most, y - 1, 2, _BAR, _INK))
            y += _BAR
        y += _GAP
    return parts, y + 16


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def _text(x: float, y: float, words: str, size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{_INK}">{escape(words)}</text>'
