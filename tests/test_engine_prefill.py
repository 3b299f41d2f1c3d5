"""Prompts read in 8 bits, into the cache that the text graph goes on with: near what it reads alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from engine_package import ONE_THREAD, clip, picture, question, reply, small_package
from numpy.typing import NDArray

from assistant.engine import prompt
from assistant.engine.decoder import FEWEST
from assistant.engine.memory import needed
from assistant.engine.protocol import GenerateOptions, Segment
from assistant.engine.runtime import Runner
from assistant.engine.session import LocalSession
from models import package as packages
from models.errors import PackageError
from models.export import PrecisionPlan, TextPrecision, build
from models.export.quantize import Precision

EIGHT = Precision("rows8")
READER = replace(PrecisionPlan(), prefill=TextPrecision(EIGHT, EIGHT, EIGHT, EIGHT))
SAME = replace(ONE_THREAD, prefill="same")
NANO = packages.embedded().parent / "checkpoint"
ASKED = ("set a timer for five minutes", "what is the time", "turn the volume down", "open the calculator")
ERROR = 0.1
"""Of logits, relative to their size: what the text graph's own 8 bits are allowed."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_package(tmp_path_factory.mktemp("prefill") / "small", scale=1, plan=READER)


class Watched:
    """A session's decoder that notes the logits it gives and how many tokens it reads in 8 bits."""

    def __init__(self, session: LocalSession, patch: pytest.MonkeyPatch) -> None:
        self.logits: list[NDArray[np.float32]] = []
        self.read: list[int] = []
        step, read = session._decoder.step, session._decoder.read

        def watched_step(rows: NDArray[np.float32], mode: int, long: bool, runner: Runner) -> Any:
            self.logits.append(step(rows, mode, long, runner))
            return self.logits[-1]

        def watched_read(rows: NDArray[np.float32], mode: int, long: bool, runner: Runner) -> None:
            self.read.append(len(rows))
            read(rows, mode, long, runner)

        patch.setattr(session._decoder, "step", watched_step)
        patch.setattr(session._decoder, "read", watched_read)


def logits(
    package: Path, said: list[list[Segment]], chunk: int, prefill: Literal["same", "int8"]
) -> NDArray[np.float32]:
    """The logits after each of the turns."""
    rows = []
    settings = replace(ONE_THREAD, chunk=chunk, prefill=prefill)
    with LocalSession(package, settings) as session, pytest.MonkeyPatch.context() as patch:
        watched = Watched(session, patch)
        for turn in said:
            session.append(*turn)
            reply(session, GenerateOptions(max_tokens=1, stop_ids=frozenset(range(320))))  # any ends it
            rows.append(watched.logits[-1])
    return np.array(rows)


def distance(some: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean((some - wanted) ** 2) / np.mean(wanted**2)))


@pytest.mark.parametrize("part", ["text", "clip", "picture"])
def test_logits_are_near_those_of_the_text_graph(package: Path, part: str) -> None:
    """Under no adapter, the speech one, the vision one; in one step and in many; two turns."""
    media: list[prompt.Part] = {"text": [], "clip": [clip(1)], "picture": [picture(2)]}[part]  # type: ignore[assignment] # lists of one kind each
    said = [[*prompt.system(), *question(*media, "What is this?")], [*prompt.end(), *question("x" * 60)]]
    wanted = logits(package, said, 4096, "same")
    for chunk in (4096, 32):
        got = logits(package, said, chunk, "int8")
        assert 0 < distance(got[-1], wanted[-1]) < ERROR
        assert distance(got[0], wanted[0]) < ERROR


def test_the_last_token_and_short_turns_go_through_the_text_graph(package: Path) -> None:
    with LocalSession(package, ONE_THREAD) as session, pytest.MonkeyPatch.context() as patch:
        watched = Watched(session, patch)
        session.append(*question("x" * 200))
        length = session._timeline.length
        reply(session)
        assert watched.read == [128, length - 128 - 1]
        session.append(*prompt.end())
        reply(session)
        assert len(watched.read) == 2, f"fewer than {FEWEST} tokens"


def test_nano_answers_alike(tmp_path: Path) -> None:
    """The shipped model's weights, with a graph for prompts: the replies are those without."""
    plan = PrecisionPlan.named("int8", prefill=True)
    nano = build(NANO, tmp_path / "nano", plan, dynamic_hd=4)
    info = packages.check(nano, full=True)
    assert info.precision["prefill"] == "rows8"
    assert 0 < info.prefill_bytes == needed(info, ONE_THREAD) - needed(info, SAME)
    with LocalSession(nano, SAME) as slow, LocalSession(nano, ONE_THREAD) as quick:
        for text in ASKED:
            turn = [*prompt.system(), *question(text)]
            replies = []
            for session in (slow, quick):
                session.rewind(0)
                session.append(*turn)
                replies.append(reply(session, GenerateOptions(max_tokens=24)))
            assert replies[0][0] == replies[1][0]
            assert replies[0][1].prefilled == replies[1][1].prefilled


def test_without_the_graph_it_is_not_missed(tmp_path: Path) -> None:
    plain = small_package(tmp_path / "plain")
    with LocalSession(plain, ONE_THREAD) as session:
        assert not session._decoder.reads(1000)


@pytest.mark.parametrize("name", ["../other.onnx", "absent.onnx", 5])
def test_a_strange_name_is_refused(package: Path, tmp_path: Path, name: object) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(package, copy)
    about = json.loads((copy / "aside.json").read_text())
    (copy / "aside.json").write_text(json.dumps(about | {"prefill": name}))
    with pytest.raises(PackageError):
        packages.check(copy)


def test_another_graph_in_its_place_is_refused(package: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(package, copy)
    about = json.loads((copy / "aside.json").read_text())
    (copy / "aside.json").write_text(json.dumps(about | {"prefill": "phi-4-mm-vision.onnx"}))
    with pytest.raises(PackageError, match="does not fit"):
        LocalSession(copy, ONE_THREAD)
