"""What the engine keeps: encoder results by content, keys and values by adapter and RoPE factors."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
from conftest import ORIGINAL
from engine_package import (
    GREEDY,
    ONE_THREAD,
    clip,
    from_scratch,
    picture,
    question,
    reply,
)

from assistant.engine import prompt
from assistant.engine.encoders import FeatureCache
from assistant.engine.kv_cache import KVCache, KVCaches
from assistant.engine.protocol import (
    Reply,
    Text,
)
from assistant.engine.session import LocalSession
from assistant.engine.timeline import Media


def test_a_content_is_encoded_once(small_model: Path) -> None:
    with LocalSession(small_model, ONE_THREAD) as session:
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


def test_without_a_cache_everything_still_works(small_model: Path) -> None:
    said = [*question(picture(1), clip(1)), *prompt.end(), *question(picture(1))]
    with LocalSession(small_model, replace(ONE_THREAD, cache_bytes=0)) as session:
        session.append(*said)
        assert reply(session)[0] == from_scratch(small_model, said)


def test_the_same_picture_twice_leaves_no_pixels_behind(small_model: Path) -> None:
    with LocalSession(small_model, ONE_THREAD) as session:
        session.append(*question(picture(1), picture(1)))
        reply(session)
        assert [p.inputs for p in session._timeline.pieces if isinstance(p, Media)] == [None, None]


def test_a_turn_that_is_forgotten_costs_the_conversation_nothing(small_model: Path) -> None:
    """A clip is written down under the speech adapter, and its text is asked about without one."""
    said = [*prompt.system(), *question("Hello there")]
    with LocalSession(small_model, ONE_THREAD) as session:
        session.append(*said)
        ids, _ = reply(session)
        said += [Reply(tuple(ids)), *prompt.end()]
        session.append(*prompt.end())
        for turn in range(3):
            here, length = session.mark(), session._timeline.length
            session.append(*question(clip(turn)))
            heard, spent = reply(session)
            assert heard == from_scratch(small_model, [*said, *question(clip(turn))])
            again = spent.recomputed
            session.rewind(here)
            session.append(*question("what was written down"))
            said += question("what was written down")
            ids, spent = reply(session)
            assert ids == from_scratch(small_model, said)
            # The last token of the reply before and <|end|> were computed under the speech adapter only.
            assert (spent.reused, spent.recomputed) == (length - 2, 2)
            if turn:
                assert again < length / 2, "under the speech adapter only the last turn was new"
            said += [Reply(tuple(ids)), *prompt.end()]
            session.append(*prompt.end())


def test_two_caches_at_most_and_one_where_memory_is_scarce() -> None:
    made: list[weakref.ref[KVCache]] = []

    def new() -> KVCache:
        cache = KVCache(1, 1, 2, 512)
        made.append(weakref.ref(cache))
        return cache

    caches = KVCaches(new)
    for state in ("none", "speech", "vision", "speech", "none", "vision"):
        caches.switch(state, lambda _: True)
        caches.current.length = 10
        assert sum(cache() is not None for cache in made) <= 2
    assert len(made) == 5, "vision to speech went back"
    before = caches.current
    assert not caches.switch("speech", lambda _: False)
    assert caches.current is before
    assert caches.current.length == 0
    assert sum(cache() is not None for cache in made) == 1


def test_the_cache_takes_memory_as_it_is_written_and_grows_without_holding_it_twice() -> None:
    token = 2 * 8 * 8 * 64 * 4  # bytes: keys and values, layers, heads, head, float32
    cache = KVCache(8, 8, 64, 16_384)
    assert cache.capacity == 4_096
    before = resident()
    for array in cache._arrays:
        array[:, :, :1000] = 1
    cache.length = 1000
    full = resident()
    assert 0.9 * 1000 * token < full - before < 1.2 * 1000 * token
    Path("/proc/self/clear_refs").write_text("5")  # the highest so far is forgotten, proc(5)
    cache.reserve(4_097)
    assert cache.capacity == 8_192
    assert resident("VmHWM") - full < 0.3 * 1000 * token
    assert all((array[:, :, :1000] == 1).all() for array in cache._arrays)


def resident(which: str = "VmRSS") -> int:
    """Bytes of this process in memory, or with VmHWM the most there were."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{which}:"))


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
        assert (spent.reused, spent.recomputed) == (length, 0)  # under the short factors, which waited
        assert back == from_scratch(crossing, [*before, Text("short")])
    assert from_scratch(crossing, [*before, Text("z" * 400)]) != from_scratch(
        crossing, [*before, Text("z" * 399 + "!")]
    )


def test_a_long_prompt_is_prefilled_in_chunks_under_the_long_factors(crossing: Path) -> None:
    said = [*prompt.system(), *question("w" * 500)]
    with LocalSession(crossing, replace(ONE_THREAD, chunk=32)) as session:
        session.append(*said)
        assert reply(session)[0] == from_scratch(crossing, said)


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
