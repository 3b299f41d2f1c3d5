"""The engine in a child process: real processes, killed, stopped and orphaned."""

from __future__ import annotations

import io
import os
import pickle
import signal
import statistics
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
import pytest
from engine_package import (
    GREEDY,
    ONE_THREAD,
    clip,
    from_scratch,
    picture,
    question,
    read,
    reply,
)

from assistant.engine import prompt, wire
from assistant.engine.process import EngineProcess, Patience
from assistant.engine.protocol import Clip, Picture, Progress, Reply, Text, Token
from models.errors import ContextError, EngineError, MediaError, PackageError

LONG = replace(GREEDY, max_tokens=5_000)
SAID = [*prompt.system(), *question(picture(1), clip(2), "what?")]


@pytest.fixture(scope="module")
def engine(small_model: Path) -> Iterator[EngineProcess]:
    with EngineProcess(small_model, ONE_THREAD, Patience(silence=1.5)) as engine:
        yield engine
    assert not psutil.pid_exists(engine.pid)
    assert not [t for t in threading.enumerate() if t.name.startswith("engine-")]


@pytest.fixture
def fresh(engine: EngineProcess) -> EngineProcess:
    """The engine with an empty conversation, restarted if the test before ended it."""
    try:
        engine.rewind(0)
    except EngineError:
        engine.restart()
        engine.rewind(0)
    return engine


def test_the_same_tokens_and_events_as_in_this_process(fresh: EngineProcess, small_model: Path) -> None:
    fresh.append(*SAID)
    place = fresh.mark()
    events = list(fresh.generate(GREEDY))
    assert {e.stage for e in events if isinstance(e, Progress)} == {"vision", "speech", "prefill"}
    ids = [e.id for e in events if isinstance(e, Token)]
    assert ids == from_scratch(small_model, SAID)
    assert fresh.mark() == place + 1
    fresh.append(*prompt.end(), *question("and?"))
    more, spent = reply(fresh)
    assert more == from_scratch(small_model, [*SAID, Reply(tuple(ids)), *prompt.end(), *question("and?")])
    assert spent.recomputed == 0
    fresh.rewind(place)
    assert reply(fresh)[0] == ids


def test_a_reply_apart_sees_nothing_and_leaves_nothing(fresh: EngineProcess, small_model: Path) -> None:
    alone = question(clip(1))
    wanted = from_scratch(small_model, alone)
    fresh.append(*question(picture(1)))
    first, _ = reply(fresh)
    here = fresh.mark()
    assert read(fresh.apart(alone, GREEDY))[0] == wanted
    next(fresh.apart(alone, GREEDY))  # left half-way
    with pytest.raises(ContextError):
        next(fresh.apart([Text("word " * 100_000)], GREEDY))
    assert fresh.mark() == here
    fresh.append(*prompt.end(), *question("and?"))
    more, spent = reply(fresh)
    said = [*question(picture(1)), Reply(tuple(first)), *prompt.end(), *question("and?")]
    assert more == from_scratch(small_model, said)
    assert spent.recomputed == 0


def test_errors_of_the_session_arrive_as_they_are(fresh: EngineProcess) -> None:
    with pytest.raises(ContextError, match="nothing to answer"):
        list(fresh.generate())
    with pytest.raises(MediaError):
        fresh.append(Text("a"), Picture(b"no picture"))
    with pytest.raises(MediaError, match="not numbers"):
        fresh.append(Clip(np.full(20_000, np.inf, np.float32), 16_000))
    with pytest.raises(ContextError, match="room for 8,192"):
        fresh.append(Text("x" * 10_000))
    with pytest.raises(ValueError, match="no place"):
        fresh.rewind(1)
    assert fresh.mark() == 0


