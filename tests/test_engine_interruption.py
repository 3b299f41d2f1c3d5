"""Replies that are cancelled or left half-way: it takes effect at once, and the session stays whole."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from engine_package import (
    GREEDY,
    ONE_THREAD,
    from_scratch,
    noise,
    question,
    read,
    reply,
    small_package,
)

from assistant.engine import prompt
from assistant.engine.encoders import FeatureCache
from assistant.engine.protocol import (
    Clip,
    Finished,
    Progress,
    Reply,
    Segment,
    Text,
    Token,
)
from assistant.engine.session import LocalSession


@pytest.fixture(scope="module")
def nano_sized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engine") / "nano"
    return small_package(folder, layers=4, width=192, vocabulary=2048)


def test_closing_the_iterator_keeps_what_was_written(small_model: Path) -> None:
    said = question("tell me more")
    ids = from_scratch(small_model, said)
    with LocalSession(small_model, ONE_THREAD) as session:
        session.append(*said)
        events = session.generate(GREEDY)
        seen = list(islice(events, 5))
        events.close()
        written = [e.id for e in seen if isinstance(e, Token)]
        assert written == ids[: len(written)]
        rest, _ = reply(session, replace(GREEDY, max_tokens=12 - len(written)))
        assert written + rest == ids


@pytest.mark.parametrize("started", [1, 6])
def test_a_reply_left_half_way_does_not_write_into_the_next(small_model: Path, started: int) -> None:
    said = question("tell me more")
    more = [*prompt.end(), *question("and?")]
    with LocalSession(small_model, ONE_THREAD) as session:
        session.append(*said)
        events = session.generate(GREEDY)
        written = tuple(e.id for e in islice(events, started) if isinstance(e, Token))
        session.append(*more)
        assert list(events) == []
        said += [*([Reply(written)] if written else []), *more]
        assert session.mark() == len(said)
        other = session.generate(GREEDY)
        next(other)
        ids, _ = reply(session)
        assert list(other) == []
        assert ids == from_scratch(small_model, said)
        place = session.mark()
        events = session.generate(GREEDY)
        list(islice(events, 3))
        session.rewind(place)
        assert list(events) == []
        assert session.mark() == place
        assert not [t for t in threading.enumerate() if t.name == "engine-cancel"]


@pytest.mark.parametrize("part", ["prefill", "speech"])
def test_cancel_takes_effect_within_100_ms(
    nano_sized: Path, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Median of five, in the middle of prefilling 6,000 tokens and of encoding two minutes."""
    content: Segment = Text("many words " * 550) if part == "prefill" else Clip(noise(1, 120), 16_000)
    delays = []
    with LocalSession(nano_sized, ONE_THREAD) as session:
        for _ in range(5):
            session.rewind(0)
            session._encoders.cache = FeatureCache(0)
            session.append(*prompt.user(), content, *prompt.assistant())
            cancel = threading.Event()
            when: list[float] = []
            start = time.perf_counter()

            def stop(cancel: threading.Event = cancel, when: list[float] = when) -> None:
                when.append(time.perf_counter())
                cancel.set()

            timer = threading.Timer(0.05, stop)
            timer.start()
            _, finished = read(session.generate(GREEDY, cancel))
            end = time.perf_counter()
            timer.join()
            assert finished.reason == "cancelled", f"done in {end - start:.2f} s"
            delays.append(end - when[0])
            assert session._timeline.length > 1400
    with capsys.disabled():
        sys.stdout.write(
            f"\ncancel during {part}: {[round(1000 * d) for d in delays]} ms after it was asked for\n"
        )
    assert statistics.median(delays) < 0.1


def test_a_cancelled_session_goes_on_where_it_was(small_model: Path) -> None:
    said = [*prompt.system(), *question("a" * 600)]
    with LocalSession(small_model, replace(ONE_THREAD, chunk=20)) as session:
        session.append(*said)
        cancel = threading.Event()
        for event in session.generate(GREEDY, cancel):
            if isinstance(event, Progress) and event.done >= 200:
                cancel.set()
        done = session._decoder.cache.length
        assert [e.reason for e in session.generate(GREEDY, cancel) if isinstance(e, Finished)] == [
            "cancelled"
        ]
        assert session._decoder.cache.length == done
        assert 200 <= done < 260
        ids, spent = reply(session)
        assert spent.reused == done
        assert ids == from_scratch(small_model, said)
