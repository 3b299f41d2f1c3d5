"""Every screen of Aside as PNG files, in light and dark, from real data: `aside dev screenshots DIR`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from PIL import Image
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, Qt
from PySide6.QtGui import QContextMenuEvent, QMouseEvent
from PySide6.QtWidgets import QApplication, QMessageBox

from assistant.detail import look_at
from assistant.media import picture
from assistant.rates import Rates
from assistant.settings import SettingsFile
from assistant.turn import Phase, State
from assistant.voice.audio_devices import lost
from ui.app import Desktop
from ui.conversation.message_bar import Act
from ui.conversation.sheet import Message
from ui.dev.photographer import Photographer
from ui.settings.privacy import PrivacyPage
from ui.start import application
from ui.work.question import Question

_LIST: Final = 1500  # ms for devices, packages and sizes to be listed
_SETTLE: Final = 250  # ms for layouts, fades and the cursor


def screenshots(
    folder: Path, package: Path, picture_file: Path, sound_file: Path, language: str = "en"
) -> list[Path]:
    """Write them; returns the files. The model really answers. Raises EngineError if it doesn't."""
    folder.mkdir(parents=True, exist_ok=True)
    qt = application()
    made: list[Path] = []
    for theme in ("light", "dark"):
        with tempfile.TemporaryDirectory(prefix="aside-gallery-") as data:
            file = SettingsFile(Path(data) / "settings.json")
            settings = file.change({"interface.language": language, "interface.theme": theme})
            with Desktop(qt, settings, Path(data), file) as one:
                made += _Gallery(qt, one, folder, f"{theme}-{language}").all(
                    package, picture_file, sound_file
                )
    return made


