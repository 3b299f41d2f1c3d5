"""What one can do with a message, with the real keyboard and mouse, a real model and a real history."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage, QTextFormat
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu, QWidget
from real_window import desktop, load_nano, wait_until
from test_ui_window import ask, idle
from virtual_audio import VirtualAudio, similarity
from virtual_screen import VirtualScreen

from assistant.history.records import NewMedia, NewTurn
from assistant.history.store import History
from assistant.media.sound import RATE, Sound, load, wav
from ui.app import Desktop
from ui.conversation.message_bar import Act
from ui.conversation.sheet import Message
from ui.conversation.talk import heard_length
from ui.conversation.transcript import Past, Transcript
from ui.work import brain
from ui.work.question import Question


def put(one: Desktop, question: Question) -> list[brain.BrainEvent]:
    """Ask without a keyboard; the events until the end of the answer."""
    told: list[brain.BrainEvent] = []
    one.conductor.told.connect(told.append)
    one.conductor.ask(question)
    wait_until(lambda: any(isinstance(event, brain.Answered | brain.Failed) for event in told) and idle(one))
    one.conductor.told.disconnect(told.append)
    return told


def tokens(told: list[brain.BrainEvent]) -> int:
    """The length of the prompt that was answered."""
    cost = next(event.statistics for event in told if isinstance(event, brain.Answered))
    return cost.prefilled + cost.reused + cost.recomputed


def menu() -> QMenu:
    """The menu that is open."""
    wait_until(lambda: isinstance(QApplication.activePopupWidget(), QMenu))
    found = QApplication.activePopupWidget()
    assert isinstance(found, QMenu)
    return found


def choose(screen: VirtualScreen, text: str) -> None:
    """Choose from the menu that is open, with the arrow keys."""
    offered = [action.text() for action in menu().actions() if not action.isSeparator()]
    for _ in range(offered.index(text)):
        screen.xdotool("key", "Down")
    screen.xdotool("key", "Return")
    wait_until(lambda: QApplication.activePopupWidget() is None)


def click(screen: VirtualScreen, widget: QWidget, place: QPoint) -> None:
    there = widget.mapToGlobal(place)
    screen.xdotool("mousemove", there.x(), there.y(), "click", 1)


def test_a_question_is_changed_with_the_keyboard_and_what_followed_goes(
    qt: QApplication, screen: VirtualScreen, tmp_path: Path
) -> None:
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        fresh = tokens(put(one, Question("hello")))
        one.window.begin()
        ask(one, screen, "what can you do")
        ask(one, screen, "hello again")
        transcript, composer = one.window.transcript, one.window.composer
        for _ in range(4):  # answer, question, answer, question
            screen.xdotool("key", "alt+Up")
        wait_until(lambda: transcript.focused == Message(one.window.talk.exchanges[0].turn, False))
        screen.xdotool("key", "Return")
        choose(screen, "Edit and send again")
        wait_until(
            lambda: composer.text.toPlainText() == "what can you do" and one.window.editing.isVisible()
        )
        wait_until(composer.text.hasFocus)
        told: list[brain.BrainEvent] = []
        one.conductor.told.connect(told.append)
        screen.xdotool("key", "ctrl+a")
        screen.xdotool("type", "--delay", 5, "hello")
        wait_until(lambda: composer.text.toPlainText() == "hello")
        screen.xdotool("key", "Return")
        wait_until(lambda: any(isinstance(event, brain.Answered) for event in told) and idle(one))
        assert not one.window.editing.isVisible()
        assert tokens(told) == fresh, "the engine remembers what was replaced"
        shown = transcript.toPlainText()
        assert shown.startswith("hello\n")
        assert "what can you do" not in shown
        assert "hello again" not in shown
        assert len(one.window.talk.exchanges) == 1
    with History(tmp_path / "history") as history:
        newest = history.conversations()[0].id
        assert [turn.text for turn in history.turns(newest) if turn.role == "user"] == ["hello"]
        assert len(history.turns(newest, hidden=True)) == 6


def test_editing_is_given_up_with_esc(qt: QApplication, screen: VirtualScreen, tmp_path: Path) -> None:
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        put(one, Question("hello"))
        one.window.talk.do(Act.EDIT, Message(one.window.talk.exchanges[0].turn, False))
        wait_until(one.window.composer.text.hasFocus)
        screen.xdotool("key", "Escape")
        wait_until(lambda: not one.window.editing.isVisible())
        assert one.window.composer.question().empty
        put(one, Question("hello again"))
        assert len(one.window.talk.exchanges) == 2


def test_asked_again_after_a_restart_with_its_picture(qt: QApplication, tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.new("RGB", (200, 100), "red").save(data, "PNG")
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        first = tokens(put(one, Question("what colour is this", (data.getvalue(),))))
        put(one, Question("hello"))
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        side, talk, transcript = one.window.side, one.window.talk, one.window.transcript
        wait_until(lambda: side.list.count() == 1)
        side.list.itemClicked.emit(side.list.item(0))
        wait_until(lambda: "hello" in transcript.toPlainText() and "what colour" in transcript.toPlainText())
        assert transcript.sheet.chips_of(-1) == [0]
        told: list[brain.BrainEvent] = []
        one.conductor.told.connect(told.append)
        talk.do(Act.AGAIN, Message(-1, True))
        wait_until(lambda: any(isinstance(event, brain.Answered) for event in told) and idle(one))
        assert tokens(told) == first
        assert transcript.toPlainText().count("what colour is this") == 1
        assert "hello" not in transcript.toPlainText()
        turn = talk.exchanges[0].turn
        wait_until(lambda: transcript.sheet.chips_of(turn) == [0])
        talk.open_medium(turn, 0)
        wait_until(one.window.viewer.isVisible)
        wait_until(one.window.viewer.hasFocus)


def test_the_bar_follows_the_mouse_and_copies(
    qt: QApplication, screen: VirtualScreen, tmp_path: Path
) -> None:
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        put(one, Question("hello"))
        transcript = one.window.transcript
        turn = one.window.talk.exchanges[0].turn
        place = transcript.place(Message(turn, True))
        assert place is not None
        there = transcript.viewport().mapToGlobal(place.center().toPoint())
        screen.xdotool("mousemove", there.x(), there.y())
        wait_until(transcript.bar.isVisible)
        button = transcript.bar.buttons[Act.COPY]
        assert not transcript.bar.buttons[Act.EDIT].isVisible()
        click(screen, button, button.rect().center())
        answer = "".join(one.window.talk.exchanges[0].answer)
        wait_until(lambda: QApplication.clipboard().text() == answer)
        place = transcript.place(Message(turn, False))
        assert place is not None
        there = transcript.viewport().mapToGlobal(place.center().toPoint())
        screen.xdotool("mousemove", there.x(), there.y())
        wait_until(transcript.bar.buttons[Act.EDIT].isVisible)
        screen.xdotool("click", 3)
        choose(screen, "Copy")
        wait_until(lambda: QApplication.clipboard().text() == "hello")


def test_a_picture_opens_with_a_click_and_closes_with_esc(
    qt: QApplication, screen: VirtualScreen, tmp_path: Path
) -> None:
    data = io.BytesIO()
    Image.new("RGB", (600, 400), "blue").save(data, "PNG")
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        put(one, Question("hello", (data.getvalue(),)))
        window, transcript = one.window, one.window.transcript
        turn = window.talk.exchanges[0].turn
        wait_until(lambda: transcript.sheet.chips_of(turn) == [0])
        place = transcript.place(Message(turn, False))
        assert place is not None
        click(screen, transcript.viewport(), place.topLeft().toPoint() + QPoint(60, 40))
        wait_until(window.viewer.isVisible)
        wait_until(window.viewer.hasFocus)
        assert window.viewer.size() == window.size()
        middle = window.viewer.grab().toImage()
        assert middle.pixelColor(middle.width() // 2, middle.height() // 2) == Qt.GlobalColor.blue
        screen.xdotool("key", "Escape")
        wait_until(lambda: not window.viewer.isVisible())


def test_late_news_of_a_stopped_answer_stands_under_it(qt: QApplication, tmp_path: Path) -> None:
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        one.conductor.ask(Question("what can you do"))
        put(one, Question("hello"))  # interrupts it
        first, second = one.window.talk.exchanges
        notes = [
            block.text()
            for block in one.window.transcript.sheet.blocks(Message(first.turn, True))
            if "stopped" in block.text()
        ]
        assert len(notes) == 1
        whole = one.window.transcript.toPlainText()
        assert whole.index("stopped") < whole.index("hello")
        assert second.answer


def faint_in(view: Transcript, message: Message) -> str:
    """What of a message is not in the text's own colour."""
    faint = ""
    for block in view.sheet.blocks(message):
        place = block.begin()
        while not place.atEnd():
            form = place.fragment().charFormat()
            if form.hasProperty(QTextFormat.Property.ForegroundBrush.value):
                faint += place.fragment().text()
            place += 1
    return faint


