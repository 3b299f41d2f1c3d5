"""Documents in the window: dropped, their pages chosen, asked about, kept, and there after a restart."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QTimer, QUrl
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QInputDialog, QWidget
from real_window import LIGHT, desktop, load_nano, wait_until
from test_media_document import pdf
from virtual_screen import VirtualScreen

from assistant.engine.protocol import Picture
from assistant.settings import Tools
from assistant.turn import Phase
from ui.app import Desktop
from ui.conversation.thumbs import kept_question
from ui.window.thumbnail import Pending

# Another program's window: the file that it is named is dragged out of it.
_FILES = """
import sys
from PySide6.QtCore import QMimeData, Qt, QUrl
from PySide6.QtGui import QDrag
from PySide6.QtWidgets import QApplication, QLabel
class Files(QLabel):
    def mousePressEvent(self, event):
        drag, data = QDrag(self), QMimeData()
        data.setUrls([QUrl.fromLocalFile(sys.argv[1])])
        drag.setMimeData(data)
        drag.exec(Qt.DropAction.CopyAction)
app = QApplication([])
files = Files("a file")
files.setWindowTitle("files")
files.setWindowFlags(Qt.WindowType.FramelessWindowHint | Qt.WindowType.WindowStaysOnTopHint)
files.setGeometry(0, 0, 100, 60)
files.show()
app.exec()
"""


def drop(one: Desktop, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    one.window.composer.take(data)


def test_a_pdf_is_dropped_asked_about_and_kept(qt: QApplication, tmp_path: Path) -> None:
    path = pdf(tmp_path / "report.pdf", 10)
    (tmp_path / "notes.txt").write_text("buy milk")
    with desktop(qt, tmp_path / "data", replace(LIGHT, tools=Tools(enabled=False))) as one:
        load_nano(one)
        composer = one.window.composer
        drop(one, path, tmp_path / "notes.txt")
        wait_until(lambda: len(composer.question().documents) == 2)
        report = next(d for d in composer.question().documents if d.name == "report.pdf")
        assert report.used == "1-4"
        choose = [b for b in composer.findChildren(QAbstractButton) if "Choose pages" in b.accessibleName()]
        QTimer.singleShot(0, lambda: answer("2,10"))
        choose[-1].click()
        wait_until(lambda: any(d.used == "2,10" for d in composer.question().documents))
        assert len(composer.question().documents) == 2
        parts = composer.question().parts
        assert sum(isinstance(part, Picture) for part in parts) == 2
        assert "report.pdf, page 10 of 10:\nPage number 10\n\n" in parts
        assert "notes.txt:\nbuy milk\n\n" in parts
        composer.text.setPlainText("what is it about")
        composer.send()
        assert composer.question().empty
        wait_until(lambda: one.conductor.state.turn == 1 and one.conductor.state.phase is Phase.IDLE)
        wait_until(lambda: one.window.side.list.count() == 1)
    with desktop(qt, tmp_path / "data") as one:  # after a restart
        load_nano(one)
        wait_until(lambda: one.window.side.list.count() == 1)
        one.window.side.list.itemClicked.emit(one.window.side.list.item(0))
        wait_until(lambda: one.window.talk.exchanges)
        kept = one.window.talk.exchanges[0].kept
        assert kept is not None
        question = kept_question(kept.asked, one.archive.media)
        assert question.parts == [*parts, "what is it about"]
        assert {d.name: d.data for d in question.documents}["report.pdf"] == path.read_bytes()
        assert len(question.seen) == 2
        one.window.composer.put(question)
        assert one.window.composer.question().documents == question.documents


def answer(text: str) -> None:
    """Into the dialog that is open."""
    dialog = QApplication.activeModalWidget()
    assert isinstance(dialog, QInputDialog)
    dialog.setTextValue(text)
    dialog.accept()


def test_a_document_that_is_being_read_can_be_given_up(qt: QApplication, tmp_path: Path) -> None:
    path = pdf(tmp_path / "report.pdf", 1000)
    with desktop(qt, tmp_path / "data") as one:
        composer = one.window.composer
        drop(one, path)
        pending = composer.findChildren(Pending)[-1]
        assert pending.said.text()
        next(b for b in pending.findChildren(QAbstractButton) if "Stop reading" in b.accessibleName()).click()
        assert composer.question().empty
        drop(one, path)
        wait_until(lambda: composer.question().documents)
        assert len(composer.question().documents) == 1
        assert composer.question().documents[0].total == 1000
        drop(one, path)  # closed while it reads


@pytest.mark.parametrize("content", [b"junk", b"%PDF-1.7\n" + os.urandom(500)], ids=["junk", "head"])
def test_a_damaged_document_is_refused(content: bytes, qt: QApplication, tmp_path: Path) -> None:
    path = tmp_path / "bad.pdf"
    path.write_bytes(content)
    with desktop(qt, tmp_path / "data") as one:
        drop(one, path)
        wait_until(lambda: "bad.pdf" in one.window.banner.text)
        assert one.window.composer.question().empty
        assert not one.window.composer._opening


def test_what_is_spoken_is_asked_about_the_document(qt: QApplication, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# milk")
    with desktop(qt, tmp_path / "data") as one:
        drop(one, tmp_path / "notes.md")
        wait_until(lambda: one.window.composer.question().documents)
        waiting = one.conductor.companions()
        assert waiting.documents[0].name == "notes.md"
        assert one.window.composer.question().empty


def test_a_question_takes_eight_files_and_says_so(qt: QApplication, tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.txt" for n in range(9)]
    for path in paths:
        path.write_text("words")
    with desktop(qt, tmp_path / "data") as one:
        drop(one, *paths)
        wait_until(lambda: "one too many" in one.window.banner.text)
        wait_until(lambda: not one.window.composer._opening)
        assert len(one.window.composer.question().documents) == 8


def test_a_file_is_dropped_anywhere_in_the_window(
    qt: QApplication, screen: VirtualScreen, tmp_path: Path
) -> None:
    """With the mouse, out of another program's window; its name is no markup."""
    path = tmp_path / "<b>bold<img src='x'>.png"
    Image.new("RGB", (300, 200), "blue").save(path)
    with (
        desktop(qt, tmp_path / "data") as one,
        subprocess.Popen([sys.executable, "-c", _FILES, str(path)], env=screen.environment) as files,
    ):
        composer, page = one.window.composer, one.window.empty
        try:
            screen.wait_for_window("^files$")
            at = page.mapToGlobal(page.rect().center())
            screen.xdotool("mousemove", 50, 30, "mousedown", 1)
            for step in range(11):
                screen.xdotool("mousemove", 60 + (at.x() - 60) * step // 10, 30 + (at.y() - 30) * step // 10)
                QTest.qWait(20)
            wait_until(lambda: composer.property("target") is True)
            screen.xdotool("mouseup", 1)
            wait_until(lambda: composer.question().pictures)
        finally:
            files.kill()
        assert composer.property("target") is False
        for shown in composer.findChildren(QWidget):
            assert "<" not in shown.toolTip()