def test_a_package_that_is_none(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(PackageError, match="no model package"):
        EngineProcess(tmp_path / "nothing")
    assert threading.active_count() == before


def test_cancel_reaches_the_child(fresh: EngineProcess, capsys: pytest.CaptureFixture[str]) -> None:
    delays = []
    for _ in range(5):
        fresh.rewind(0)
        fresh.append(*question("go on"))
        cancel = threading.Event()
        asked = 0.0
        for event in fresh.generate(LONG, cancel):
            if isinstance(event, Token) and not asked:
                asked = time.perf_counter()
                cancel.set()
        delays.append(time.perf_counter() - asked)
        assert fresh.mark() == len(question("go on")) + 1
    with capsys.disabled():
        sys.stdout.write(f"\ncancel in the child: {[round(1000 * d) for d in delays]} ms\n")
    assert statistics.median(delays) < 0.1


def test_an_abandoned_reply_is_stopped_and_kept(fresh: EngineProcess, small_model: Path) -> None:
    said = question("go on")
    fresh.append(*said)
    events = fresh.generate(LONG)
    list(islice(events, 5))
    events.close()
    ids, _ = reply(fresh)
    log = fresh._log
    assert [type(s) for s in log[-2:]] == [Reply, Reply]
    assert ids == from_scratch(small_model, log[:-1])


def test_a_reply_left_half_way_is_ended_by_the_next_call(fresh: EngineProcess, small_model: Path) -> None:
    fresh.append(*question("go on"))
    events = fresh.generate(LONG)
    list(islice(events, 5))
    fresh.append(*prompt.end(), *question("and?"))
    assert list(events) == []
    other = fresh.generate(LONG)
    list(islice(other, 3))
    ids, _ = reply(fresh)
    assert list(other) == []
    assert ids == from_scratch(small_model, fresh._log[:-1])
    assert [type(s) for s in fresh._log].count(Reply) == 3


def test_a_restart_in_the_middle_of_a_reply(fresh: EngineProcess, small_model: Path) -> None:
    fresh.append(*question("go on"))
    events = fresh.generate(LONG)
    list(islice(events, 3))
    fresh.restart()
    start = time.perf_counter()
    assert list(events) == []
    assert time.perf_counter() - start < 1
    assert reply(fresh)[0] == from_scratch(small_model, question("go on"))


def test_an_interrupted_append_is_not_half_there(fresh: EngineProcess, small_model: Path) -> None:
    said, large = question("hello"), picture(9, 1920, 1080)
    fresh.append(*said)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(KeyboardInterrupt):
            fresh.append(large)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert fresh.mark() == len(said)
    assert reply(fresh)[0] == from_scratch(small_model, said)


def test_the_child_cannot_make_the_parent_run_anything(tmp_path: Path) -> None:
    class EvilError(ContextError):
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "it-ran"),)

    for message in (EvilError(""), wire.Answer(1, wire.Failed(EvilError(""))), Path("x"), threading.Event):
        pipe = io.BytesIO()
        wire.send(pipe, message)
        pipe.seek(0)
        with pytest.raises(pickle.UnpicklingError, match="sent"):
            wire.receive(pipe, wire.Wary)
    assert not (tmp_path / "it-ran").exists()
    good = wire.Answer(2, wire.Failed(ContextError("a", "b")))
    pipe = io.BytesIO()
    wire.send(pipe, good)
    pipe.seek(0)
    answer = wire.receive(pipe, wire.Wary)
    assert isinstance(answer, wire.Answer)
    assert isinstance(answer.body, wire.Failed)
    assert str(answer.body.error) == "a b"


@pytest.mark.parametrize("when", ["idle", "writing"])
def test_a_killed_child_is_an_error_and_the_conversation_goes_on(
    fresh: EngineProcess, small_model: Path, when: str
) -> None:
    fresh.append(*SAID)
    ids, _ = reply(fresh)
    fresh.append(*prompt.end(), *question("and?"))
    place = fresh.mark()
    if when == "idle":
        os.kill(fresh.pid, signal.SIGKILL)
        with pytest.raises(EngineError, match="code -9"):
            list(fresh.generate(LONG))
    else:
        events = fresh.generate(LONG)
        assert any(isinstance(event, Token) for event in events), "it writes"
        os.kill(fresh.pid, signal.SIGKILL)
        with pytest.raises(EngineError, match=r"ended \(code -9\).*restart"):
            list(events)
    with pytest.raises(EngineError, match="ended"):
        fresh.append(Text("nobody listens"))
    assert fresh.mark() == place
    start = time.perf_counter()
    fresh.restart()
    assert time.perf_counter() - start < 5
    more, _ = reply(fresh)
    assert more == from_scratch(small_model, [*SAID, Reply(tuple(ids)), *prompt.end(), *question("and?")])


