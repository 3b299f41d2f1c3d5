"""What is kept comes back as it was; search, branches, deletion, permissions."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistant.history.records import Hit, NewMedia, NewTurn, ToolCall, Turn
from assistant.history.store import History
from models.errors import Cancelled, HistoryError

PNG = b"\x89PNG not really"
TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CALLS = st.builds(
    ToolCall,
    st.text(max_size=9),
    st.dictionaries(st.text(max_size=5), VALUES, max_size=3),
    st.sampled_from(["proposed", "done", "refused", "failed"]),
    st.none() | st.text(max_size=20),
)
TURNS = st.builds(
    NewTurn,
    st.sampled_from(["user", "assistant"]),
    TEXT,
    transcript=st.none() | TEXT,
    heard=st.none() | TEXT,
    media=st.lists(
        st.builds(
            NewMedia, st.binary(max_size=64), st.sampled_from(["image/png", "audio/wav"]), st.text(max_size=9)
        ),
        max_size=3,
    ).map(tuple),
    calls=st.lists(CALLS, max_size=2).map(tuple),
    state=st.sampled_from(["complete", "stopped", "failed"]),
    problem=st.text(max_size=9),
    model=st.text(max_size=9),
    figures=st.dictionaries(st.text(max_size=5), VALUES, max_size=3),
)
SAME_FOLDER = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History(tmp_path / "history") as opened:
        yield opened


def ask(history: History, conversation: int, text: str, **more: Any) -> Turn:
    return history.append(conversation, NewTurn("user", text, **more))


def texts(history: History, conversation: int) -> list[str]:
    return [turn.text for turn in history.turns(conversation)]


def plain(text: str) -> str:
    """What UTF-8 can hold of a text."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def test_a_call_is_written_at_once_and_once(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        reply = history.stream(history.create().id)
        reply.call(ToolCall("f", {"a": 1}))
        assert history.turn(reply.id).calls == (ToolCall("f", {"a": 1}),)
        done = ToolCall("f", {"a": 1}, "done", "findme")
        reply.call(done)
        refused = ToolCall("g", {}, "refused", "Not done.")
        reply.call(refused)
        assert history.turn(reply.id).calls == (done, refused)
        assert reply.finish().calls == (done, refused)
        assert len(history.search("findme")) == 1


@SAME_FOLDER
@given(turn=TURNS)
def test_a_turn_comes_back_as_it_was(history: History, turn: NewTurn) -> None:
    conversation = history.create("Title").id
    kept = history.append(conversation, turn)
    with History(history.folder) as again:
        assert again.turns(conversation) == [kept]
        given_ = [media.source for media in turn.media if isinstance(media, NewMedia)]
        assert [again.media.read(media) for media in kept.media] == given_
    assert kept.role == turn.role
    assert kept.text == plain(turn.text)
    for mine, given_text in ((kept.transcript, turn.transcript), (kept.heard, turn.heard)):
        assert mine == (None if given_text is None else plain(given_text))
    assert (kept.calls, kept.figures) == (turn.calls, turn.figures)
    assert (kept.state, kept.problem, kept.model) == (turn.state, turn.problem, turn.model)
    assert [(m.name, m.media_type) for m in kept.media] == [(m.name, m.media_type) for m in turn.media]


