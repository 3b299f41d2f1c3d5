"""Every screen of Aside as PNG files, in light and dark, from real data: `aside dev screenshots DIR`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from PIL import Image
from PySide6.QtCore import QCoreApplication, QEvent, QEventLoop, Qt, QTimer
from PySide6.QtGui import QCursor, QMouseEvent
from PySide6.QtWidgets import QApplication, QWidget

from assistant.media import picture
from assistant.settings import Interface, Settings
from assistant.turn import Phase, State
from assistant.voice.audio_devices import lost
from models.errors import EngineError
from ui.app import Desktop
from ui.conversation.message_bar import Act
from ui.conversation.sheet import Message
from ui.start import application
from ui.window.cards import Request
from ui.work import brain
from ui.work.question import Question

_PATIENCE: Final = 120_000  # ms for one screen
_LIST: Final = 1500  # ms for devices, packages and sizes to be listed
_SETTLE: Final = 250  # ms for layouts, fades and the cursor


def screenshots(folder: Path, package: Path, picture_file: Path, language: str = "en") -> list[Path]:
    """Write them; returns the files. The model really answers. Raises EngineError if it doesn't."""
    folder.mkdir(parents=True, exist_ok=True)
    qt = application()
    made: list[Path] = []
    for theme in ("light", "dark"):
        settings = Settings(interface=replace(Interface(), language=language, theme=theme))
        with (
            tempfile.TemporaryDirectory(prefix="aside-gallery-") as data,
            Desktop(qt, settings, Path(data)) as one,
        ):
            made += _Photographer(qt, one, folder, f"{theme}-{language}").all(package, picture_file)
    return made


