"""The window on a real screen with a real model: asked with the keyboard, answered, kept, found again."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import psutil
from PIL import Image
from PySide6.QtCore import QMimeData, Qt, QUrl
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QLineEdit, QWidget
from real_window import Gaps, desktop, load_nano, wait_until
from virtual_screen import VirtualScreen

from assistant.turn import Phase
from ui.app import Desktop
from ui.conversation.transcript import Transcript

QUESTION = "what is seven times eight"


def idle(one: Desktop) -> bool:
    return one.conductor.state.phase is Phase.IDLE


def ask(one: Desktop, screen: VirtualScreen, text: str) -> None:
    """Type a question with the real keyboard and wait for the end of the answer."""
    turn = one.conductor.state.turn
    one.window.activateWindow()
    one.window.composer.text.setFocus()
    wait_until(one.window.composer.text.hasFocus)
    screen.xdotool("type", "--delay", 5, text)
    wait_until(lambda: one.window.composer.text.toPlainText() == text)
    screen.xdotool("key", "Return")
    wait_until(lambda: one.conductor.state.turn > turn and idle(one))


def test_a_typed_question_is_answered_kept_and_found(
    qt: QApplication, screen: VirtualScreen, tmp_path: Path
) -> None:
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        ask(one, screen, QUESTION)
        shown = one.window.transcript.toPlainText()
        assert shown.startswith(QUESTION)
        assert "7 times 8 is 56" in shown
        ask(one, screen, "hello")
        answer = one.window.transcript.toPlainText()
        wait_until(lambda: one.window.side.list.count() == 1)
    with desktop(qt, tmp_path) as one:  # after a restart
        load_nano(one)
        side = one.window.side
        wait_until(lambda: side.list.count() == 1)
        assert side.list.item(0).text() == QUESTION
        side.search.setText("hello")
        wait_until(lambda: side.list.count() == 2 and "hello" in side.list.item(0).toolTip().lower())
        side.search.setText("elephant")
        wait_until(lambda: side.list.count() == 0)
        side.search.clear()
        wait_until(lambda: side.list.count() == 1)
        side.list.itemClicked.emit(side.list.item(0))
        wait_until(lambda: one.window.transcript.toPlainText().startswith(QUESTION))
        assert "hello" in one.window.transcript.toPlainText()
        first_words = answer.split("hello", 1)[1].strip().split("\n")[0]
        wait_until(lambda: first_words in one.window.transcript.toPlainText())
        ask(one, screen, "hello")


def test_the_window_is_as_it_was_left(qt: QApplication, screen: VirtualScreen, tmp_path: Path) -> None:
    with desktop(qt, tmp_path) as one:
        usual = one.window.size()
        one.window.resize(900, 560)
        screen.xdotool("key", "ctrl+b")
        wait_until(lambda: not one.window.side.isVisible() and one.window.width() == 900)
    with desktop(qt, tmp_path) as one:
        wait_until(lambda: (one.window.width(), one.window.height()) == (900, 560))
        assert not one.window.side.isVisible()
        screen.xdotool("key", "ctrl+b")
        wait_until(one.window.side.isVisible)
    for junk in ("", "[1]", '{"window": 5}', '{"window": "AAAA", "list": "AAAA", "shown": 1}'):
        (tmp_path / "window.json").write_text(junk)
        with desktop(qt, tmp_path) as one:
            assert one.window.size() == usual
            assert one.window.side.isVisible()


def test_an_engine_that_dies_is_back_and_the_chat_is_kept(
    qt: QApplication, screen: VirtualScreen, tmp_path: Path
) -> None:
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        ask(one, screen, "hello")
        pid = one.conductor.brain.pid
        assert pid is not None
        psutil.Process(pid).kill()
        ask(one, screen, "hello again")
        assert "ended" in one.window.transcript.toPlainText().lower()
        wait_until(lambda: one.conductor.brain.pid not in (None, pid), 30)
        ask(one, screen, QUESTION)
        assert "7 times 8 is 56" in one.window.transcript.toPlainText()


def test_without_a_model_the_window_lives_and_says_so(qt: QApplication, tmp_path: Path) -> None:
    with desktop(qt, tmp_path) as one:
        one.conductor.brain.load(tmp_path / "missing", "missing")
        wait_until(one.window.banner.isVisible)
        assert "missing" in one.window.banner.text
        one.window.composer.text.setPlainText("hello")
        assert not one.window.composer.send_button.isEnabled()


def test_pictures_are_attached_removed_and_refused(qt: QApplication, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "blue").save(tmp_path / "blue.png")
    (tmp_path / "junk.png").write_bytes(b"no picture")
    with desktop(qt, tmp_path) as one:
        composer = one.window.composer
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(tmp_path / "blue.png"))] * 2)
        composer.take(data)
        wait_until(lambda: len(composer.question().pictures) == 2)
        buttons = [b for b in composer.findChildren(QAbstractButton) if "Remove" in b.accessibleName()]
        buttons[0].click()
        assert len(composer.question().pictures) == 1
        data.setUrls([QUrl.fromLocalFile(str(tmp_path / "junk.png"))])
        composer.take(data)
        wait_until(lambda: "junk.png" in one.window.banner.text)
        assert len(composer.question().pictures) == 1


def _controls(window: QWidget) -> list[QWidget]:
    """What a person can press or write into there, all of it with a name."""
    found: list[QWidget] = [
        w
        for w in window.findChildren(QWidget)
        if isinstance(w, QAbstractButton | QLineEdit | QComboBox)
        and not w.objectName().startswith("qt_")
        and w.isVisible()
        and w.isEnabled()
    ]
    for control in found:
        assert control.accessibleName() or (isinstance(control, QAbstractButton) and control.text()), control
    return found


def test_every_control_has_a_name_and_tab_reaches_it(
    qt: QApplication, screen: VirtualScreen, tmp_path: Path
) -> None:
    with desktop(qt, tmp_path) as one:
        one.welcome()
        one.pill.ring("ring", "It rings.")
        one.window.camera.begin("none.mp4", one.usage)
        assert len(_controls(one.pill)) == 3
        pages = (("first start", 4), ("window", 9))
        for page, least in pages:
            if page == "window":
                one.end_welcome()
                one.window.composer.text.setFocus()
            wait_until(lambda: qt.focusWidget() is not None)
            first, met = qt.focusWidget(), set[QWidget]()
            for _ in range(60):
                before = qt.focusWidget()
                screen.xdotool("key", "Tab")
                wait_until(partial(_moved, qt, before))
                focus = qt.focusWidget()
                assert focus is not None
                met.add(focus)
                if focus is first:
                    break
            wanted = {w for w in _controls(one.window) if w.focusPolicy() & Qt.FocusPolicy.TabFocus}
            assert len(wanted) >= least
            assert not wanted - met
        one.pill.cards.remove("ring")
        one.screens.freeze()
        assert all(cover.accessibleName() for cover in one.screens.covers)
        one.screens.thaw()


def _moved(qt: QApplication, before: QWidget | None) -> bool:
    return qt.focusWidget() is not before


def test_markup_stays_text_and_loads_nothing(qt: QApplication, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "secret.png")
    hostile = f'<img src="file://{tmp_path}/secret.png"> <b>bold</b> ![x](file:///etc/passwd) <script>'
    view = Transcript()
    view.add_question(1, hostile)
    view.append_answer(hostile + "\u2029\ufffc\x1b[2J")
    view.show()
    wait_until(lambda: "bold" in view.toPlainText()[len(hostile) :])
    assert view.toPlainText().count("<img src=") == 2
    assert view.toPlainText().count("<b>bold</b>") == 2
    assert "\x1b" not in view.toPlainText()
    assert "\ufffc" not in view.toPlainText()
    view.close()
    view.deleteLater()


def test_a_million_characters_without_a_break_do_not_freeze_it(qt: QApplication) -> None:
    view = Transcript()
    view.resize(800, 600)
    view.show()
    view.add_question(1, "why?")
    gaps = Gaps()
    done: list[bool] = []
    view.settled.connect(lambda: done.append(True))
    text = "".join(chr(97 + i % 26) for i in range(1_000_000))
    view.append_answer(text)
    wait_until(lambda: done, 120)
    gaps.close()
    found = gaps.taken()
    assert found[-len(found) // 500 - 3] < sum(found) / 75
    view.selectAll()
    assert view.selected_text() == "why?\n" + text
    view.close()
    view.deleteLater()


def test_closed_in_mid_answer_it_ends_soon_and_keeps_the_part(qt: QApplication, tmp_path: Path) -> None:
    with desktop(qt, tmp_path) as one:
        load_nano(one)
        one.window.composer.text.setPlainText("hello")
        one.window.composer.send()
        wait_until(lambda: one.conductor.state.turn == 1)
        started = time.monotonic()
    assert time.monotonic() - started < 3.0
    with desktop(qt, tmp_path) as one:
        wait_until(lambda: one.window.side.list.count() == 1)
        assert one.window.side.list.item(0).text() == "hello"