def test_the_list_is_ordered_by_use_and_paged(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [history.create(f"Talk {number}").id for number in range(5)]
    monkeypatch.setattr("time.time", lambda: 0.0)  # a clock that was set back
    ask(history, ids[1], "Again")
    order = [ids[1], ids[4], ids[3], ids[2], ids[0]]
    assert [c.id for c in history.conversations()] == order
    first = history.conversations(limit=2)
    assert [c.id for c in first + history.conversations(before=first[-1].used)] == order


def test_a_title_is_made_of_the_first_question(history: History) -> None:
    typed, spoken, named = history.create(), history.create(), history.create("Mine")
    ask(history, typed.id, "What is\nthis? " + "Please tell me " * 20)
    ask(history, typed.id, "Something else")
    turn = ask(history, spoken.id, "")
    history.set_transcript(turn.id, "How late is it?")
    ask(history, named.id, "A question")
    title = history.conversation(typed.id).title
    assert title.startswith("What is this? Please tell me")
    assert title.endswith("…")
    assert len(title) <= 60
    assert history.conversation(spoken.id).title == "How late is it?"
    assert history.name_after(named.id, "What was said", "A question").title == "Mine"
    assert history.name_after(named.id, "What was said", "Mine").title == "What was said"
    assert history.name_after(named.id, " ", "What was said").title == "What was said"
    assert history.rename(named.id, "Yours").title == "Yours"
    assert [hit.conversation for hit in history.search("yours")] == [named.id]
    assert history.search("mine") == []


def test_a_reply_is_kept_while_it_is_written(history: History) -> None:
    talk = history.create().id
    ask(history, talk, "Tell me")
    with history.stream(talk, model="nano", every=0.0) as reply:
        reply.add("Once upon ")
        with History(history.folder) as other:  # another process sees it, and leaves it alone
            assert [(t.state, t.text) for t in other.turns(talk)][-1] == ("open", "Once upon ")
        reply.add("a time")
        done = reply.finish(heard="Once", figures={"tokens": 4}, calls=[ToolCall("f", {"a": 1})])
    assert (done.state, done.text, done.heard, done.model) == ("complete", "Once upon a time", "Once", "nano")
    assert done.figures == {"tokens": 4}
    assert history.turns(talk)[-1] == done
    assert [hit.turn for hit in history.search("upon")] == [done.id]
    with pytest.raises(HistoryError, match="has ended"):
        history.extend(done.id, "more")


def test_writes_of_a_stream_are_bounded(history: History) -> None:
    talk = history.create().id
    with history.stream(talk, every=3600.0) as reply:
        for _ in range(1000):
            reply.add("word ")
        assert history.turn(reply.id).text == ""
        reply.finish()
    assert history.turn(reply.id).text == "word " * 1000


@pytest.mark.parametrize(
    ("error", "state", "problem"),
    [(Cancelled("Stop."), "stopped", ""), (HistoryError("It broke."), "failed", "It broke.")],
)
def test_a_broken_reply_ends(history: History, error: Exception, state: str, problem: str) -> None:
    talk = history.create().id

    def write() -> None:
        with history.stream(talk) as reply:
            reply.add("Half")
            raise error

    with pytest.raises(type(error)):
        write()
    [turn] = history.turns(talk)
    assert (turn.state, turn.problem, turn.text) == (state, problem, "Half")


def test_an_edited_question_hides_what_came_after(history: History) -> None:
    talk = history.create().id
    first = ask(history, talk, "one", media=(NewMedia(PNG, "image/png"),))
    history.append(talk, NewTurn("assistant", "answer one"))
    second = ask(history, talk, "two")
    answer = history.append(talk, NewTurn("assistant", "answer two"))
    again = history.append(talk, NewTurn("assistant", "better two"), instead_of=answer.id)
    assert texts(history, talk) == ["one", "answer one", "two", "better two"]
    edited = history.append(talk, NewTurn("user", "ONE", media=first.media), instead_of=first.id)
    assert texts(history, talk) == ["ONE"]
    assert edited.media == first.media
    hidden = {turn.id: turn.hidden_by for turn in history.turns(talk, hidden=True)}
    assert (hidden[answer.id], hidden[again.id], hidden[second.id]) == (again.id, edited.id, edited.id)
    assert [hit.text for hit in history.search("two")] == []
    assert history.conversation(talk).turns == 1
    with pytest.raises(HistoryError, match="visible"):
        history.append(talk, NewTurn("user", "x"), instead_of=second.id)
    with pytest.raises(HistoryError, match="visible"):
        history.append(history.create().id, NewTurn("user", "x"), instead_of=edited.id)


def test_turns_are_paged_from_the_end(history: History) -> None:
    talk = history.create().id
    for number in range(7):
        ask(history, talk, str(number))
    last = history.turns(talk, limit=3)
    assert [turn.text for turn in last] == ["4", "5", "6"]
    assert [turn.text for turn in history.turns(talk, limit=3, before=last[0].id)] == ["1", "2", "3"]


def test_results_of_tools(history: History) -> None:
    talk = history.create().id
    calls = (ToolCall("set_timer", {"minutes": 5}), ToolCall("add_note", {"text": "Milch"}))
    turn = history.append(talk, NewTurn("assistant", calls=calls))
    history.set_result(turn.id, 1, "done", "written down")
    history.set_result(turn.id, 0, "refused", None)
    assert [(c.state, c.result) for c in history.turn(turn.id).calls] == [
        ("refused", None),
        ("done", "written down"),
    ]
    assert [hit.turn for hit in history.search("written milch")] == [turn.id]
    for number in (2, -1):
        with pytest.raises(HistoryError, match="no tool call"):
            history.set_result(turn.id, number, "done", "")


SAID = "今天天气怎么样？ Die Straße nach Zürich, 3.5 km! I'm 🙂 東京へ行く 안녕하세요 ไปไหน C++ foo_bar"


@pytest.mark.parametrize(
    "words",
    ["天气", "天", "怎么样", "zurich", "ZÜR", "stra", "3.5", "I'm", "🙂", "東京へ", "녕하", "ไหน", "c++"],
)
def test_search_finds(history: History, words: str) -> None:
    talk = history.create("Title").id
    turn = ask(history, talk, SAID)
    assert [hit.turn for hit in history.search(words)] == [turn.id]


@pytest.mark.parametrize("words", ["气天", "ürich", "asse", "zurich paris", "", "  ", '"', "*", "()", "\0"])
def test_search_finds_nothing(history: History, words: str) -> None:
    ask(history, history.create("Title").id, SAID)
    assert history.search(words) == []


def marked(hit: Hit) -> str:
    return "".join(f"[{run.text}]" if run.found else run.text for run in hit.snippet)


def test_snippets_show_the_place(history: History) -> None:
    talk = history.create("Weather 天气").id
    ask(history, talk, "word " * 500 + "the needle is here " + "word " * 500)
    ask(history, talk, "我想知道明天的天气怎么样")
    [needle] = history.search("needle")
    assert "the [needle] is here" in marked(needle)
    assert len(needle.text) < 200
    assert [marked(hit) for hit in history.search("天气")] == ["Weather [天气]", "我想知道明天的[天气]怎么样"]
    assert [hit.turn is None for hit in history.search("天气")] == [True, False]
    assert len(history.search("w", limit=1, offset=1)) == 1


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("zürich", "[Zürich]"),
        ("zur 🙂", "[Zür]ich, hm [🙂]"),
        ("i'm", "[I’m]"),
        ("안녕", "[안녕]하"),
        ("か", "[か]が"),
    ],
)
def test_snippets_mark_what_the_index_found(history: History, words: str, found: str) -> None:
    ask(history, history.create("t").id, "vor " * 30 + "Zürich, hm 🙂 I’m 아안녕하 がかが" + " nach" * 30)
    [hit] = history.search(words)
    assert found in marked(hit)


