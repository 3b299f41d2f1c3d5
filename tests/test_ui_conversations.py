"""Whole conversations in the window: long ones, found ones, exported ones, ones that are not kept."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
import pytest
from PIL import Image
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QFileDialog, QInputDialog, QMessageBox, QWidget
from real_window import LIGHT, Gaps, desktop, load_nano, open_first, wait_until
from test_history_faults import DISKS, small_disk
from test_ui_messages import choose, click, put
from test_ui_window import idle
from virtual_screen import VirtualScreen

from assistant.history.records import NewMedia, NewTurn, ToolCall, Turn
from assistant.history.store import History
from assistant.settings import Privacy, Settings
from assistant.tools.schedule import Schedule
from ui.app import Desktop
from ui.conversation.message_bar import Act
from ui.conversation.sheet import Message
from ui.window.side import PAGE
from ui.work import brain
from ui.work.question import Question

ROOT: Final = Path(__file__).parent.parent
LONG: Final = 500  # turns


def png(seed: int) -> bytes:
    """A picture as a camera makes it: much to decode."""
    noise = np.random.default_rng(seed).integers(0, 255, (60, 80, 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(noise).resize((1200, 900)).save(data, "PNG")
    return data.getvalue()


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history with one conversation of `LONG` turns, a picture in every tenth question."""
    folder = tmp_path_factory.mktemp("long") / "history"
    with History(folder) as history:
        pictures = [NewMedia(png(n), "image/png") for n in range(5)]
        number = history.create("A long one").id
        for n in range(LONG // 2):
            media = (pictures[n // 10 % 5],) if n % 10 == 0 else ()
            words = f"Question {n} about the weather in town number {n}?" + " More of it." * (n % 7)
            history.append(number, NewTurn("user", words, media=media))
            answer = f"Answer {n}: it rains.\n\n" + "A sentence of the usual length follows here. " * (n % 40)
            figures = {"first_token": 0.1, "generated": 50, "decode": 2.0}
            history.append(number, NewTurn("assistant", answer, figures=figures))
    return folder.parent


def again(one: Desktop) -> None:
    """Ask the last question again, and wait for the answer."""
    turn = one.conductor.state.turn
    one.window.talk.do(Act.AGAIN, Message(one.window.talk.exchanges[-1].turn, True))
    wait_until(lambda: one.conductor.state.turn > turn and idle(one))


def dialog(kind: type[QWidget]) -> QWidget:
    """A dialog of that kind, when it has the keyboard."""

    def there() -> bool:
        return isinstance(QApplication.activeModalWidget(), kind) and bool(QApplication.focusWidget())

    wait_until(there)
    found = QApplication.activeModalWidget()
    assert found is not None
    return found


def test_five_hundred_turns_open_and_scroll_without_a_stall(qt: QApplication, long: Path) -> None:
    with desktop(qt, long) as one:
        transcript = one.window.transcript
        wait_until(lambda: one.window.side.list.count() > 0)
        gaps = Gaps()
        open_first(one)
        wait_until(lambda: transcript.sheet.last is not None)
        assert transcript.sheet.last == -LONG // 2, "the newest is there first"
        wait_until(lambda: len(transcript.sheet.messages()) == LONG)
        bar = transcript.verticalScrollBar()
        assert bar.value() == bar.maximum()
        opening = gaps.taken()
        step = QTimer()
        step.timeout.connect(lambda: bar.setValue(bar.value() - bar.maximum() // 200))
        step.start(0)
        wait_until(lambda: bar.value() == 0)
        step.stop()
        gaps.close()
        scrolling = gaps.taken()
        assert opening[-1] < max(0.05, sum(opening) / 40), "the longest stall, on slow machines as a part"
        assert scrolling[-1] < sum(scrolling) / 8
        text = transcript.toPlainText()
        assert text.startswith("\ufffc")
        places = [text.index(f"Question {n} ") for n in range(LONG // 2)]
        assert places == sorted(places)
        assert len(transcript.sheet.chips_of(-1)) == 1


def test_what_is_found_is_shown_where_it_stands(qt: QApplication, screen: VirtualScreen, long: Path) -> None:
    with desktop(qt, long) as one:
        side, transcript = one.window.side, one.window.transcript
        side.search.setText("answer 77")
        wait_until(lambda: side.list.count() > 0 and "Answer 77" in side.list.item(0).toolTip())
        item = side.list.item(0)
        place = side.list.visualItemRect(item).center()
        click(screen, side.list.viewport(), place)
        wait_until(lambda: transcript.textCursor().selectedText() == "Answer")
        where = transcript.place(Message(-78, True))
        assert where is not None
        assert -50 < where.top() < transcript.viewport().height()
        transcript.setFocus()
        screen.xdotool("key", "F3")
        wait_until(lambda: transcript.textCursor().selectedText() == "77")
        screen.xdotool("key", "shift+F3")
        wait_until(lambda: transcript.textCursor().selectedText() == "Answer")
        wait_until(lambda: len(transcript.sheet.messages()) == LONG)
        where = transcript.place(Message(-78, True))
        assert where is not None
        assert -50 < where.top() < transcript.viewport().height(), "what comes ahead pushed it away"
        side.search.clear()
        wait_until(lambda: not transcript.textCursor().hasSelection() and not transcript.extraSelections())


def test_a_conversation_too_long_for_the_model_goes_on(qt: QApplication, long: Path) -> None:
    with desktop(qt, long) as one:
        load_nano(one)
        open_first(one)
        wait_until(lambda: "no longer knows the first" in one.window.transcript.toPlainText())
        told = put(one, Question("hello"))
        assert not [event for event in told if "Failed" in type(event).__name__]


def test_it_is_renamed_exported_and_deleted_with_the_keyboard(
    qt: QApplication, screen: VirtualScreen, tmp_path: Path
) -> None:
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        put(one, Question("what colour is <b>this</b>", (png(1),)))
        window = one.window
        wait_until(lambda: window.side.list.count() == 1)
        button = window.header.menu_button
        assert button.isVisible()

        def open_menu() -> None:
            wait_until(window.isActiveWindow)
            button.setFocus()
            screen.xdotool("key", "space")

        open_menu()
        choose(screen, "Rename …")
        dialog(QInputDialog)
        screen.xdotool("key", "ctrl+a", "type", "Colours")
        screen.xdotool("key", "Return")
        wait_until(lambda: window.header.title.text() == "Colours")
        wait_until(lambda: window.side.list.item(0).text() == "Colours")
        for form, text in (("md", "Export as Markdown …"), ("json", "Export as JSON …")):
            target = tmp_path / f"out-{form}.zip"
            open_menu()
            choose(screen, text)
            dialog(QFileDialog)
            screen.xdotool("key", "ctrl+a", "type", "--delay", 5, str(target))
            screen.xdotool("key", "Return")
            wait_until(target.is_file)
            wait_until(lambda: "out-" in window.banner.text)
            with zipfile.ZipFile(target) as archive:
                names = archive.namelist()
                assert [name for name in names if name.startswith("media/")]
                assert [name for name in names if name.endswith(f".{form}")] == [f"conversation-1.{form}"]
                if form == "json":
                    kept = json.loads(archive.read("conversation-1.json"))
                    assert kept["title"] == "Colours"
        open_menu()
        choose(screen, "Copy all")
        wait_until(lambda: QApplication.clipboard().text().startswith("what colour is <b>this</b>\n\n"))
        open_menu()
        choose(screen, "Delete …")
        dialog(QMessageBox)
        screen.xdotool("key", "Return")  # the default is not to
        wait_until(lambda: QApplication.activeModalWidget() is None)
        assert window.side.list.count() == 1
        open_menu()
        choose(screen, "Delete …")
        dialog(QMessageBox)
        screen.xdotool("key", "shift+Tab", "space")  # the button beside it
        wait_until(lambda: window.side.list.count() == 0)
        wait_until(lambda: window.talk.empty)
        assert not button.isVisible()


def test_many_conversations_are_listed_page_by_page(qt: QApplication, tmp_path: Path) -> None:
    with History(tmp_path / "history") as history:
        for n in range(PAGE + 30):
            history.create(f"Number {n}")
    with desktop(qt, tmp_path) as one:
        shown = one.window.side.list
        wait_until(lambda: shown.count() == PAGE)
        shown.verticalScrollBar().setValue(shown.verticalScrollBar().maximum())
        wait_until(lambda: shown.count() == PAGE + 30)
        assert {shown.item(row).text() for row in range(shown.count())} == {
            f"Number {n}" for n in range(PAGE + 30)
        }


def test_an_opened_conversation_shows_everything(qt: QApplication, tmp_path: Path) -> None:
    with History(tmp_path / "history") as history:
        number = history.create().id
        history.append(number, NewTurn("user", "", transcript="Set a timer."))
        call = ToolCall("set_timer", {"minutes": 5}, "done", "It rings at noon.")
        figures = {"first_token": 0.25, "generated": 30, "decode": 1.5}
        reply = NewTurn(
            "assistant", "Done. It rings.", heard="Done.", calls=(call,), state="stopped", figures=figures
        )
        history.append(number, reply)
        history.append(number, NewTurn("user", "And?"))
        history.append(
            number, NewTurn("assistant", "We", state="failed", problem="The engine ended. Try it again.")
        )
        history.append(number, NewTurn("user", "Nobody answered this."))
    with desktop(qt, tmp_path) as one:
        open_first(one)
        wait_until(lambda: len(one.window.transcript.sheet.messages()) == 6)
        lines = one.window.transcript.toPlainText().split("\n")
        assert lines == [
            "Set a timer.",
            "Done. It rings.",
            "✓ It rings at noon.",
            "stopped · first word after 0.25 s · 20 tokens a second",
            "And?",
            "We",
            "The engine ended. Try it again.",
            "Nobody answered this.",
            "There is no answer.",
        ]


def test_nothing_is_written_when_nothing_is_to_be_kept(qt: QApplication, tmp_path: Path) -> None:
    unkept = Settings(interface=LIGHT.interface, privacy=Privacy(keep_history=False))
    with desktop(qt, tmp_path, unkept) as one:
        load_nano(one)
        put(one, Question("a secret elephant"))
        assert one.window.header.unkept.isVisible()
        again(one)
        assert len(one.window.talk.exchanges) == 1
        kept = Settings(interface=LIGHT.interface, privacy=Privacy(keep_media=False))
        one.apply(kept, unkept)
        assert not one.window.header.unkept.isVisible()
        put(one, Question("hello", (png(2),)))
        wait_until(lambda: one.window.side.list.count() == 1)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"elephant" in path.read_bytes()]
    with History(tmp_path / "history") as history:
        asked, _ = history.turns(history.conversations()[0].id)
        assert (asked.text, asked.media) == ("hello", ())


def test_what_is_not_kept_can_be_exported(qt: QApplication, screen: VirtualScreen, tmp_path: Path) -> None:
    unkept = Settings(interface=LIGHT.interface, privacy=Privacy(keep_history=False, preroll=False))
    with desktop(qt, tmp_path, unkept) as one:
        load_nano(one)
        put(one, Question("what is seven times eight", (png(1),)))
        button = one.window.header.menu_button
        click(screen, button, button.rect().center())
        choose(screen, "Export as JSON …")
        dialog(QFileDialog)
        target = tmp_path / "talk.zip"
        screen.xdotool("key", "ctrl+a", "type", "--delay", 5, str(target))
        screen.xdotool("key", "Return")
        wait_until(target.is_file)
        wait_until(lambda: "talk.zip" in one.window.banner.text)
        answer = "".join(one.window.talk.exchanges[0].answer)
    with zipfile.ZipFile(target) as archive:
        turns = json.loads(archive.read("conversation-1.json"))["turns"]
        assert archive.read(turns[0]["media"][0]["file"]) == png(1)
    assert [(turn["role"], turn["text"]) for turn in turns] == [
        ("user", "what is seven times eight"),
        ("assistant", answer),
    ]
    assert not list(tmp_path.rglob("*.png"))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".talk")]


def test_what_is_too_old_goes_at_the_start(qt: QApplication, tmp_path: Path) -> None:
    with History(tmp_path / "history") as history:
        old = history.create("Old").id
        history._db.execute("UPDATE conversation SET changed = changed - 40 * 86400 WHERE id = ?", (old,))
        history.create("New")
    settings = Settings(interface=LIGHT.interface, privacy=Privacy(keep_days=30))
    with desktop(qt, tmp_path, settings) as one:
        shown = one.window.side.list

        def listed() -> list[str]:
            return [shown.item(row).text() for row in range(shown.count())]

        wait_until(lambda: listed() == ["New"] or one.window.banner.text)
        assert not one.window.banner.text


@pytest.mark.skipif(small_disk not in DISKS, reason="file systems can't be mounted here")
def test_a_full_disk_costs_neither_the_answer_nor_the_history(qt: QApplication, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as leave:
        with desktop(qt, tmp_path / "disk") as one:
            load_nano(one)
            put(one, Question("hello"))
            wait_until(lambda: one.window.side.list.count() == 1)
            leave(0)
            put(one, Question("what can you do"))
            wait_until(lambda: "The disk is full" in one.window.banner.text)
            assert one.window.banner.isVisible()
            answer = "".join(one.window.talk.exchanges[-1].answer)
            assert answer
            wait_until(lambda: answer in one.window.transcript.toPlainText())
            leave(1 << 21)
            put(one, Question("what is seven times eight"))
            wait_until(lambda: one.window.side.list.count() == 1)
        with History(tmp_path / "disk" / "history") as history:
            assert history.is_intact()
            turns = history.turns(history.conversations()[0].id)
            assert [t.text for t in turns if t.role == "user"] == ["hello", "what is seven times eight"]
            assert {t.state for t in turns} == {"complete"}


@pytest.mark.skipif(small_disk not in DISKS, reason="file systems can't be mounted here")
def test_an_answer_that_found_no_room_is_kept_when_there_is_some(qt: QApplication, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as leave:
        with desktop(qt, tmp_path / "disk") as one:
            load_nano(one)

            def fill(event: object) -> None:
                if isinstance(event, brain.Wrote):
                    leave(0)

            one.conductor.told.connect(fill)
            told = put(one, Question("what can you do"))
            one.conductor.told.disconnect(fill)
            answer = "".join(event.text for event in told if isinstance(event, brain.Wrote))
            wait_until(lambda: "The disk is full" in one.window.banner.text)
            leave(1 << 21)
        with History(tmp_path / "disk" / "history") as history:
            _, reply = history.turns(history.conversations()[0].id)
            assert (reply.state, reply.text) == ("complete", answer)


def test_a_damaged_history_can_be_read_and_exported(
    qt: QApplication, screen: VirtualScreen, tmp_path: Path
) -> None:
    with History(tmp_path / "history") as history:
        for n in range(40):
            number = history.create(f"Number {n}").id
            history.append(number, NewTurn("user", f"What is {n}? " * 50))
            history.append(number, NewTurn("assistant", f"It is {n}."))
    path = tmp_path / "history" / "history.db"
    data = bytearray(path.read_bytes())
    data[4096:4196] = bytes(100)
    path.write_bytes(data)
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        window = one.window
        wait_until(window.banner.action.isVisible)
        assert "damaged" in window.banner.text
        assert window.header.unkept.isVisible()
        assert window.side.list.count() > 20
        put(one, Question("hello"))
        assert len(window.talk.exchanges) == 1
        window.banner.action.setFocus()
        screen.xdotool("key", "space")
        dialog(QFileDialog)
        target = tmp_path / "all.zip"
        screen.xdotool("key", "ctrl+a", "type", "--delay", 5, str(target))
        screen.xdotool("key", "Return")
        wait_until(target.is_file)
        wait_until(lambda: "all.zip" in window.banner.text)
        with zipfile.ZipFile(target) as archive:
            assert len(archive.namelist()) > 20
    assert path.read_bytes() == bytes(data)


def on_its_own(screen: VirtualScreen, folder: Path) -> dict[str, str]:
    """The environment of an Aside in a process of its own, with all that it keeps in this folder."""
    (folder / "run").mkdir(mode=0o700)
    return screen.environment | {
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_CONFIG_HOME": str(folder / "config"),
    }


def test_killed_in_mid_answer_it_has_what_was_written(
    screen: VirtualScreen, small_model: Path, tmp_path: Path
) -> None:
    environment = on_its_own(screen, tmp_path)
    folder = tmp_path / "data" / "aside" / "history"

    def turns() -> list[Turn]:
        if not (folder / "history.db").exists():
            return []
        with History(folder) as history:
            return [turn for one in history.conversations() for turn in history.turns(one.id)]

    def eventually(look: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 90
        while not (found := look()):
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.02)
        return found

    engine: list[psutil.Process] = []
    command = [sys.executable, "-m", "assistant", "desktop", "--model", str(small_model)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            window = screen.wait_for_window("^Aside$")
            screen.xdotool("windowactivate", "--sync", window)
            screen.xdotool("type", "--delay", 5, "a b c d e f")

            def asked() -> bool:
                screen.xdotool("key", "Return")  # nothing happens until the model is loaded
                return bool(turns())

            eventually(asked)
            eventually(lambda: len(turns()) == 2 and turns()[1].state != "open")
            engine += psutil.Process(process.pid).children(recursive=True)
            for child in engine:
                child.suspend()
            screen.xdotool("type", "--delay", 5, "a b c d e f")
            screen.xdotool("key", "Return")

            def written() -> bool:
                """Let the engine write a few words at a time, so that there is a middle."""
                for child in engine:
                    child.resume()
                time.sleep(0.003)  # for a few words
                for child in engine:
                    child.suspend()
                time.sleep(0.1)  # what was written is kept meanwhile
                return any(turn.state == "open" and turn.text for turn in turns())

            eventually(written)
        finally:
            process.kill()
            for child in engine:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.resume()
    reply = turns()[-1]
    assert reply.state == "failed"
    assert reply.text
    assert "ended before the reply was complete" in reply.problem


def test_killed_after_a_tool_ran_it_knows_that_it_ran(screen: VirtualScreen, tmp_path: Path) -> None:
    environment = on_its_own(screen, tmp_path)
    data = tmp_path / "data" / "aside"
    config = tmp_path / "config" / "aside"
    config.mkdir(parents=True)
    chosen = {"tools": {"without_asking": ["set_timer"]}, "interface": {"welcomed": True}}
    (config / "settings.json").write_text(json.dumps(chosen))
    command = [sys.executable, "-m", "assistant", "desktop"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            window = screen.wait_for_window("^Aside$")
            screen.xdotool("windowactivate", "--sync", window)
            screen.xdotool("type", "--delay", 5, "set a timer for five minutes")
            deadline = time.monotonic() + 90
            pressed = 0.0
            while not Schedule(data / "tools" / "timers.json").pending():
                assert time.monotonic() < deadline, "it did not happen in time"
                if time.monotonic() - pressed > 1.0:
                    screen.xdotool("key", "Return")  # nothing happens until the model is loaded
                    pressed = time.monotonic()
                time.sleep(0.001)
        finally:
            process.kill()
    with History(data / "history") as history:
        (reply,) = [t for t in history.turns(history.conversations()[0].id) if t.role == "assistant"]
    assert reply.state == "failed"
    (call,) = reply.calls
    assert (call.name, call.arguments) == ("set_timer", {"minutes": 5})
    assert call.state in ("proposed", "done")
