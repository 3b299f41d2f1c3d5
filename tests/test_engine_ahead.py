"""What is computed before a question is complete: windows of a recording that is still made, and what comes
before its first word. Nothing twice, and the same as at once."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from engine_package import GREEDY, ONE_THREAD, clip, noise, picture, question, reply, small_package

from assistant.engine import prompt
from assistant.engine.process import EngineProcess
from assistant.engine.protocol import Clip, EngineSettings, GenerateOptions, Statistics
from assistant.engine.session import LocalSession
from assistant.engine.windows import RATE, WINDOW, Windows, windows
from models.errors import ContextError
from models.package import embedded
from models.prompts import TOOLS

BLOCK = RATE // 50
SYSTEM = prompt.system(TOOLS)
AHEAD = GenerateOptions(max_tokens=0, before_sound=True)


def spent(one: Statistics) -> tuple[int, int]:
    return one.prefilled, one.recomputed


@pytest.mark.parametrize(
    "size", [1, 640_239, 640_240, 640_399, 640_400, 640_401, 1_280_240, 1_280_400, 2_000_000]
)
def test_windows_are_the_recording(size: int) -> None:
    samples = np.arange(size, dtype=np.float32)
    cut = Windows()
    parts = [one for at in range(0, size, BLOCK) for one in cut.push(samples[at : at + BLOCK])]
    rest = cut.rest()
    parts += [] if rest is None else [rest]
    whole = windows(Clip(samples, RATE))
    assert [(p.at, p.samples.size) for p in parts] == [(p.at, p.samples.size) for p in whole]
    assert all(np.array_equal(p.samples, samples[p.at : p.at + p.samples.size]) for p in parts)
    frames = [(p.samples.size - 400) // 160 + 1 - (8 if p.at else 0) for p in parts]
    assert sum(frames) == (max(0, size - 400) // 160 + 1 if size > 400 else frames[0])
    assert all(one == 8 * WINDOW for one in frames[:-1])


@pytest.mark.parametrize("model", ["small", "nano"])
def test_a_recording_that_is_heard_while_it_is_made_is_answered_alike(small_model: Path, model: str) -> None:
    """Tokens of the answer; in nano's 8 bits, the features of a window differ with what is beside it."""
    path = small_model if model == "small" else embedded()
    samples = noise(1, 91.3)
    samples[700_000:720_000] = 0.0  # exact silence is filled with noise, which must be the same
    with LocalSession(path, ONE_THREAD) as slow:
        slow.append(*SYSTEM, *question(Clip(samples, RATE)))
        expected, cost = reply(slow)
    with LocalSession(path, ONE_THREAD) as fast:
        fast.append(*SYSTEM, *prompt.begin_user())
        total = [spent(reply(fast, AHEAD)[1])]
        cut = Windows()
        for at in range(0, samples.size, BLOCK):
            for one in cut.push(samples[at : at + BLOCK]):
                fast.append(one)
                total.append(spent(reply(fast, AHEAD)[1]))
        rest = cut.rest()
        assert rest is not None
        fast.append(*prompt.end_user(rest), *prompt.assistant())
        ids, last = reply(fast)
    assert ids == expected
    assert [prefilled for prefilled, _ in total[1:]] == [WINDOW, WINDOW]
    assert sum(recomputed for _, recomputed in total) + last.recomputed == 0
    assert sum(prefilled for prefilled, _ in total) + last.prefilled == cost.prefilled
    assert last.prefilled < WINDOW


def test_what_comes_before_the_first_word_is_computed_once(small_model: Path) -> None:
    """The system prompt, tools and history, before sound and before a picture with sound."""
    seen, heard = picture(1), clip(1)
    for shown in ([], [seen]):
        said = [*SYSTEM, *question("Hello"), *prompt.assistant("How do you do?")[1:]]
        with LocalSession(small_model, ONE_THREAD) as slow:
            slow.append(*said, *question(*shown, heard))
            expected, cost = reply(slow)
        with LocalSession(small_model, ONE_THREAD) as session:
            session.append(*said, *prompt.begin_user(*shown))
            _, before = reply(session, AHEAD)
            _, again = reply(session, AHEAD)
            assert spent(again) == (0, 0)
            session.append(*prompt.end_user(heard), *prompt.assistant())
            ids, last = reply(session)
        assert ids == expected
        assert (before.recomputed, last.recomputed) == (0, 0)
        assert before.prefilled + last.prefilled == cost.prefilled
        assert last.prefilled == 13 + 2, "the clip and the end of the turn"
        assert (before.crops, last.crops) == ((2, 0) if shown else (0, 0))


def test_half_an_hour_ends_with_one_window_left_in_bounded_memory(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = small_package(tmp_path_factory.mktemp("long") / "small", context=32_768, layers=1, width=64)
    samples = np.tile(noise(1, 60.0), 30)
    settings = EngineSettings(threads=1, chunk=WINDOW)
    cut, seconds, sizes, recomputed = Windows(), [], [], 0
    with EngineProcess(path, settings) as session:
        process = psutil.Process(session.pid)
        session.append(*SYSTEM, *prompt.begin_user())
        reply(session, AHEAD)
        for at in range(0, samples.size, RATE):
            for one in cut.push(samples[at : at + RATE]):
                began = time.monotonic()
                session.append(one)
                recomputed += reply(session, AHEAD)[1].recomputed
                seconds.append(time.monotonic() - began)
                sizes.append(process.memory_info().rss)
        rest = cut.rest()
        assert rest is not None
        session.append(*prompt.end_user(rest), *prompt.assistant())
        ids, last = reply(session, GREEDY)
    assert len(seconds) == 1800 // 40 - 1
    assert sum(seconds) < 1800
    assert last.prefilled < WINDOW + 4
    assert recomputed < 4096 + WINDOW, "once, where the RoPE factors change"
    samples_of_one = 4 * 40 * RATE  # bytes; they are kept in case that another adapter is needed later
    assert sizes[-1] - sizes[10] < 1.5 * samples_of_one * len(sizes[10:]) + 32 * 2**20
    with LocalSession(path, settings) as slow:
        slow.append(*SYSTEM, *question(Clip(samples, RATE)))
        assert reply(slow, GREEDY)[0] == ids


def test_too_long_a_recording_is_said_as_soon_as_it_is(small_model: Path) -> None:
    with LocalSession(small_model, EngineSettings(threads=1, context_limit=1200)) as session:
        session.append(*prompt.system(), *prompt.begin_user())
        cut = Windows()
        first, *_ = cut.push(noise(1, 45.0))
        session.append(first)
        with pytest.raises(ContextError, match="there is room for 1,200"):
            session.append(*[one for _ in range(2) for one in cut.push(noise(2, 45.0))])
