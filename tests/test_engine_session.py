"""One conversation, however it came about: appended, chunked, rewound, under any adapter and RoPE factors.

The oracle everywhere is `from_scratch`: a fresh session that gets the whole conversation at once.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
import tracemalloc
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from engine_package import (
    GREEDY,
    ONE_THREAD,
    clip,
    from_scratch,
    noise,
    picture,
    question,
    read,
    reply,
    small_package,
)

from assistant.engine import prompt
from assistant.engine.encoders import FeatureCache
from assistant.engine.protocol import (
    Clip,
    Control,
    EngineSettings,
    Finished,
    GenerateOptions,
    Picture,
    Progress,
    Reply,
    Segment,
    Text,
    Token,
)
from assistant.engine.runtime import Runner, check_memory
from assistant.engine.session import LocalSession
from assistant.engine.timeline import Media
from models.errors import ContextError, EngineError, MediaError, PackageError
from models.package import check

ORIGINAL = 300  # tokens at which the RoPE factors change, in the package `crossing`
CHANCES = [0.25, 0.15, 0.1, 0.3, 0.1, 0.1]  # of the six steps in the random conversations


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_package(tmp_path_factory.mktemp("engine") / "small")


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_package(tmp_path_factory.mktemp("engine") / "crossing", original=ORIGINAL)


@pytest.fixture(scope="module")
def nano_sized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engine") / "nano"
    return small_package(folder, layers=4, width=192, vocabulary=2048)


TURNS: list[list[Segment]] = [
    [*prompt.system(), *question("Hello there")],
    [*prompt.end(), *question(clip(1, 1.3), "and this")],
    [*prompt.end(), *question(picture(2), picture(3, 500, 300), "compare")],
    [*prompt.end(), *question(clip(4, 0.8), clip(1, 1.3))],
    [*prompt.end(), *prompt.tool_response('{"ok": true}'), *prompt.assistant()],
]


def test_every_turn_is_answered_as_from_scratch(package: Path) -> None:
    said: list[Segment] = []
    with LocalSession(package, replace(ONE_THREAD, chunk=50)) as session:
        for turn in TURNS:
            session.append(*turn)
            said += turn
            ids, _ = reply(session)
            assert ids == from_scratch(package, said)
            said.append(Reply(tuple(ids)))
            assert session.mark() == len(said)


@pytest.mark.parametrize("chunk", [1, 7, 128])
def test_chunks_change_nothing(package: Path, chunk: int) -> None:
    said = [*prompt.system(), *question(clip(1), "what was that?")]
    with LocalSession(package, replace(ONE_THREAD, chunk=chunk)) as session:
        session.append(*said)
        events = list(session.generate(GREEDY))
        prefill = [e for e in events if isinstance(e, Progress) and e.stage == "prefill"]
        total = prefill[-1].total
        assert [e.done for e in prefill] == [*range(chunk, total, chunk), total]
        assert [e.id for e in events if isinstance(e, Token)] == from_scratch(package, said)


def test_a_rewound_session_is_as_if_nothing_had_been_said(package: Path) -> None:
    with LocalSession(package, ONE_THREAD) as session:
        session.append(*TURNS[0])
        place = session.mark()
        first, _ = reply(session)
        session.append(*TURNS[2])  # another adapter in between
        reply(session)
        session.rewind(place)
        again, spent = reply(session)
        assert again == first
        assert spent.recomputed > 1
        session.rewind(place)
        again, spent = reply(session)
        assert again == first
        assert (spent.prefilled, spent.recomputed) == (0, 1)
        session.rewind(0)
        session.append(*question("new"))
        assert reply(session)[0] == from_scratch(package, question("new"))
        for wrong in (-1, session.mark() + 1):
            with pytest.raises(ValueError, match="no place"):
                session.rewind(wrong)


def test_statistics_tell_what_was_kept(package: Path) -> None:
    with LocalSession(package, ONE_THREAD) as session:
        session.append(*TURNS[0])
        _, first = reply(session)
        assert first.prefilled > 0
        assert (first.reused, first.recomputed, first.generated) == (0, 0, 12)
        assert {"tokenize", "prefill", "decode"} <= set(first.seconds)
        session.append(*prompt.end(), *question("more"))
        _, second = reply(session)
        assert second.reused == first.prefilled + first.generated - 1  # the last one had not been run
        assert second.recomputed == 0
        length = second.prefilled + second.reused + second.generated
        session.append(*TURNS[1])  # sound: the speech adapter, everything again
        _, third = reply(session)
        assert third.reused == 0
        assert third.recomputed == length - 1
        assert third.seconds["speech"] > 0
        session.append(*prompt.end(), *question(picture(2)))  # now the vision adapter
        _, fourth = reply(session)
        assert fourth.reused == 0
        assert fourth.recomputed > length
        session.append(*TURNS[3])  # sound again, under the same adapter
        _, fifth = reply(session)
        assert fifth.recomputed == 0
        assert fifth.reused > fourth.recomputed


def test_adapters_and_projections_follow_the_content(package: Path) -> None:
    """A picture anywhere changes how the text and the sound before it are read."""
    plain = package.parent / "without"
    if not plain.exists():
        small_package(plain, adapters=False)
    for said in ([*question(clip(1))], [*question(picture(2), "hm")], [*question(clip(1), picture(2))]):
        assert from_scratch(package, said) != from_scratch(plain, said)
    assert from_scratch(package, question("text")) == from_scratch(plain, question("text"))


def test_a_users_own_adapter_is_on_whatever_the_content(package: Path, tmp_path: Path) -> None:
    styled = small_package(tmp_path / "styled", own="style")
    with pytest.raises(PackageError, match=r"no adapter called mine.*choose one that it has: style"):
        LocalSession(styled, EngineSettings(adapter="mine"))
    own = replace(ONE_THREAD, adapter="style")
    said: list[Segment] = []
    recomputed = []
    with LocalSession(styled, own) as session:
        for turn in TURNS[:3]:  # text; a clip; pictures, which change the clip's projection
            session.append(*turn)
            said += turn
            ids, spent = reply(session)
            recomputed.append(spent.recomputed)
            with LocalSession(styled, own) as fresh:
                fresh.append(*said)
                assert reply(fresh)[0] == ids
            assert from_scratch(styled, said) != ids
            said.append(Reply(tuple(ids)))
    assert recomputed[:2] == [0, 0]
    assert recomputed[2] > 100
    assert from_scratch(styled, TURNS[0]) == from_scratch(package, TURNS[0])


def test_a_content_is_encoded_once(package: Path) -> None:
    with LocalSession(package, ONE_THREAD) as session:
        encoders = session._encoders
        session.append(*question(picture(1), picture(2), picture(1)))
        reply(session)
        assert encoders.runs == 2
        session.append(*prompt.end(), *question(picture(2)))
        reply(session)
        assert encoders.runs == 2
        session.rewind(0)
        session.append(*question(clip(1)))
        reply(session)
        assert encoders.runs == 3
        session.append(*prompt.end(), *question(picture(1)))  # the clip through the other projection
        reply(session)
        assert encoders.runs == 4


def test_the_encoder_cache_forgets_the_oldest() -> None:
    cache = FeatureCache(3 * 400)
    rows = {name: np.full((10, 10), i, np.float32) for i, name in enumerate("abcd")}
    for name in "abc":
        cache.put(name, rows[name])
    assert cache.get("a") is rows["a"]
    cache.put("d", rows["d"])
    assert cache.get("b") is None
    assert [cache.get(name) is rows[name] for name in "acd"] == [True] * 3
    assert cache.bytes == 1200
    cache.put("huge", np.zeros((1000, 1000), np.float32))
    assert cache.get("huge") is None
    assert cache.bytes == 0


def test_without_a_cache_everything_still_works(package: Path) -> None:
    said = [*question(picture(1), clip(1)), *prompt.end(), *question(picture(1))]
    with LocalSession(package, replace(ONE_THREAD, cache_bytes=0)) as session:
        session.append(*said)
        assert reply(session)[0] == from_scratch(package, said)


def test_long_factors_apply_to_the_whole_conversation(crossing: Path) -> None:
    """Crossing by appending, by generating, and going back."""
    before = [*prompt.system(), *question("x" * 80)]
    with LocalSession(crossing, replace(ONE_THREAD, chunk=64)) as session:
        session.append(*before)
        reply(session, replace(GREEDY, max_tokens=0))
        length = session._timeline.length
        assert length < ORIGINAL
        place = session.mark()
        session.append(Text("y" * (ORIGINAL - length - 5)))
        said = [*before, Text("y" * (ORIGINAL - length - 5))]
        ids, spent = reply(session)  # crosses while writing
        assert spent.recomputed == ORIGINAL
        expected: list[int] = []
        for _ in range(GREEDY.max_tokens):
            one = replace(GREEDY, max_tokens=1)
            expected += from_scratch(crossing, [*said, Reply(tuple(expected))] if expected else said, one)
        assert ids == expected
        session.append(Text("z" * 100))
        ids_long, spent = reply(session)
        assert spent.recomputed == 0
        assert ids_long == from_scratch(crossing, [*said, Reply(tuple(ids)), Text("z" * 100)])
        session.rewind(place)
        session.append(Text("short"))
        back, spent = reply(session)
        assert spent.recomputed == length
        assert back == from_scratch(crossing, [*before, Text("short")])
    assert from_scratch(crossing, [*before, Text("z" * 400)]) != from_scratch(
        crossing, [*before, Text("z" * 399 + "!")]
    )


def test_a_long_prompt_is_prefilled_in_chunks_under_the_long_factors(crossing: Path) -> None:
    said = [*prompt.system(), *question("w" * 500)]
    with LocalSession(crossing, replace(ONE_THREAD, chunk=32)) as session:
        session.append(*said)
        assert reply(session)[0] == from_scratch(crossing, said)


def test_prefill_ahead_of_the_question(package: Path) -> None:
    with LocalSession(package, ONE_THREAD) as session:
        session.append(Control("<|user|>"), picture(1))
        ids, spent = reply(session, GenerateOptions(max_tokens=0))
        assert ids == []
        assert spent.prefilled == session._timeline.length
        session.append(Text("what?"), Control(prompt.END), *prompt.assistant())
        ids, spent = reply(session)
        assert spent.recomputed == 0
        assert ids == from_scratch(package, question(picture(1), "what?"))


def test_ends_of_a_reply(package: Path) -> None:
    said = question("why")
    ids = from_scratch(package, said)
    with LocalSession(package, replace(ONE_THREAD, context_limit=40)) as session:
        session.append(*said)
        stop = ids[5]
        first = ids.index(stop)
        shorter, finished = read(session.generate(replace(GREEDY, stop_ids=frozenset([stop]))))
        assert (shorter, finished.reason) == (ids[:first], "stop")
        assert finished.statistics.generated == first
        session.rewind(len(said))
        assert read(session.generate(replace(GREEDY, max_tokens=3)))[1].reason == "length"
        session.rewind(len(said))
        full, finished = read(session.generate(replace(GREEDY, max_tokens=100)))
        assert finished.reason == "context"
        assert session._timeline.length == 40
        assert full[:12] == ids
        with pytest.raises(ContextError, match="would have 41 tokens"):
            session.append(*prompt.end())


def test_a_model_that_goes_in_circles_is_stopped(tmp_path: Path) -> None:
    stuck = small_package(tmp_path / "stuck", scale=0)  # each token depends on the one before alone
    with LocalSession(stuck, ONE_THREAD) as session:
        session.append(*question("go"))
        ids, finished = read(session.generate(replace(GREEDY, max_tokens=100, repetition_guard=8)))
        assert finished.reason == "repetition"
        assert len(ids) < 40
        assert ids[-32:-2] == ids[-30:]


def test_too_little_memory_is_said_before_loading(package: Path) -> None:
    info = check(package)
    huge = replace(info, files={**info.files, "phi-4-mm-text.onnx.data": 2**50})
    with pytest.raises(EngineError, match=r"needs 1048576\.. GB of memory"):
        check_memory(huge)
    check_memory(info)


def test_too_little_memory_for_a_conversation_is_said_before_it_is_computed(package: Path) -> None:
    with LocalSession(package, ONE_THREAD) as session:
        session.append(*question("hello"))
        ids, _ = reply(session)
        place = session.mark()
        session.package = replace(session.package, layers=10**9)  # 512 GB a token
        with pytest.raises(ContextError, match=r"conversation needs .* GB of memory"):
            session.append(*prompt.end())
        assert session.mark() == place
        session.rewind(len(question("hello")))
        session.append()  # room that was taken once is room
        assert reply(session)[0] == ids


def test_too_long_and_bad_input_change_nothing(package: Path) -> None:
    with LocalSession(package, replace(ONE_THREAD, context_limit=600)) as session:
        with pytest.raises(ContextError, match="nothing to answer"):
            list(session.generate())
        session.append(*question("hello"))
        with pytest.raises(ContextError, match="room for 600"):
            session.append(Text("more"), picture(1), picture(2))
        with pytest.raises(ContextError, match="10,000,000 characters"):
            session.append(Text("x" * 10_000_000))
        with pytest.raises(ContextError, match="recording takes 12,500 tokens"):
            session.append(Clip(np.broadcast_to(np.float32(0.1), 16_000_000), 16_000))
        with pytest.raises(MediaError):
            session.append(Text("more"), Picture(b"no picture"))
        with pytest.raises(MediaError):
            session.append(Text("more"), Clip(np.array([np.nan], np.float32), 16_000))
        assert session.mark() == len(question("hello"))
        assert reply(session)[0] == from_scratch(package, question("hello"))


def test_sampling_follows_the_seed(package: Path) -> None:
    said = question("dice")
    sampled = replace(GREEDY, temperature=1.5, top_p=0.95, seed=3)
    first = from_scratch(package, said, sampled)
    assert first == from_scratch(package, said, sampled)
    assert first != from_scratch(package, said, replace(sampled, seed=4))
    assert from_scratch(package, said, replace(sampled, top_p=1e-9)) == from_scratch(package, said)


def test_closing_the_iterator_keeps_what_was_written(package: Path) -> None:
    said = question("tell me more")
    ids = from_scratch(package, said)
    with LocalSession(package, ONE_THREAD) as session:
        session.append(*said)
        events = session.generate(GREEDY)
        seen = list(islice(events, 5))
        events.close()
        written = [e.id for e in seen if isinstance(e, Token)]
        assert written == ids[: len(written)]
        rest, _ = reply(session, replace(GREEDY, max_tokens=12 - len(written)))
        assert written + rest == ids


@pytest.mark.parametrize("started", [1, 6])
def test_a_reply_left_half_way_does_not_write_into_the_next(package: Path, started: int) -> None:
    said = question("tell me more")
    more = [*prompt.end(), *question("and?")]
    with LocalSession(package, ONE_THREAD) as session:
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
        assert ids == from_scratch(package, said)
        place = session.mark()
        events = session.generate(GREEDY)
        list(islice(events, 3))
        session.rewind(place)
        assert list(events) == []
        assert session.mark() == place
        assert not [t for t in threading.enumerate() if t.name == "engine-cancel"]


def test_a_graph_without_long_context_gets_a_long_enough_step_after_a_rewind(crossing: Path) -> None:
    before, long = question("x" * 80), [Text("z" * 400)]
    with LocalSession(crossing, replace(ONE_THREAD, chunk=32)) as session:
        session._decoder.long_first = ORIGINAL + 1  # as with a graph that lacks this input
        session.append(*before)
        place = session.mark()
        session.append(*long)
        reply(session)
        session.rewind(place)
        session.append(Text("y" * 400))
        ids, spent = reply(session)
        assert spent.reused > 0
    assert ids == from_scratch(crossing, [*before, Text("y" * 400)])


def test_the_same_picture_twice_leaves_no_pixels_behind(package: Path) -> None:
    with LocalSession(package, ONE_THREAD) as session:
        session.append(*question(picture(1), picture(1)))
        reply(session)
        assert [p.inputs for p in session._timeline.pieces if isinstance(p, Media)] == [None, None]


def test_growing_the_cache_does_not_hold_it_twice(package: Path) -> None:
    with LocalSession(package, ONE_THREAD) as session, Runner() as runner:
        decoder = session._decoder
        tracemalloc.start()
        try:
            decoder.step(np.zeros((4000, 128), np.float32), 0, False, runner)
            old = session.package.kv_bytes(decoder.cache.capacity)
            tracemalloc.reset_peak()
            decoder.step(np.zeros((100, 128), np.float32), 0, False, runner)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        new = session.package.kv_bytes(decoder.cache.capacity)
        assert new > 1.5 * old
        assert peak < new + old / 2


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


def test_a_cancelled_session_goes_on_where_it_was(package: Path) -> None:
    said = [*prompt.system(), *question("a" * 600)]
    with LocalSession(package, replace(ONE_THREAD, chunk=20)) as session:
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
        assert ids == from_scratch(package, said)


def test_a_damaged_graph_is_a_clear_error(tmp_path: Path) -> None:
    broken = small_package(tmp_path / "broken")
    graph = broken / "phi-4-mm-text.onnx"
    graph.write_bytes(graph.read_bytes()[:-100])
    (broken / "aside.json").unlink()
    with pytest.raises(PackageError, match=r"phi-4-mm-text\.onnx"):
        LocalSession(broken)


@pytest.mark.parametrize(
    ("name", "change"),
    [("num_hidden_layers", -1), ("num_hidden_layers", 1), ("head_size", 1), ("hidden_size", 1)],
)
def test_a_configuration_that_is_not_the_graphs(
    package: Path, tmp_path: Path, name: str, change: int
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(package, copy)
    (copy / "aside.json").unlink()
    config = json.loads((copy / "genai_config.json").read_text())
    config["model"]["decoder"][name] += change
    (copy / "genai_config.json").write_text(json.dumps(config))
    with pytest.raises(PackageError, match=r"phi-4-mm-text\.onnx does not fit genai_config\.json: "):
        LocalSession(copy)


def test_nothing_is_kept_to_be_sent(package: Path, tmp_path: Path) -> None:
    """onnxruntime and genai would write a device id and a database of events."""
    program = "import sys, pathlib, assistant.engine.session as s; s.LocalSession(pathlib.Path(sys.argv[1]))"
    environment = {
        k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    }
    subprocess.run(
        [sys.executable, "-c", program, str(package)], env={**environment, "HOME": str(tmp_path)}, check=True
    )
    assert list(tmp_path.iterdir()) == []


def test_settings_are_validated() -> None:
    for chunk, threads, cache_bytes in ((0, 0, 0), (1, -1, 0), (1, 0, -1)):
        with pytest.raises(ValueError, match="chunk"):
            EngineSettings(chunk=chunk, threads=threads, cache_bytes=cache_bytes)
    for options in ({"top_p": 0.0}, {"max_tokens": -1}, {"repetition_guard": 1}):
        with pytest.raises(ValueError, match=r"top_p|max_tokens|repetition"):
            GenerateOptions(**options)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_the_reply_is_that_of_a_fresh_session(crossing: Path, seed: int) -> None:
    """Append, generate, stop, rewind in any order, across the RoPE switch and changes of adapter."""
    random = np.random.default_rng(seed)
    said: list[Segment] = []
    marks = [0]
    replies = 0
    with LocalSession(crossing, replace(ONE_THREAD, chunk=int(random.integers(5, 90)))) as session:
        while replies < 8:
            match random.choice(["text", "clip", "picture", "generate", "stop", "rewind"], p=CHANCES):
                case "text":
                    new: list[Segment] = question("t" * int(random.integers(1, 150)))
                case "clip":
                    new = question(clip(int(random.integers(3)), 1.5))
                case "picture":
                    new = question(picture(int(random.integers(3))))
                case "rewind":
                    place = int(random.choice(marks))
                    marks = [m for m in marks if m <= place]
                    session.rewind(place)
                    del said[place:]
                    continue
                case "stop" if said:
                    events = session.generate(GREEDY)
                    seen = islice(events, int(random.integers(1, 12)))
                    written = [e.id for e in seen if isinstance(e, Token)]
                    events.close()
                    said += [Reply(tuple(written))] if written else []
                    continue
                case _ if said:
                    ids, _ = reply(session)
                    assert ids == from_scratch(crossing, said)
                    said.append(Reply(tuple(ids)))
                    replies += 1
                    continue
                case _:
                    continue
            session.append(*new)
            said += new
            marks.append(len(said))
            assert session.mark() == len(said)
