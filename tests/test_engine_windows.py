"""Long recordings, window by window: the same as in one run, kept, and stopped."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from engine_package import ONE_THREAD, noise, question, small_package

from assistant.engine.protocol import Clip, GenerateOptions, Progress
from assistant.engine.runtime import Runner
from assistant.engine.session import LocalSession
from models import package as packages
from models.export import PrecisionPlan, build

SECONDS = 91.3  # three windows
NANO = packages.embedded().parent / "checkpoint"
ENCODE = GenerateOptions(max_tokens=0)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_package(tmp_path_factory.mktemp("windows") / "small")


@pytest.fixture(scope="module")
def recording() -> Clip:
    return Clip(noise(1, SECONDS), 16_000)


@pytest.mark.parametrize("mode", [2, 3])
@pytest.mark.parametrize("weights", ["random", "nano"])
def test_windows_give_what_one_run_gives(
    package: Path, recording: Clip, tmp_path: Path, weights: str, mode: int
) -> None:
    """In float32. In nano's 8 bits nearly: its projector has one scale for all rows that it gets at once."""
    allowed = 1e-5
    if weights == "nano":
        package = build(NANO, tmp_path / "nano", PrecisionPlan.named("int8"), dynamic_hd=4)
        allowed = 0.05
    with LocalSession(package, ONE_THREAD) as session, Runner() as runner:
        encoders = session._encoders
        media = encoders.prepare(recording)
        whole = encoders._hear(session._front_end.clip(recording.samples, 16_000), mode, runner)
        parts = encoders.encode(media, mode, runner)
        windows = 1
        try:
            while True:
                next(parts)
                windows += 1
        except StopIteration as end:
            features = end.value
    assert (windows, len(features)) == (3, media.tokens)
    np.testing.assert_allclose(features, whole, atol=allowed * float(np.abs(whole).max()))


def test_progress_and_cancel_at_each_window(package: Path, recording: Clip) -> None:
    with LocalSession(package, ONE_THREAD) as session:
        session.append(*question(recording))
        cancel = threading.Event()
        told = []
        for event in session.generate(ENCODE, cancel):
            if isinstance(event, Progress):
                told.append((event.stage, event.done, event.total))
                if event.done == 2:
                    cancel.set()
        assert told == [("speech", 0, 3), ("speech", 1, 3), ("speech", 2, 3)]
        assert session._encoders.runs == 2
        events = [e for e in session.generate(ENCODE) if isinstance(e, Progress) and e.stage == "speech"]
        assert [e.done for e in events] == [0, 1, 2, 3]
        assert session._encoders.runs == 3, "what had been done before the stop is kept"