@pytest.mark.usefixtures("qt")
def test_what_was_not_heard_is_faint() -> None:
    view = Transcript()
    answer = "One two.\nThree four. " + "x" * 2500
    view.add_earlier([Past(-1, "why?", [], answer, ["stopped"], heard_until := answer.index("Three"))])
    faint = faint_in(view, Message(-1, True))
    assert faint == answer[heard_until:] + "stopped"
    assert heard_length("One, two. Three.", None) == 16
    view.deleteLater()


@pytest.mark.usefixtures("qt")
def test_exchanges_are_put_ahead_and_cut_off() -> None:
    view = Transcript()
    for n in range(6):
        view.add_earlier([Past(-6 + n, f"q{6 - n}", [], f"a{6 - n}\n\n", ["note"], 99)])
    view.add_question(1, "now?")
    view.append_answer("because")
    view.add_note("late", -3)
    lines = view.toPlainText().split("\n")
    assert [line for line in lines if line.startswith("q")] == ["q1", "q2", "q3", "q4", "q5", "q6"]
    assert lines[-2:] == ["now?", "because"]
    assert lines[lines.index("late") + 1] == "q4"
    view.set_question(-6, "other\nwords")
    assert "a6" in view.toPlainText()
    assert "q6" not in view.toPlainText()
    view.cut_from(-5)
    assert view.toPlainText().endswith("q4\na4\n\n\nnote")
    view.append_answer("more")
    wait_until(lambda: view.toPlainText().endswith("note\nmore"))
    assert view.sheet.message(view.document().lastBlock()) == Message(-4, True)
    view.deleteLater()