class _Photographer:
    """Brings the application into each state and takes its picture."""

    def __init__(self, qt: QApplication, desktop: Desktop, folder: Path, suffix: str) -> None:
        self._qt, self._desktop = qt, desktop
        self._folder, self._suffix = folder, suffix
        self._made: list[Path] = []

    def all(self, package: Path, picture_file: Path) -> list[Path]:
        """In the order in which a person meets them."""
        one, window = self._desktop, self._desktop.window
        one.show()
        one.welcome()
        self._pause(_LIST)
        self._shoot(window, "first-start")
        one.end_welcome()
        one.conductor.brain.load(package, "nano")
        self._shoot(window, "loading")
        self._wait(lambda: window.ready)
        self._shoot(window, "empty")
        for text in ("hello", "set a timer for five minutes"):
            self._ask(Question(text))
        window.begin()
        self._ask(Question("what colour is the circle", (picture.load(picture_file),)))
        self._ask(Question("what can you do"))
        self._wait(lambda: window.side.list.count() == 2)
        window.composer.add_file(picture_file)
        self._wait(lambda: window.composer.question().pictures)
        window.composer.text.setPlainText("Which shape is this?")
        self._shoot(window, "conversation")
        window.composer.put(Question())
        self._messages()
        self._camera(picture_file)
        self._documents(picture_file)
        self._screen()
        window.show_problem(lost("microphone", "USB Audio"))
        window.resize(640, 560)
        self._shoot(window, "narrow-problem")
        self._pill()
        self._preferences()
        return self._made

    def _preferences(self) -> None:
        one = self._desktop
        one.open_preferences()
        for place, page in enumerate(one.preferences.pages):
            one.preferences.list.setCurrentRow(place)
            self._pause(_LIST)
            name = type(page).__name__.removesuffix("Page").lower()
            self._shoot(one.preferences, f"settings-{name}")
        one.preferences.hide()

    def _messages(self) -> None:
        """What can be done with a message, a question that is changed, a picture, a search."""
        window = self._desktop.window
        first = window.talk.exchanges[0].turn
        window.transcript.focus_message(Message(first, True))
        self._shoot(window, "message")
        window.talk.do(Act.EDIT, Message(first, False))
        self._shoot(window, "editing")
        window.editing.given_up.emit()
        window.talk.open_medium(first, 0)
        self._wait(window.viewer.isVisible)
        self._shoot(window, "picture")
        window.viewer.leave()
        window.side.search.setText("what")
        self._wait(lambda: window.side.list.count() > 2)
        window.side.list.itemClicked.emit(window.side.list.item(1))
        self._wait(lambda: window.transcript.textCursor().hasSelection())
        self._shoot(window, "search")
        window.side.search.clear()
        self._wait(lambda: window.side.list.count() == 2)

    def _camera(self, film: Path) -> None:
        """A file stands in for a camera."""
        window = self._desktop.window
        window.camera.begin(str(film), self._desktop.usage)
        self._wait(lambda: window.camera.view.frame is not None)
        window.camera.take()
        self._wait(lambda: window.composer.question().pictures)
        self._shoot(window, "camera")
        window.composer.put(Question())
        window.camera.end()

    def _documents(self, picture_file: Path) -> None:
        """A PDF that was dropped beside a text file."""
        composer = self._desktop.window.composer
        with tempfile.TemporaryDirectory(prefix="aside-gallery-") as folder, Image.open(picture_file) as page:
            report, notes = Path(folder) / "report.pdf", Path(folder) / "notes.txt"
            page.convert("RGB").save(report, save_all=True, append_images=[page.convert("RGB")] * 11)
            notes.write_text(self._desktop.window.empty.examples[0].text())
            composer.add_file(report)
            self._wait(lambda: composer.question().documents)
            composer.add_file(notes)
            self._wait(lambda: len(composer.question().documents) == 2)
        self._shoot(self._desktop.window, "documents")
        composer.put(Question())

    def _screen(self) -> None:
        """The frozen screen: a window lit as Tab does, and a region that is being dragged."""
        screens = self._desktop.screens
        self._pause(_SETTLE)
        screens.freeze()
        cover = screens.covers[0]
        cover.focusNextPrevChild(True)
        self._shoot(cover, "screen")
        first = self._desktop.window.talk.exchanges[0].turn
        transcript = self._desktop.window.transcript
        place = transcript.place(Message(first, False))
        if place is not None:
            corner = cover.mapFromGlobal(transcript.viewport().mapToGlobal(place.topLeft()))
            far = corner + place.bottomRight() - place.topLeft()
            for kind, at in ((QEvent.Type.MouseButtonPress, corner), (QEvent.Type.MouseMove, far)):
                held = Qt.MouseButton.LeftButton
                where = cover.mapToGlobal(at)
                QApplication.sendEvent(
                    cover, QMouseEvent(kind, at, where, held, held, Qt.KeyboardModifier.NoModifier)
                )
            self._shoot(cover, "region")
        screens.thaw()

    def _pill(self) -> None:
        pill = self._desktop.pill
        pill.show_state(State(Phase.LISTENING, 1))
        for n in range(40):
            pill.level.push(-55 + 40 * abs((n * 7 % 11) / 11))
        pill.show_question("what colour is the")
        self._shoot(pill, "pill-listening")
        pill.show_state(State(Phase.SPEAKING, 1, writing=True))
        pill.show_question("what colour is the circle")
        pill.add_answer("".join(self._desktop.window.talk.exchanges[0].answer))
        self._shoot(pill, "pill-answering")
        pill.ring(
            "ring",
            QCoreApplication.translate("Bell", "The timer of {n} minutes is over.").replace("{n}", "5"),
        )
        self._shoot(pill, "pill-ringing")
        pill.cards.remove("ring")
        pill.hide()

    def _ask(self, question: Question) -> None:
        """A real question to the real model."""
        conductor = self._desktop.conductor
        ended: list[brain.BrainEvent] = []
        conductor.told.connect(ended.append)
        conductor.ask(question)
        cards = self._desktop.window.cards

        def over() -> bool:
            return any(isinstance(event, brain.Answered | brain.Failed) for event in ended)

        self._wait(lambda: over() or cards.shown)
        if cards.shown and isinstance(cards.shown[0], Request):
            self._wait(cards.shown[0].allow.isEnabled)
            self._shoot(self._desktop.window, "tool-card")
            cards.shown[0].allow.click()
        self._wait(over)
        conductor.told.disconnect(ended.append)

    def _shoot(self, widget: QWidget, name: str) -> None:
        QCursor.setPos(widget.screen().geometry().bottomRight())  # nothing is under the mouse
        self._pause(_SETTLE)
        path = self._folder / f"{name}-{self._suffix}.png"
        widget.grab().save(str(path))
        self._made.append(path)

    def _wait(self, condition: Callable[[], Any]) -> None:
        for _ in range(_PATIENCE // 20):
            if condition():
                return
            self._pause(20)
        raise EngineError("The model did not answer in time.", "Try it on a quiet machine.")

    @staticmethod
    def _pause(milliseconds: int) -> None:
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()