@pytest.mark.parametrize("content", ["clip", "text"])
def test_what_the_child_died_of_is_not_given_to_the_next(
    fresh: EngineProcess, small_model: Path, content: str
) -> None:
    """Killed while it encodes a minute of sound, or prefills a long text."""
    fresh.append(*prompt.system())
    if content == "text":  # a crash in an encoder keeps the system message even if nothing was answered yet
        fresh.append(*question("Hello"))
        reply(fresh)
        fresh.append(*prompt.end())
    kept = list(fresh._log)
    fresh.append(*question(clip(1, 60) if content == "clip" else "x" * 6_000))
    fresh.append(Text("more"))
    place = fresh.mark() - (1 if content == "text" else len(question("")) + 1)
    events = fresh.generate(LONG)
    first = next(events)
    assert isinstance(first, Progress)
    assert first.stage == ("speech" if content == "clip" else "prefill")
    os.kill(fresh.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match=r"code -9.*What was new in the conversation is dropped"):
        list(events)
    fresh.restart()
    if content == "clip":
        assert fresh.mark() == place == len(kept)
    else:
        assert fresh.mark() == place
        fresh.rewind(len(kept))
    fresh.append(*question("and?"))
    assert reply(fresh)[0] == from_scratch(small_model, [*kept, *question("and?")])


def test_a_stopped_child_is_noticed_and_replaced(
    fresh: EngineProcess, small_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh.append(*SAID)
    events = fresh.generate(LONG)
    assert any(isinstance(event, Token) for event in events), "it writes"
    os.kill(fresh.pid, signal.SIGSTOP)
    start = time.perf_counter()
    with pytest.raises(EngineError, match="stopped responding"):
        list(events)
    noticed = time.perf_counter() - start
    assert noticed < 4
    start = time.perf_counter()
    fresh.restart()
    seconds = time.perf_counter() - start
    with capsys.disabled():
        sys.stdout.write(f"\nstopped child: noticed in {noticed:.1f} s, restart {seconds:.1f} s\n")
    assert seconds < 5
    assert reply(fresh)[0] == from_scratch(small_model, SAID)


def test_a_stopped_child_does_not_block_a_large_append(fresh: EngineProcess) -> None:
    os.kill(fresh.pid, signal.SIGSTOP)
    start = time.perf_counter()
    with pytest.raises(EngineError, match="stopped responding"):
        fresh.append(clip(1, 60))  # more than a pipe holds
    assert time.perf_counter() - start < 4
    fresh.restart()
    fresh.append(Text("back"))


def test_close_ends_a_child_that_is_stopped_or_busy(small_model: Path) -> None:
    for busy in (False, True):
        engine = EngineProcess(small_model, ONE_THREAD)
        engine.append(*question("go on"))
        events = engine.generate(LONG)
        next(events)
        if not busy:
            os.kill(engine.pid, signal.SIGSTOP)
        start = time.perf_counter()
        engine.close()
        assert time.perf_counter() - start < 4
        assert not psutil.pid_exists(engine.pid)
        with pytest.raises(EngineError):
            list(events)


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_the_child_dies_with_its_parent(small_model: Path, state: str) -> None:
    program = """
        import sys, time
        from pathlib import Path
        from assistant.engine.process import EngineProcess
        engine = EngineProcess(Path(sys.argv[1]))
        print(engine.pid, flush=True)
        time.sleep(100)  # until it is killed
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(small_model)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.ppid() == parent.pid
        assert not list(Path(child.cwd()).iterdir())
        if state == "stopped":
            child.suspend()
        parent.kill()
        child.wait(5)


def test_the_parent_is_never_blocked(fresh: EngineProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """The longest time that a thread here stood still while the child preprocessed and prefilled."""
    longest = []
    for i in range(3):
        fresh.rewind(0)
        done = threading.Event()
        gaps: list[float] = []

        def tick(done: threading.Event = done, gaps: list[float] = gaps) -> None:
            last = time.perf_counter()
            while not done.is_set():
                time.sleep(0.001)
                now = time.perf_counter()
                gaps.append(now - last)
                last = now

        ticker = threading.Thread(target=tick)
        ticker.start()
        start = time.perf_counter()
        fresh.append(*question(picture(10 + i, 1920, 1080), clip(i, 30), "x" * 2000))
        _, finished = read(fresh.generate(GREEDY))
        took = time.perf_counter() - start
        done.set()
        ticker.join()
        assert finished.statistics.prefilled > 3000
        longest.append(max(gaps))
    with capsys.disabled():
        shown = [round(1000 * gap) for gap in longest]
        sys.stdout.write(
            f"\nlongest gap in a parent thread: {shown} ms while the child worked {took:.1f} s\n"
        )
    assert min(longest) < 0.1
    assert min(longest) < took / 10