def test_a_box_follows_its_words(qt: QApplication) -> None:
    """What is on the screen is what would be painted now, also where only some lines changed."""
    view = Transcript()
    view.resize(700, 400)
    view.show()
    view.add_question(1, "…")
    view.set_thumbs(1, [7.0])

    def shown() -> QImage:
        return view.screen().grabWindow(view.winId()).toImage()

    def settled() -> QImage:
        before = shown()
        wait_until(lambda: qt.processEvents() or shown() == before)
        return before

    for words in ("a question that is longer than what was heard in the end", "what was heard", "it"):
        view.set_question(1, words)
        QTest.qWait(100)  # it has been painted; nothing tells when
        first = settled()
        view.viewport().update()
        QTest.qWait(100)
        assert settled() == first, words
    view.close()
    view.deleteLater()


def test_a_recording_is_a_chip_with_its_length(qt: QApplication, tmp_path: Path) -> None:
    sound = Sound(np.sin(np.arange(16000 * 7) / 20).astype(np.float32) * 0.3)
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        put(one, Question("hello", sounds=(sound,)))
        transcript = one.window.transcript
        turn = one.window.talk.exchanges[0].turn
        wait_until(lambda: transcript.sheet.chips_of(turn) == [0])
        wait_until(lambda: one.window.side.list.count() == 1)
        transcript.show_playing((turn, 0))
        one.window.talk.open_medium(turn, 0)  # stops what is played: there is no sound card here
        assert one.conductor.state.turn == turn
    with History(tmp_path / "history") as history:
        (asked, _) = history.turns(history.conversations()[0].id)
        with wave.open(str(history.media.path(asked.media[0]))) as kept:
            assert kept.getnframes() == 16000 * 7