def test_a_word_that_comes_very_often(history: History) -> None:
    """FTS5's own snippets take minutes here."""
    talk = history.create("t").id
    history.append(talk, NewTurn("assistant", "word " * 200_000))
    history.append(talk, NewTurn("assistant", "天" * 100_000 + "x" * 1_000_000))
    started = time.monotonic()
    assert [len(history.search(words)) for words in ("wor", "天天", "xxx")] == [1, 1, 1]
    assert all(len(hit.text) <= 200 for words in ("w", "天", "xxx") for hit in history.search(words))
    assert time.monotonic() - started < 20


@SAME_FOLDER
@given(query=TEXT | st.text("\"*^:(){}+-' ANDORNOTEAR\0天", max_size=60), said=TEXT)
def test_no_query_breaks_the_syntax(history: History, query: str, said: str) -> None:
    ask(history, history.create("t").id, said)
    for hit in history.search(plain(query)):
        assert hit.text


@SAME_FOLDER
@given(
    words=st.lists(st.text("abcxyz天气怎你好äß0189", min_size=1, max_size=6), min_size=1, max_size=6),
    data=st.data(),
)
def test_what_was_said_is_found(history: History, words: list[str], data: st.DataObject) -> None:
    turn = ask(history, history.create("t").id, " ".join(words))
    part = data.draw(st.sampled_from(words))
    assert turn.id in [hit.turn for hit in history.search(part, limit=1000)]


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_deleting_leaves_no_bytes(history: History) -> None:
    kept = history.create("kept").id
    shared = NewMedia(b"sharedcanary" * 50, "image/png", "shared.png")
    ask(history, kept, "keep-this-text", media=(shared,))
    gone = [history.create(f"titlecanary {n}").id for n in range(3)]
    for number in range(30):
        talk = gone[number % 3]
        ask(history, talk, f"textcanary{number} " * (number * 30), media=(shared,))
        history.append(kept, NewTurn("assistant", f"other {number} " * 40))
        with history.stream(talk, every=0.0) as reply:
            reply.add(f"partcanary{number} ")
            reply.add("partcanary ")
    ask(
        history,
        gone[0],
        "x",
        transcript="voicecanary",
        media=(NewMedia(b"soundcanary", "audio/wav", "namecanary"),),
    )
    history.append(
        gone[0],
        NewTurn("assistant", calls=(ToolCall("toolcanary", {"argcanary": 1}, "done", "resultcanary"),)),
    )
    history.rename(gone[1], "newcanary")
    assert everything(history.folder).count(b"canary") > 60
    history.delete(*gone)
    left = everything(history.folder)
    assert left.replace(b"sharedcanary", b"").count(b"canary") == 0
    assert b"keep-this-text" in left
    [turn] = [turn for turn in history.turns(kept) if turn.media]
    assert history.media.read(turn.media[0]) == shared.source
    history.delete(kept)
    assert b"canary" not in everything(history.folder)
    assert history.media.names() == []


