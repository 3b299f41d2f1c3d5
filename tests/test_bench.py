"""`aside bench`: that it runs and says what it should. How fast it was is no test."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from command import Aside

from assistant.bench.report import Measure, Report

NAMES = {
    "own", "opening own",
    "window", "model", "recording", "key", "closed", "token", "speaker", "sound", "endpoint", "escape", "gap",
    "p999", "opening", "scroll", "end",
}  # fmt: skip


def test_the_desktop_is_driven_and_timed(aside: Aside) -> None:
    found = aside("bench", "desktop", "--virtual", "--runs", 1, "--json", "found.json", timeout=280)
    assert found.code in (0, 1), found.err  # 1: a bar was missed, as on a loaded machine
    report = json.loads(aside.path("found.json").read_text())
    measures = {one["name"]: one for one in report["measures"]}
    assert measures.keys() == NAMES
    for one in measures.values():
        assert one["values"], one
        assert all(math.isfinite(value) and value >= 0 for value in one["values"])
        assert one["verdict"] in ("ok", "missed", "–")
        assert one["what"] in found.out
    assert measures["window"]["median"] < measures["model"]["median"]
    assert measures["token"]["median"] < measures["sound"]["median"]
    assert report["conditions"]["runs"] == 1
    assert report["conditions"]["processor"] in found.out


@pytest.mark.parametrize(
    ("values", "by", "verdict"),
    [
        ((), "median", "not measured"),
        ((0.1, 0.2, 0.9), "median", "ok"),
        ((0.1, 0.2, 0.9), "worst", "missed"),
        ((0.3,), "median", "ok"),
    ],
)
def test_a_bar_is_judged_by_its_statistic(values: tuple[float, ...], by: str, verdict: str) -> None:
    measure = Measure("sound", "first sound", values, "ms", 0.3, "worst" if by == "worst" else "median")
    assert measure.verdict == verdict
    assert verdict in Report((measure,)).table()


def test_without_a_display_it_says_so(aside: Aside) -> None:
    aside.environment["DISPLAY"] = ""
    assert "--virtual" in aside("bench", "desktop").complaint()


def test_a_file_that_can_not_be_written_is_said_before(aside: Aside, tmp_path: Path) -> None:
    del tmp_path
    assert "nowhere/found.json" in aside("bench", "desktop", "--json", "nowhere/found.json").complaint()


def test_a_question_about_the_screen_is_timed_with_its_picture_ready_or_not(aside: Aside) -> None:
    found = aside(
        "bench", "screenshot", "--model", aside.model, "--rounds", 1, "--detail", 1, "--json", "found.json"
    )
    assert found.code in (0, 1), found.err
    report = json.loads(aside.path("found.json").read_text())
    measures = {one["name"]: one for one in report["measures"]}
    assert measures["picture ready"]["median"] < measures["picture with the question"]["median"]
    assert measures["ratio ready"]["wanted"] == 1.5
    assert "1 crops, 426 tokens, 23 %" in found.out
    assert "65 tokens and 0 crops were left, 0 tokens were computed again" in found.out