def test_an_answer_is_spoken_again_and_a_recording_played(
    qt: QApplication,
    screen: VirtualScreen,
    audio_server: VirtualAudio,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    audio_server.use(monkeypatch)
    seconds = np.arange(16000 * 2) / 16000
    tone = (np.sin(2 * np.pi * 440 * seconds) * 0.3).astype(np.float32)
    with History(tmp_path / "history") as history:
        number = history.create("Kept").id
        media = (NewMedia(wav(Sound(tone)), "audio/wav"),)
        history.append(number, NewTurn("user", "", transcript="Sing!", media=media))
        history.append(number, NewTurn("assistant", "Here you are, as you wanted it."))
    with desktop(qt, tmp_path) as one:
        wait_until(lambda: one.window.side.list.count() == 1)
        screen.xdotool("key", "ctrl+f", "Tab", "Home", "Return")
        wait_until(lambda: "as you wanted it" in one.window.transcript.toPlainText())

        def heard_after(answer: bool, act: str) -> np.ndarray:
            """What the speaker plays when this is chosen in a message's menu."""
            turn = one.conductor.state.turn
            with audio_server.recorded_speaker() as path:
                one.window.transcript.focus_message(Message(-1, answer))
                screen.xdotool("key", "Return")
                choose(screen, act)
                wait_until(lambda: one.conductor.state.turn > turn and idle(one))
            return load(path).samples

        assert (np.abs(heard_after(True, "Speak again")) > 0.02).sum() / RATE > 0.3
        # a loaded machine may slip a block; speech has none of it
        assert similarity(heard_after(False, "Play recording (1)"), tone) > 0.5


def test_how_much_was_heard_is_shown_and_kept(qt: QApplication, tmp_path: Path) -> None:
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        put(one, Question("what can you do"))
        (exchange,) = one.window.talk.exchanges
        answer = "".join(exchange.answer)
        one.window.talk.set_heard(exchange.turn, answer[:20].upper())
        assert faint_in(one.window.transcript, Message(exchange.turn, True)).startswith(answer[20:40])
    with History(tmp_path / "history") as history:
        assert history.turns(history.conversations()[0].id)[1].heard == answer[:20].upper()


def test_too_long_a_question_leaves_the_conversation_as_it_was(qt: QApplication, tmp_path: Path) -> None:
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        put(one, Question("hello"))
        failed = put(one, Question("word " * 20_000))
        assert isinstance(failed[-1], brain.Failed)
        told = put(one, Question("hello again"))
        assert [event for event in told if isinstance(event, brain.Answered)]
        assert len(one.window.talk.exchanges) == 3


def test_a_conversation_is_deleted_in_mid_answer(qt: QApplication, tmp_path: Path) -> None:
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        put(one, Question("hello"))
        wait_until(lambda: one.window.side.list.count() == 1)
        one.conductor.ask(Question("what can you do"))
        one.archive.delete(one.window.side.current, lambda _: one.window.menu.deleted.emit(1))
        wait_until(lambda: one.window.talk.empty and one.window.side.list.count() == 0 and idle(one))
        put(one, Question("hello"))
        wait_until(lambda: one.window.side.list.count() == 1)
        assert not one.window.banner.text


def test_another_model_is_told_what_was_said(qt: QApplication, tmp_path: Path) -> None:
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        put(one, Question("hello"))
        known = tokens(put(one, Question("hello again")))
        one.window.begin()
        put(one, Question("hello"))
        load_nano(one)
        assert tokens(put(one, Question("hello again"))) == known
