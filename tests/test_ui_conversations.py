"""Whole conversations in the window: long ones, found ones, exported ones, ones that are not kept."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QFileDialog, QInputDialog, QMessageBox, QWidget
from real_window import LIGHT, desktop, load_nano, wait_until
from test_ui_messages import choose, click, put
from test_ui_window import idle
from virtual_screen import VirtualScreen

from assistant.history.records import NewMedia, NewTurn, ToolCall
from assistant.history.store import History
from assistant.settings import Privacy, Settings
from ui.app import Desktop
from ui.message_bar import Act
from ui.question import Question
from ui.sheet import Message
from ui.side import PAGE

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


def open_first(one: Desktop) -> None:
    wait_until(lambda: one.window.side.list.count() > 0)
    one.window.side.list.itemClicked.emit(one.window.side.list.item(0))


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
        gaps: list[float] = []
        last = time.thread_time()  # of this thread: other programs' time is not ours

        def tick() -> None:
            nonlocal last
            now = time.thread_time()
            gaps.append(now - last)
            last = now

        timer = QTimer()
        timer.timeout.connect(tick)
        timer.start(0)
        open_first(one)
        wait_until(lambda: transcript.sheet.last is not None)
        assert transcript.sheet.last == -LONG // 2, "the newest is there first"
        wait_until(lambda: len(transcript.sheet.messages()) == LONG)
        bar = transcript.verticalScrollBar()
        assert bar.value() == bar.maximum()
        opening, gaps[:] = sorted(gaps), []
        step = QTimer()
        step.timeout.connect(lambda: bar.setValue(bar.value() - bar.maximum() // 200))
        step.start(0)
        wait_until(lambda: bar.value() == 0)
        step.stop()
        timer.stop()
        assert opening[-1] < 0.05
        assert max(gaps) < 0.05
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
        screen.xdotool("key", "alt+y")
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
            "→ set_timer: minutes = 5 → It rings at noon.",
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


def test_what_is_too_old_goes_at_the_start(qt: QApplication, tmp_path: Path) -> None:
    with History(tmp_path / "history") as history:
        old = history.create("Old").id
        history._db.execute("UPDATE conversation SET changed = changed - 40 * 86400 WHERE id = ?", (old,))
        history.create("New")
    settings = Settings(interface=LIGHT.interface, privacy=Privacy(keep_days=30))
    with desktop(qt, tmp_path, settings) as one:
        shown = one.window.side.list
        wait_until(lambda: [shown.item(row).text() for row in range(shown.count())] == ["New"])
