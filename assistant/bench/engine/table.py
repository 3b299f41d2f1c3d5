"""The findings as text: Markdown tables that are read easily as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assistant.bench.engine.findings import BY_KEY, Findings
from assistant.bench.engine.plan import LOAD, MEMORY, SECTIONS, Contender
from assistant.bench.engine.prepare import ASIDE, MACHINE, REFERENCE, SHIPPED
from assistant.bench.report import markdown


def report(findings: Findings, conditions: Mapping[str, Any]) -> str:
    """All of it: what was measured, the limits, the aims, who is missing, and the conditions."""
    models = [one for one in findings.plan.contenders if one.kind in ("aside", "genai", "llama")]
    parts = [
        _models(findings, models),
        _encoders(findings),
        _machine(findings),
        _aims(findings),
        *(f"{name} is missing: {why}" for name, why in findings.plan.missing.items()),
        *(f"Left out: {why}" for why in findings.failed.values()),
        "\n".join(f"{one.name}: {one.about}" for one in models),
        "\n".join(f"{name}: {value}" for name, value in conditions.items()),
    ]
    return "\n\n".join(part for part in parts if part)


def _models(findings: Findings, models: Sequence[Contender]) -> str:
    """Rates, shares of the limit, and how many times as fast the engine is."""
    share = findings.plan.share
    rows = [["", *(one.name for one in models)]]
    for section in SECTIONS:
        if "aside" in section.kinds:
            rows.append([f"{section.key}, tokens/s"])
            rows[-1] += [_rate(findings, one, section.key, share) for one in models]
    rows.append(["load, s", *(_plain(findings.median(one.name, LOAD), "{:.1f}") for one in models)])
    rows.append([f"{MEMORY}, GB", *(_memory(findings, one) for one in models)])
    kind = "the best" if findings.plan.best else "medians"
    about = "Percentages are of what the machine allows; × is how many times as fast Aside is; "
    about += f"{kind} of {findings.rounds} rounds."
    if share < 1:
        about += (
            f" Measured at {share:.3g} of the real depth and vocabulary; rates are scaled to the real size."
        )
    return f"{_table(rows)}\n\n{about}"


def _rate(findings: Findings, one: Contender, key: str, share: float) -> str:
    rate = findings.rate(one.name, key)
    if rate is None:
        return ""
    parts = [f"{rate * share:.1f}"]
    part = findings.share(one, key)
    if part is not None:
        parts.append(f"{100 * part:.0f} %")
    times = findings.ratio((one.name, key), (ASIDE, key))
    if one.name != ASIDE and times is not None:
        parts.append(f"×{times:.2f}")
    return " ".join(parts)


def _memory(findings: Findings, one: Contender) -> str:
    peak, share = findings.median(one.name, MEMORY), findings.memory_share(one)
    return "" if peak is None or share is None else f"{peak / 1e9:.2f} ({share:.2f} of files and KV)"


def _encoders(findings: Findings) -> str:
    rows = [["encoders, s", "as shipped", "fp32", "of fp32"]]
    for key in [section.key for section in SECTIONS if "encoders" in section.kinds]:
        ratio = findings.ratio((SHIPPED, key), (REFERENCE, key))
        times = [_plain(findings.median(name, key), "{:.2f}") for name in (SHIPPED, REFERENCE)]
        rows.append([key, *times, _plain(ratio, "{:.2f}")])
    return _table(rows)


def _machine(findings: Findings) -> str:
    rows = [["the machine", f"{findings.plan.threads} threads", "lowest", "highest"]]
    for key in [section.key for section in SECTIONS if "machine" in section.kinds]:
        found = findings.of(MACHINE, key)
        values = [findings.median(MACHINE, key), min(found, default=None), max(found, default=None)]
        rows.append([f"{key}, {BY_KEY[key].unit}", *(_plain(value, "{:.0f}") for value in values)])
    return _table(rows)


def _aims(findings: Findings) -> str:
    rows = [["aim", "found", "wanted", ""]]
    for aim in findings.aims():
        sign = "≥" if aim.least else "≤"
        rows.append([aim.what, _plain(aim.found, "{:.2f}"), f"{sign} {aim.wanted:g}", aim.verdict])
    return _table(rows)


def _plain(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(markdown(rows))
