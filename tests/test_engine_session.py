"""One conversation, however it came about: appended, chunked, rewound, under any adapter and RoPE factors.

The oracle everywhere is `from_scratch`: a fresh session that gets the whole conversation at once.
"""

from __future__ import annotations

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
    picture,
    question,
    read,
    reply,
    small_package,
)

from assistant.engine import prompt
from assistant.engine.protocol import (
    Control,
    EngineSettings,
    GenerateOptions,
    Progress,
    Reply,
    Segment,
    Text,
    Token,
)
from assistant.engine.session import LocalSession
from models.errors import ContextError, PackageError

CHANCES = [0.25, 0.15, 0.1, 0.3, 0.1, 0.1]  # of the six steps in the random conversations

TURNS: list[list[Segment]] = [
    [*prompt.system(), *question("Hello there")],
    [*prompt.end(), *question(clip(1, 1.3), "and this")],
    [*prompt.end(), *question(picture(2), picture(3, 500, 300), "compare")],
    [*prompt.end(), *question(clip(4, 0.8), clip(1, 1.3))],
    [*prompt.end(), *prompt.tool_response('{"ok": true}'), *prompt.assistant()],
]


def test_every_turn_is_answered_as_from_scratch(small_model: Path) -> None:
    said: list[Segment] = []
    with LocalSession(small_model, replace(ONE_THREAD, chunk=50)) as session:
        for turn in TURNS:
            session.append(*turn)
            said += turn
            ids, _ = reply(session)
            assert ids == from_scratch(small_model, said)
            said.append(Reply(tuple(ids)))
            assert session.mark() == len(said)


@pytest.mark.parametrize("chunk", [1, 7, 128])
def test_chunks_change_nothing(small_model: Path, chunk: int) -> None:
    said = [*prompt.system(), *question(clip(1), "what was that?")]
    with LocalSession(small_model, replace(ONE_THREAD, chunk=chunk)) as session:
        session.append(*said)
        events = list(session.generate(GREEDY))
        prefill = [e for e in events if isinstance(e, Progress) and e.stage == "prefill"]
        total = prefill[-1].total
        assert [e.done for e in prefill] == [*range(chunk, total, chunk), total]
        assert [e.id for e in events if isinstance(e, Token)] == from_scratch(small_model, said)


def test_a_rewound_session_is_as_if_nothing_had_been_said(small_model: Path) -> None:
    with LocalSession(small_model, ONE_THREAD) as session:
        session.append(*TURNS[0])
        place = session.mark()
        first, _ = reply(session)
        session.append(*TURNS[2])  # another adapter in between
        reply(session)
        session.rewind(place)
        for _ in range(2):
            session.rewind(place)
            again, spent = reply(session)
            assert again == first
            assert (spent.prefilled, spent.recomputed) == (0, 1)
        session.rewind(0)
        session.append(*question("new"))
        assert reply(session)[0] == from_scratch(small_model, question("new"))
        for wrong in (-1, session.mark() + 1):
            with pytest.raises(ValueError, match="no place"):
                session.rewind(wrong)


def test_statistics_tell_what_was_kept(small_model: Path) -> None:
    with LocalSession(small_model, ONE_THREAD) as session:
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


def test_adapters_and_projections_follow_the_content(small_model: Path, tmp_path: Path) -> None:
    """A picture anywhere changes how the text and the sound before it are read."""
    plain = small_package(tmp_path / "without", adapters=False)
    for said in ([*question(clip(1))], [*question(picture(2), "hm")], [*question(clip(1), picture(2))]):
        assert from_scratch(small_model, said) != from_scratch(plain, said)
    assert from_scratch(small_model, question("text")) == from_scratch(plain, question("text"))


def test_a_users_own_adapter_is_on_whatever_the_content(small_model: Path, tmp_path: Path) -> None:
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
    assert from_scratch(styled, TURNS[0]) == from_scratch(small_model, TURNS[0])


def test_prefill_ahead_of_the_question(small_model: Path) -> None:
    with LocalSession(small_model, ONE_THREAD) as session:
        session.append(Control("<|user|>"), picture(1))
        ids, spent = reply(session, GenerateOptions(max_tokens=0))
        assert ids == []
        assert spent.prefilled == session._timeline.length
        session.append(Text("what?"), Control(prompt.END), *prompt.assistant())
        ids, spent = reply(session)
        assert spent.recomputed == 0
        assert ids == from_scratch(small_model, question(picture(1), "what?"))


def test_ends_of_a_reply(small_model: Path) -> None:
    said = question("why")
    ids = from_scratch(small_model, said)
    with LocalSession(small_model, replace(ONE_THREAD, context_limit=40)) as session:
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


def test_sampling_follows_the_seed(small_model: Path) -> None:
    said = question("dice")
    sampled = replace(GREEDY, temperature=1.5, top_p=0.95, seed=3)
    first = from_scratch(small_model, said, sampled)
    assert first == from_scratch(small_model, said, sampled)
    assert first != from_scratch(small_model, said, replace(sampled, seed=4))
    assert from_scratch(small_model, said, replace(sampled, top_p=1e-9)) == from_scratch(small_model, said)


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


@pytest.mark.parametrize("media", [[], [clip(5, 0.5)]])
def test_the_fiftieth_turn_costs_what_the_second_does(small_model: Path, media: list[prompt.Part]) -> None:
    """For the same new input, in tokens that go through the model: what came before is never taken again."""
    cost = []
    with LocalSession(small_model, ONE_THREAD) as session:
        session.append(*prompt.system())
        for _ in range(50):
            session.append(*question(*media, "and now?"))
            _, spent = reply(session, replace(GREEDY, max_tokens=3))
            cost.append(spent.prefilled + spent.recomputed)
            assert spent.reused + cost[-1] + spent.generated == session._timeline.length
            session.append(*prompt.end())
        assert len(set(cost[1:])) == 1
        assert session._encoders.runs == len(media), "the same clip is encoded once"