class _Gallery(Photographer):
    """Brings the application into each state and takes its picture."""

    def all(self, package: Path, picture_file: Path, sound_file: Path) -> list[Path]:
        """In the order in which a person meets them."""
        one, window = self.desktop, self.desktop.window
        one.show()
        one.welcome()
        self.pause(_LIST)
        self.shoot(window, "first-start")
        one.end_welcome()
        one.conductor.brain.load(package, "nano")
        self.shoot(window, "loading")
        self.wait(lambda: window.ready)
        window.empty.show_keys(one.settings.hotkeys.talk, one.settings.hotkeys.screen)
        self.shoot(window, "empty")
        for text in ("hello", "set a timer for five minutes"):
            self.ask(Question(text))
        window.begin()
        self.ask(Question("what colour is the circle", (picture.load(picture_file),)))
        self.ask(Question("what can you do"))
        self.wait(lambda: window.side.list.count() == 2)
        window.composer.add_file(picture_file)
        self.wait(lambda: window.composer.question().pictures)
        window.composer.text.setPlainText("Which shape is this?")
        self.shoot(window, "conversation")
        # as of a whole screen, with the real model on a laptop
        window.composer.looks.show_looks([look_at(1920, 1080, "auto", 36, Rates(2.0, 0.02))])
        self.shoot(window, "picture-cost")
        window.composer.put(Question())
        self._messages()
        self._menus()
        self._states()
        self._dictation(sound_file)
        self._camera(picture_file)
        self._documents(picture_file)
        self._screen()
        window.show_problem(lost("microphone", "USB Audio"))
        window.resize(640, 560)
        self.shoot(window, "narrow-problem")
        self._pill()
        self._preferences()
        return self.made

    def _preferences(self) -> None:
        one = self.desktop
        one.open_preferences()
        for place, page in enumerate(one.preferences.pages):
            one.preferences.list.setCurrentRow(place)
            self.pause(_LIST)
            name = type(page).__name__.removesuffix("Page").lower()
            self.shoot(one.preferences, f"settings-{name}")
        one.preferences.turn_to(PrivacyPage).verticalScrollBar().setValue(10_000)
        self.shoot(one.preferences, "settings-privacy-end")
        one.preferences.hide()

    def _messages(self) -> None:
        """What can be done with a message, a question that is changed, a picture, a search."""
        window = self.desktop.window
        first = window.talk.exchanges[0].turn
        window.transcript.focus_message(Message(first, True))
        self.shoot(window, "message")
        window.talk.do(Act.EDIT, Message(first, False))
        self.shoot(window, "editing")
        window.editing.given_up.emit()
        window.talk.open_medium(first, 0)
        self.wait(window.viewer.isVisible)
        self.shoot(window, "picture")
        window.viewer.leave()
        window.side.search.setText("what")
        self.wait(lambda: window.side.list.count() > 2)
        window.side.list.itemClicked.emit(window.side.list.item(1))
        self.wait(lambda: window.transcript.textCursor().hasSelection())
        self.shoot(window, "search")
        window.side.search.clear()
        self.wait(lambda: window.side.list.count() == 2)

    def _menus(self) -> None:
        """Menus and questions that lie over the window."""
        window = self.desktop.window
        window.header.menu_button.click()
        self.shoot_over(window, QApplication.activePopupWidget(), "menu-conversation")
        first = window.talk.exchanges[0].turn
        window.transcript.focus_message(Message(first, False))
        reason = QContextMenuEvent.Reason.Keyboard
        QApplication.sendEvent(window.transcript, QContextMenuEvent(reason, QPoint()))
        self.shoot_over(window, QApplication.activePopupWidget(), "menu-message")
        window.transcript.focus_message(None)
        button = window.composer.mode_button
        menu = button.menu()
        menu.aboutToShow.emit()  # which fills it
        menu.popup(button.mapToGlobal(QPoint(0, -menu.sizeHint().height())))
        self.shoot_over(window, menu, "menu-mode")
        window.menu.delete(window.side.current, window.header.title.text())
        self.shoot_over(window, window.findChild(QMessageBox), "delete")

    def _states(self) -> None:
        """What a person meets less often."""
        window = self.desktop.window
        window.side.search.setText("elephant")
        self.wait(lambda: not window.side.list.count())
        self.shoot(window, "nothing-found")
        window.side.search.clear()
        self.wait(lambda: window.side.list.count() == 2)
        window.composer.show_target(True)
        self.shoot(window, "drop")
        window.composer.show_target(False)
        self._change({"privacy.keep_history": False, "interface.font_size": 20})
        self.shoot(window, "large-unkept")
        self._change({"privacy.keep_history": True, "interface.font_size": 11})
        self.qt.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        self.shoot(window, "right-to-left")
        self.qt.setLayoutDirection(Qt.LayoutDirection.LeftToRight)

    def _change(self, values: dict[str, object]) -> None:
        choices = self.desktop.choices
        choices.change(values)
        self.wait(lambda: all(choices.now.get(key) == value for key, value in values.items()))

    def _dictation(self, recording: Path) -> None:
        """A recording that is written down, and an answer that is listened to."""
        window, conductor = self.desktop.window, self.desktop.conductor
        window.begin()
        window.composer.mode_button.choose_name("transcribe")
        window.composer.add_file(recording)
        self.wait(lambda: window.composer.question().sounds)
        self.ask(window.composer.question())
        window.composer.put(Question())
        self.wait(lambda: window.side.list.count() == 3)
        conductor.changed.emit(State(Phase.LISTENING, conductor.state.turn, hands_free=True))
        self.shoot(window, "dictation")
        conductor.changed.emit(conductor.state)
        window.composer.mode_button.choose_name("chat")
        window.side.list.itemClicked.emit(window.side.list.item(1))
        self.wait(lambda: len(window.transcript.sheet.messages()) == 4)
        self.desktop.pill.hide()

    def _camera(self, film: Path) -> None:
        """A file stands in for a camera."""
        window = self.desktop.window
        window.camera.begin(str(film), self.desktop.usage)
        self.wait(lambda: window.camera.view.frame is not None)
        window.camera.take()
        self.wait(lambda: window.composer.question().pictures)
        self.shoot(window, "camera")
        window.composer.put(Question())
        window.camera.end()

    def _documents(self, picture_file: Path) -> None:
        """A PDF that was dropped beside a text file."""
        composer = self.desktop.window.composer
        with tempfile.TemporaryDirectory(prefix="aside-gallery-") as folder, Image.open(picture_file) as page:
            report, notes = Path(folder) / "report.pdf", Path(folder) / "notes.txt"
            page.convert("RGB").save(report, save_all=True, append_images=[page.convert("RGB")] * 11)
            notes.write_text(self.desktop.window.empty.examples[0].text())
            composer.add_file(report)
            self.wait(lambda: composer.question().documents)
            composer.add_file(notes)
            self.wait(lambda: len(composer.question().documents) == 2)
        self.shoot(self.desktop.window, "documents")
        composer.put(Question())

    def _screen(self) -> None:
        """The frozen screen: a window lit as Tab does, and a region that is being dragged."""
        screens = self.desktop.screens
        self.pause(_SETTLE)
        screens.freeze()
        cover = screens.covers[0]
        cover.focusNextPrevChild(True)
        self.shoot(cover, "screen")
        first = self.desktop.window.talk.exchanges[0].turn
        transcript = self.desktop.window.transcript
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
            self.shoot(cover, "region")
        screens.thaw()

    def _pill(self) -> None:
        pill = self.desktop.pill
        pill.show_state(State(Phase.LISTENING, 1))
        for n in range(40):
            pill.level.push(-55 + 40 * abs((n * 7 % 11) / 11))
        pill.show_question("what colour is the")
        self.shoot(pill, "pill-listening")
        pill.show_state(State(Phase.SPEAKING, 1, writing=True))
        pill.show_question("what colour is the circle")
        pill.add_answer("".join(self.desktop.window.talk.exchanges[0].answer))
        self.shoot(pill, "pill-answering")
        pill.ring(
            "ring",
            QCoreApplication.translate("Bell", "The timer of {n} minutes is over.").replace("{n}", "5"),
        )
        self.shoot(pill, "pill-ringing")
        pill.cards.remove("ring")
        pill.hide()