def test_wiping_and_retention(history: History) -> None:
    old, new = history.create("old").id, history.create("new").id
    ask(history, old, "oldcanary", media=(NewMedia(b"oldcanary", "image/png"),))
    now = history.conversation(new).changed
    assert history.delete_older(1, now) == 0
    history._db.execute("UPDATE conversation SET changed = changed - 86500 WHERE id = ?", (old,))
    assert history.delete_older(1, now) == 1
    assert [c.id for c in history.conversations()] == [new]
    assert b"oldcanary" not in everything(history.folder)
    ask(history, new, "newcanary", media=(NewMedia(b"newcanary", "image/png"),))
    history.wipe()
    assert history.conversations() == []
    assert b"canary" not in everything(history.folder)
    assert history.create().id > new  # numbers never come back


def test_only_the_owner_may_look(history: History) -> None:
    talk = history.create().id
    ask(history, talk, "secret", media=(NewMedia(PNG, "image/png"),))
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in history.folder.rglob("*")}
    assert len(found) >= 4
    assert {found[path] for path in found if path.is_file()} == {0o600}
    assert stat.S_IMODE(history.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((history.folder / "media").stat().st_mode) == 0o700


def test_unknown_numbers(history: History) -> None:
    calls: list[Callable[[], object]] = [
        lambda: history.conversation(7),
        lambda: history.turns(7),
        lambda: history.turn(7),
        lambda: history.delete(7),
        lambda: history.rename(7, "x"),
        lambda: ask(history, 7, "x", media=(NewMedia(PNG, "image/png"),)),
        lambda: history.stream(7),
        lambda: history.set_heard(7, "x"),
    ]
    for call in calls:
        with pytest.raises(HistoryError, match="There is no"):
            call()
    assert history.media.names() == []


def test_a_reply_to_a_deleted_conversation_is_refused(history: History) -> None:
    talk = history.create().id
    reply = history.stream(talk, every=0.0)
    with History(history.folder) as other:
        other.delete(talk)
    reply.add("text")
    assert reply.problem is not None
    with pytest.raises(HistoryError, match="may have been deleted"):
        reply.finish()


def test_several_threads(history: History) -> None:
    talk = history.create("t").id

    def write(name: str) -> None:
        for number in range(15):
            ask(history, talk, f"{name}{number}")
            history.turns(talk)
            history.search("a")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(texts(history, talk)) == sorted(f"{name}{n}" for name in "abc" for n in range(15))
