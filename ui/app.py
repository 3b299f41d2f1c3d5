"""The composition root: makes every part, gives each what it needs, and ends them in order."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from PySide6.QtCore import QCoreApplication, QLocale, Qt
from PySide6.QtWidgets import QApplication

from assistant import packages
from assistant.instance import Request
from assistant.modes import CHAT, Name
from assistant.settings import Loaded as LoadedSettings
from assistant.settings import Model, Settings, SettingsFile
from assistant.tools.kit import kit
from assistant.tools.schedule import Schedule
from assistant.turn import Phase
from assistant.usage import FILE, Kind, Usage
from assistant.voice.speaker import Speaker
from models.errors import AsideError, DeviceError, SettingsError
from models.package import embedded
from ui.conversation import notes
from ui.gate import Gate
from ui.look import error_words, icons, theme
from ui.look.controls import tip
from ui.look.form import Page
from ui.look.theme import Theme, Type
from ui.look.translation import Translation, of_qt, retranslate
from ui.outside import portal
from ui.outside.hotkeys import ESCAPE, Pressed, Released
from ui.outside.keys import Keys
from ui.outside.pill import Pill
from ui.outside.screen import Screens
from ui.outside.tray import Tray
from ui.settings.camera import CameraPage
from ui.settings.choices import Choices
from ui.settings.hotkeys import HotkeysPage
from ui.settings.look import LookPage
from ui.settings.model import ModelPage
from ui.settings.privacy import PrivacyPage
from ui.settings.sound import SoundPage
from ui.settings.tools import ToolsPage
from ui.settings.window import Preferences
from ui.window.first_start import FirstStart
from ui.window.looks import cost
from ui.window.main import Window
from ui.window.model_state import ModelState
from ui.window.placement import Placement
from ui.work.archive import Archive
from ui.work.bell import Bell
from ui.work.brain import BrainEvent, Called, Costs, Failed, Loaded, LoadFailed, Wrote
from ui.work.conductor import Conductor
from ui.work.question import Question

_NORMAL: Final = 11  # points: the scale of letters is 1


class Desktop:
    """All parts of the application, for as long as it runs. A context manager."""

    def __init__(
        self, application: QApplication, settings: Settings, data: Path, file: SettingsFile | None = None
    ) -> None:
        """``file`` is where changes of the settings are kept."""
        self._application = application
        self.gate = Gate()
        self.choices = Choices(self.gate, file or SettingsFile(data / "settings" / "settings.json"), settings)
        self._translation = self._translated()
        self.usage = Usage(data / FILE, lambda now: self.gate.post(lambda: self._show_lamps(now)))
        self.conductor = Conductor(self.gate, settings, self.usage)
        self.conductor.mouth.choose(settings.sound.speaker, settings.sound.voice)
        self._tools = data / "tools"
        self.conductor.brain.use(kit(self._tools, settings.tools))
        self.conductor.brain.look(settings.pictures.detail)
        self._schedule = Schedule(self._tools / "timers.json")
        self.bell = Bell(self.gate, self._schedule, self._speaker)
        self.archive = Archive(self.gate, data / "history", self._complain)
        self.archive.apply(settings.privacy)
        self.conductor.brain.keep = self.archive.called
        self.model = ModelState(self.conductor)
        self._asked_for: Model | None = None  # the choice of a model that was loaded last
        self._good: Model | None = None  # the last one that could be
        self._data = data
        self.window = Window(self.gate, self.conductor, self.archive)
        self._placement = Placement(data / "window.json", self.window)
        self.pill, self.tray, self.screens = Pill(), Tray(), Screens(self.usage)
        self.keys = Keys(self.gate, self.pressed, self._complain)
        self._ending = threading.Event()
        self.preferences = Preferences(self._pages)
        self._first_start: FirstStart | None = None
        self._connect()
        self.apply_theme()
        self._placement.restore()
        application.styleHints().colorSchemeChanged.connect(self.apply_theme)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def settings(self) -> Settings:
        """As they are now."""
        return self.choices.now

    @property
    def theme(self) -> Theme:
        """The colours that are due: the person's choice, or the system's."""
        wanted = self.settings.interface.theme
        dark = self._application.styleHints().colorScheme() == Qt.ColorScheme.Dark
        return theme.DARK if wanted == "dark" or (wanted == "system" and dark) else theme.LIGHT

    def apply_theme(self) -> None:
        """Colours and sizes of letters everywhere."""
        colours, letters = self.theme, Type(self.settings.interface.font_size / _NORMAL)
        self._application.setPalette(colours.palette())
        self._application.setStyleSheet(theme.style_sheet(colours, letters))
        self._application.setWindowIcon(icons.icon("aside", colours.accent))
        self.window.set_theme(colours, letters)
        self.pill.set_theme(colours)
        self.tray.set_theme(colours)
        self.preferences.set_theme(colours)
        if self._first_start is not None:
            self._first_start.set_theme(colours)

    def apply(self, now: Settings, before: Settings) -> None:
        """Have everything follow settings that were changed, and leave what was not as it is."""
        if now.interface.language != before.interface.language:
            self._speak()
        if (now.interface.theme, now.interface.font_size) != (
            before.interface.theme,
            before.interface.font_size,
        ):
            self.apply_theme()
        if now.privacy != before.privacy:
            self.archive.apply(now.privacy)
            self.window.show_kept()
        if self.window.camera.isVisible() and now.camera != before.camera:
            self.window.camera.begin(now.camera.source, self.usage)
        if self.window.camera.isVisible() and not now.privacy.camera:
            self.window.camera.end()
        if now.tools != before.tools:
            self.conductor.brain.use(kit(self._tools, now.tools))
            if now.tools.enabled != before.tools.enabled:
                self.window.talk.remember()
        if now.hotkeys != before.hotkeys:
            self.grab_keys()
        self.conductor.apply(now)
        if now.sound != before.sound:
            self.conductor.mouth.choose(now.sound.speaker, now.sound.voice)
        if now.pictures != before.pictures:
            self.conductor.brain.look(now.pictures.detail)
            self.window.composer.looks.show_level(now.pictures.detail)
        if now.model != before.model:
            self.load_model()

    def load_model(self) -> None:
        """The model of the settings, in place of the present one; nano if there is none of that name."""
        wanted = self.settings.model
        if wanted == self._asked_for:
            return
        self._asked_for = wanted
        try:
            path = packages.find_package(wanted.package)
        except AsideError as error:
            self.window.show_problem(error, stays=True)
            self.conductor.brain.load(embedded(), "nano")
        else:
            name, adapter = Path(wanted.package).name, wanted.adapter or None
            self.conductor.brain.load(path, name, adapter, wanted.computed_by)

    def _model_told(self, event: BrainEvent) -> None:
        """A model that can't be loaded isn't the choice any more; the conversation goes on with another."""
        match event:
            case Loaded():
                if self._good is not None and self.window.side.current:
                    self.window.open(self.window.side.current)
                self._good = self._asked_for
            case LoadFailed() if self._good is not None and self._asked_for != self._good:
                self._asked_for = self._good  # the brain has gone back to it by itself
                self.choices.change(
                    {"model.package": self._good.package, "model.adapter": self._good.adapter}
                )

    def greet(self, loaded: LoadedSettings) -> None:
        """What a person sees at the start: the first page, once, and what is wrong with the settings."""
        if not loaded.settings.interface.welcomed:
            self.welcome()
        if loaded.remarks:
            self.window.show_problem(SettingsError(" ".join(loaded.remarks)), stays=True)

    def welcome(self) -> None:
        """The page of the first start, in the window."""
        page = self._first_start = FirstStart(self.choices, self.gate, self.conductor.ear.listen)
        page.started.connect(self.end_welcome)
        page.more.connect(lambda: self.open_preferences(ModelPage))
        page.set_theme(self.theme)
        self.window.show_front(page)
        page.start_button.setFocus()

    def end_welcome(self) -> None:
        """The person begins, here or by a hotkey."""
        if self._first_start is not None:
            self._first_start.leave()
            self._first_start = None
            self.window.leave_front()

    def open_preferences(self, page: type[Page] | None = None) -> None:
        """The window of settings to the front."""
        self.preferences.show()
        if page is not None:
            self.preferences.turn_to(page)
        self.preferences.raise_()
        self.preferences.activateWindow()

    def show(self) -> None:
        """The window to the front."""
        self.window.setWindowState(self.window.windowState() & ~Qt.WindowState.WindowMinimized)
        self.window.show()
        self.window.raise_()
        self.window.activateWindow()

    def obey(self, request: Request) -> None:
        """What another process asks for; in the GUI thread."""
        match request:
            case "show":
                self.show()
            case "listen":
                self.conductor.tap()
            case "listen-transcribe":
                self.write_down("transcribe")
            case "listen-translate":
                self.write_down("translate")
            case "handsfree":
                self.conductor.toggle_hands_free()
            case "stop":
                self.conductor.stop()
            case "quit":
                self._application.quit()
            case "preferences":
                self.open_preferences()
            case "screenshot":
                self.capture()
            case "camera":
                self.look()

    def grab_keys(self) -> None:
        """The hotkeys of the settings, where programs may have any."""
        self.keys.grab(self.settings.hotkeys)
        self._catch_escape()
        self._show_keys()

    def _show_keys(self) -> None:
        self.window.composer.talk_key = self.keys.talk
        self.window.empty.show_keys(self.keys.talk, self.keys.screen)

    def pressed(self, event: Pressed | Released) -> None:
        """A hotkey."""
        match event:
            case Pressed("talk"):
                self.conductor.talk()
            case Released("talk", held):
                self.conductor.release(held)
            case Pressed("transcribe" | "translate" as mode):
                self.write_down(mode)
            case Pressed("screen"):
                self.capture()
            case Pressed("camera"):
                self.look()
            case Pressed(name) if name == ESCAPE:
                self.conductor.stop()

    def _catch_escape(self, *_: object) -> None:
        """Esc stops a question or an answer that is spoken, while another program has the keyboard."""
        state = self.conductor.state
        asking = state.phase is Phase.LISTENING and not state.hands_free and self.conductor.mode is CHAT
        ours = self._application.applicationState() is Qt.ApplicationState.ApplicationActive
        self.keys.catch_escape((asking or state.voice) and not ours)

    def write_down(self, mode: Name) -> None:
        """Listen in another mode, until the same is wanted again."""
        if self.conductor.state.phase is not Phase.LISTENING:
            self.window.composer.mode_button.choose_name(mode)
        self.conductor.tap()

    def capture(self) -> None:
        """Freeze the screen and let the person choose what to ask about."""
        try:
            if not self.settings.privacy.screen:
                raise DeviceError("Looking at the screen is switched off.", "Allow it in the settings.")
            if portal.needed():
                look = partial(portal.screenshot, self._ending)
                self.gate.run(look, self._freeze, self._not_captured)
            else:
                self.screens.freeze()
        except AsideError as error:
            self._not_captured(error)

    def _freeze(self, picture: bytes) -> None:
        try:
            self.screens.freeze(picture)
        except AsideError as error:
            self._not_captured(error)

    def _not_captured(self, error: AsideError) -> None:
        self.show()
        self.window.show_problem(error)

    def look(self) -> None:
        """Open the camera; if it is open, take a picture."""
        self.end_welcome()
        self.show()
        if not self.settings.privacy.camera:
            self.window.show_problem(
                DeviceError("The camera is switched off.", "Allow it in the settings, under Privacy.")
            )
        elif self.window.camera.open:
            self.window.camera.take()
        else:
            self.window.camera.begin(self.settings.camera.source, self.usage)

    def _companions(self) -> Question:
        """What a spoken question is about: what waits in the composer, and what the camera sees now."""
        waiting = self.window.composer.take_media()
        return replace(waiting, pictures=(*waiting.pictures, *self.window.camera.companions()))

    def _captured(self, picture: bytes) -> None:
        """The picture waits in the composer; what is spoken or typed next is asked about it."""
        self.end_welcome()
        self.show()
        self.window.composer.add_picture(picture, QCoreApplication.translate("Desktop", "Screenshot"))
        self.window.composer.text.setFocus()

    def _connect(self) -> None:
        conductor, pill, tray = self.conductor, self.pill, self.tray
        conductor.changed.connect(pill.show_state)
        conductor.changed.connect(tray.show_state)
        conductor.changed.connect(self._catch_escape)
        self._application.applicationStateChanged.connect(self._catch_escape)
        conductor.changed.connect(pill.cards.show_state)
        conductor.level.connect(pill.level.push)
        conductor.understood.connect(lambda _, text: pill.show_question(text))
        conductor.told.connect(self._show_in_pill)
        conductor.drafted.connect(pill.show_question)
        conductor.problem.connect(lambda error: pill.show_note(error_words.told(error)))
        conductor.told.connect(self._model_told)
        conductor.asked.connect(lambda *_: self.end_welcome())
        conductor.companions = self._companions
        pill.stopped.connect(conductor.stop)
        pill.opened.connect(self.show)
        tray.show_window.connect(self.show)
        tray.listen.connect(conductor.tap)
        tray.capture.connect(self.capture)
        tray.look.connect(self.look)
        tray.hands_free.connect(conductor.set_hands_free)
        tray.stop.connect(conductor.stop)
        tray.settings.connect(self.open_preferences)
        tray.end.connect(self._application.quit)
        self.bell.rings.connect(self._ring)
        self.bell.problem.connect(self._complain)
        for cards in (self.window.cards, pill.cards):
            cards.dismissed.connect(self.bell.dismiss)
            self.bell.dismissed.connect(cards.remove)
        self.choices.changed.connect(self.apply)
        self.choices.remarked.connect(lambda remark: self.window.show_problem(SettingsError(remark)))
        self.window.preferences.connect(self.open_preferences)
        self.window.capture.connect(self.capture)
        self.window.composer.looks.show_level(self.settings.pictures.detail)
        self.window.composer.looks.chosen.connect(
            lambda level: self.choices.change({"pictures.detail": level})
        )
        self.window.look.connect(self.look)
        self.window.camera.chosen.connect(lambda source: self.choices.change({"camera.source": source}))
        self.window.closed.connect(self._window_closed)
        self.screens.chosen.connect(self._captured)

    def _pages(self) -> list[tuple[str, Page]]:
        """The pages of the settings with their icons, in the language of now."""
        privacy = PrivacyPage(self.choices, self.gate, self.archive, self._data)
        privacy.wiped.connect(self.window.begin)
        privacy.wiped.connect(self.window.side.refresh)
        privacy.wiped.connect(self.window.show_kept)
        conductor = self.conductor
        return [
            ("speak", SoundPage(self.choices, self.gate, conductor.ear.listen, conductor.renew_devices)),
            ("camera", CameraPage(self.choices, self.gate, self.usage)),
            ("keyboard", HotkeysPage(self.choices, self.gate, self._pause_keys)),
            ("model", ModelPage(self.choices, self.gate, self.model)),
            ("look", LookPage(self.choices)),
            ("privacy", privacy),
            ("tools", ToolsPage(self.choices, self.gate, self._schedule)),
        ]

    def _pause_keys(self, pause: bool) -> None:
        self.keys.pause(pause)
        self._show_keys()

    def _translated(self) -> Translation:
        """The language of the settings, from here on."""
        wanted = self.settings.interface.language
        language = QLocale.system().name() if wanted == "system" else wanted
        self._qt_words = of_qt(language, self._application)
        self._application.installTranslator(self._qt_words)
        made = Translation(language, self._application)
        self._application.installTranslator(made)
        self._application.setLayoutDirection(made.direction)
        return made

    def _speak(self) -> None:
        """Everything that is shown in the language of the settings, in place."""
        before = self._translation
        self._application.removeTranslator(before)
        self._application.removeTranslator(self._qt_words)
        self._qt_words.deleteLater()
        self._translation = self._translated()
        retranslate((self.window, self.pill, self.tray.menu), before, self._translation)
        before.deleteLater()
        self._show_keys()
        self.window.side.refresh()
        self.tray.set_theme(self.theme)
        self.preferences.rebuild()

    def _show_lamps(self, now: frozenset[Kind]) -> None:
        """What is in use, wherever a person may look."""
        self.window.header.lamps.show_open(now)
        self.tray.show_open(now)

    def _show_in_pill(self, event: BrainEvent) -> None:
        self.pill.tell(event)
        match event:
            case Loaded():
                self.pill.prepare()
            case Wrote(_, text):
                self.pill.add_answer(text)
            case Costs(_, seconds):
                self.pill.show_activity(cost(seconds))
            case Called():
                self.pill.add_answer(f"{notes.call(event.call)}\n")
            case Failed(_, error):
                self.pill.show_note(error_words.told(error))

    def _ring(self, key: str, text: str) -> None:
        """A timer or an alarm, wherever the person looks."""
        self.window.cards.ring(key, text)
        if self.window.isActiveWindow():
            return
        self.pill.ring(key, text)
        self.tray.tell(tip(text))  # some desktops take markup there

    def _speaker(self) -> Speaker:
        return Speaker(self.settings.sound.speaker or None)

    def _window_closed(self) -> None:
        """Without a tray nobody could find a hidden Aside again."""
        if not self.tray.there:
            self._application.quit()

    def _complain(self, error: AsideError) -> None:
        self.window.show_problem(error)

    def close(self) -> None:
        """Input, processing, output, and the history last of all; each, whatever the one before it met."""
        self._placement.keep()
        self.window.hide()
        self.pill.hide()
        self.preferences.hide()
        self.end_welcome()
        self._ending.set()
        self.screens.thaw()
        self.window.camera.shut()
        self.window.composer.close_reading()
        with ExitStack() as threads:  # the last one first
            for end in (self.gate.close, self.archive.close, self.conductor.close, self.bell.close):
                threads.callback(end)
            threads.callback(self.keys.release)
        self._application.styleHints().colorSchemeChanged.disconnect(self.apply_theme)
        self._application.applicationStateChanged.disconnect(self._catch_escape)
        self._application.removeTranslator(self._translation)
        self._translation.deleteLater()
        self._application.removeTranslator(self._qt_words)
        self._qt_words.deleteLater()
        self.tray.close()
        self.choices.deleteLater()
        self.preferences.deleteLater()
        self.pill.deleteLater()
        self.window.deleteLater()
