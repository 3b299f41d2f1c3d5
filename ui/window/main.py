"""The main window: conversations at the left, the conversation with its composer at the right."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDragLeaveEvent, QDropEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from assistant.history.records import Conversation
from assistant.modes import Mode
from assistant.turn import Phase, State
from models.errors import AsideError, HistoryError
from ui.conversation.talk import Talk
from ui.conversation.transcript import WIDEST, Transcript
from ui.conversation.viewer import Viewer
from ui.gate import Gate
from ui.look import theme
from ui.look.theme import Theme, Type
from ui.window.banner import Banner, Editing
from ui.window.camera import CameraPanel
from ui.window.cards import Cards
from ui.window.composer import Composer
from ui.window.conversation_menu import ConversationMenu
from ui.window.empty_page import EmptyPage
from ui.window.header import Header
from ui.window.looks import cost
from ui.window.mode_button import words
from ui.window.side import Side
from ui.work import brain
from ui.work.archive import Archive
from ui.work.brain import BrainEvent
from ui.work.conductor import Conductor
from ui.work.question import Question


class Window(QMainWindow):
    """Shows what conductor and archive tell, and tells them what a person does."""

    closed = Signal()
    """The person closed the window."""
    capture = Signal()
    """The person wants to ask about the screen."""
    look = Signal()
    """The person wants to ask about the camera."""
    preferences = Signal()
    """The person wants the settings."""

    def __init__(self, gate: Gate, conductor: Conductor, archive: Archive) -> None:
        super().__init__()
        self.setWindowTitle("Aside")
        self.resize(1080, 720)
        self.setMinimumSize(560, 420)
        self.setAcceptDrops(True)
        self._conductor, self._archive = conductor, archive
        self._ready = False
        self._cost = (0, 0.0)  # a turn, and what its pictures take
        self.menu = ConversationMenu(archive, self)
        self.side = Side(archive, self.menu)
        self.transcript = Transcript()
        self.composer, self.camera = Composer(gate), CameraPanel(gate)
        self.cards = Cards()
        self.header, self.empty, self.banner, self.editing = Header(), EmptyPage(), Banner(), Editing()
        self.talk = Talk(gate, conductor, archive, self.transcript)
        self._build()
        self.viewer = Viewer(gate, self)
        self._connect()
        self._show_state(conductor.state)
        self.side.refresh()
        self.composer.text.setFocus()

    def set_theme(self, colours: Theme, letters: Type) -> None:
        """Colours and sizes of everything in the window."""
        self.transcript.set_theme(colours, letters)
        self.composer.set_theme(colours)
        self.camera.set_theme(colours)
        self.side.set_theme(colours, letters)
        self.menu.set_theme(colours)
        self.cards.set_theme(colours)
        self.header.set_theme(colours)
        self.banner.set_theme(colours)
        self.editing.set_theme(colours)
        self.empty.set_theme(colours)

    @property
    def ready(self) -> bool:
        """Whether there is a model to ask."""
        return self._ready

    def show_problem(self, error: AsideError, stays: bool = False) -> None:
        """Say what happened and what to do, above the composer; for a while, or until it is dismissed."""
        self.banner.show_problem(error, stays)

    def show_front(self, page: QWidget) -> None:
        """Show a page in place of everything else."""
        self._front.setCurrentIndex(self._front.addWidget(page))

    def leave_front(self) -> None:
        """Show the conversation again, and let go of a page in place of it."""
        page = self._front.widget(1)
        if page is not None:
            self._front.removeWidget(page)
            page.deleteLater()
            self.composer.text.setFocus()

    def begin(self) -> None:
        """A new conversation."""
        self.talk.begin()
        self.composer.text.setFocus()

    def open(self, number: int) -> None:
        """Go on with an earlier conversation."""
        self.talk.open(number)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Called by Qt."""
        self.closed.emit()
        super().closeEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Called by Qt: files may be dropped anywhere in the window."""
        if self._front.currentIndex() == 0 and self.composer.takes(event.mimeData()):
            event.acceptProposedAction()
            self.composer.show_target(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Called by Qt."""
        super().dragLeaveEvent(event)
        self.composer.show_target(False)

    def dropEvent(self, event: QDropEvent) -> None:
        """Called by Qt."""
        self.composer.dropEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """Called by Qt: who doesn't see the camera must not be seen."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.WindowStateChange and self.isMinimized() and self.camera.open:
            self.camera.end()

    def _build(self) -> None:
        self._pages = QStackedWidget()
        self._pages.setMinimumHeight(1)  # the composer needs the room more than the empty page does
        self._pages.addWidget(self.empty)
        self._pages.addWidget(self.transcript)
        page = QWidget()
        page.setObjectName("conversation")
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.header)
        column.addWidget(self._pages, 1)
        column.addLayout(self._bottom())
        self.splitter = QSplitter()
        self.splitter.setHandleWidth(1)
        self.splitter.addWidget(self.side)
        self.splitter.addWidget(page)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setSizes([260, 820])
        self.splitter.setCollapsible(1, False)
        self._front = QStackedWidget()
        self._front.addWidget(self.splitter)
        self.setCentralWidget(self._front)

    def _bottom(self) -> QHBoxLayout:
        """The composer, in the middle of a wide window, with the banner for problems above it."""
        self._activity = QLabel()
        self._activity.setProperty("kind", "small")
        self._activity.setTextFormat(Qt.TextFormat.PlainText)
        self._activity.setAccessibleName(self.tr("What Aside is doing"))
        stack = QVBoxLayout()
        stack.setContentsMargins(0, theme.SMALL, 0, theme.WIDE)
        stack.setSpacing(theme.GAP)
        stack.addWidget(self._activity)
        stack.addWidget(self.cards)
        stack.addWidget(self.banner)
        stack.addWidget(self.editing)
        stack.addWidget(self.camera)
        stack.addWidget(self.composer)
        middle = QWidget()
        middle.setLayout(stack)
        middle.setMaximumWidth(WIDEST)
        outer = QHBoxLayout()
        outer.setContentsMargins(theme.LARGE, 0, theme.LARGE, 0)
        outer.addStretch()
        outer.addWidget(middle, 1)
        outer.addStretch()
        return outer

    def _connect(self) -> None:
        self.side.begun.connect(self.begin)
        self.side.opened.connect(self.open)
        self.side.found.connect(self.talk.open)
        self.side.search.textChanged.connect(self._search_changed)
        self.menu.deleted.connect(self._conversation_deleted)
        self.menu.renamed.connect(self._renamed)
        self.menu.said.connect(self.banner.say)
        self.menu.problem.connect(self.show_problem)
        self.header.menu_button.clicked.connect(self._show_menu)
        self._archive.changed = self.side.refresh
        self._archive.damaged = self._show_damaged
        self.header.side_button.clicked.connect(self._toggle_side)
        self.empty.chosen.connect(self._ask_example)
        self.side.preferences.connect(self.preferences)
        self.composer.asked.connect(self._conductor.ask)
        self.composer.stopped.connect(self._conductor.stop)
        self.composer.listen.connect(self._conductor.tap)
        self.composer.capture.connect(self.capture)
        self.composer.look.connect(self._toggle_camera)
        self.camera.taken.connect(self._show_taken)
        self.camera.problem.connect(self.show_problem)
        self.camera.ended.connect(self.composer.text.setFocus)
        self.composer.problem.connect(self.show_problem)
        self.composer.mode_button.chosen.connect(self._choose_mode)
        self._conductor.wording = words
        self._conductor.drafted.connect(self._show_draft)
        self.composer.prepared.connect(self._conductor.brain.prepare)
        self._conductor.changed.connect(self._show_state)
        self._conductor.changed.connect(self.cards.show_state)
        self._conductor.told.connect(self.cards.tell)
        self.cards.left.connect(self.composer.text.setFocus)
        self._conductor.told.connect(self._show_told)
        self._conductor.problem.connect(self.show_problem)
        self.talk.titled.connect(self._show_title)
        self.talk.begun.connect(self._show_talk)
        self.talk.edited.connect(self._show_edited)
        self.talk.problem.connect(self.show_problem)
        self.talk.show_picture = self.viewer.show_picture
        self.editing.given_up.connect(self._give_up_editing)
        self.transcript.left.connect(self.composer.text.setFocus)
        for keys, act in (
            ("Ctrl+N", self.begin),
            ("Ctrl+F", self._search),
            ("Ctrl+B", self._toggle_side),
            ("Ctrl+L", self.composer.text.setFocus),
            ("Ctrl+O", self.composer.choose),
            ("Ctrl+Shift+V", self._toggle_camera),
            ("Ctrl+Space", self._conductor.tap),
            ("Ctrl+Shift+Space", self._conductor.toggle_hands_free),
            ("F6", self.cards.take_focus),
            ("Ctrl+1", lambda: self.composer.mode_button.choose_name("chat")),
            ("Ctrl+2", lambda: self.composer.mode_button.choose_name("transcribe")),
            ("Ctrl+3", lambda: self.composer.mode_button.choose_name("translate")),
            ("Ctrl+,", self.preferences.emit),
            ("Ctrl+Shift+C", self.talk.copy_answer),
            ("Alt+Up", lambda: self.transcript.go(-1)),
            ("Alt+Down", lambda: self.transcript.go(1)),
            ("F3", lambda: self.transcript.finder.go(1)),
            ("Shift+F3", lambda: self.transcript.finder.go(-1)),
            ("Esc", self._escape),
            ("Ctrl+W", self.close),
        ):
            QShortcut(QKeySequence(keys), self).activated.connect(act)

    def _choose_mode(self, mode: Mode) -> None:
        self._conductor.mode = mode

    def _show_draft(self, text: str) -> None:
        if self._conductor.state.phase is Phase.LISTENING:
            self._activity.setText(text or self.tr("Listening …"))

    def _ask_example(self, text: str) -> None:
        self.composer.text.setPlainText(text)
        self.composer.send()
        self.composer.text.setFocus()

    def _search(self) -> None:
        if not self.side.isVisible():
            self._toggle_side()
        self.side.search.setFocus()
        self.side.search.selectAll()

    def _search_changed(self, words: str) -> None:
        if not words:
            self.transcript.finder.end()

    def _toggle_side(self) -> None:
        self.side.setVisible(not self.side.isVisible())

    def _show_title(self, conversation: Conversation | None) -> None:
        if conversation is None:
            self.header.title.setText(self.tr("New conversation"))
            self.side.set_current(0)
        else:
            self.header.title.setText(conversation.title or self.tr("Untitled"))
            self.side.set_current(conversation.id)
            self.side.refresh()
        self._pages.setCurrentIndex(0 if self.talk.empty else 1)
        self.show_kept()

    def show_kept(self) -> None:
        """Whether what is said is kept."""
        self.header.unkept.setVisible(not self._archive.keeps)
        self.header.menu_button.setVisible(not self.talk.empty)

    def _show_damaged(self, problem: HistoryError) -> None:
        """The history can only be read: nothing more is kept, and what is left can be saved."""
        self.show_kept()
        act = partial(self.menu.export, None, self.tr("Conversations"), "json")
        self.banner.offer(problem, self.tr("Export all …"), act)

    def _show_menu(self) -> None:
        button = self.header.menu_button
        place = button.mapToGlobal(button.rect().bottomRight())
        self.menu.show(
            place, self.side.current, self.header.title.text(), self.talk.copy_all, self.talk.turns()
        )

    def _renamed(self, conversation: Conversation) -> None:
        if conversation.id == self.side.current:
            self.header.title.setText(conversation.title)

    def _show_talk(self) -> None:
        self._pages.setCurrentIndex(1)
        self.header.menu_button.show()

    def _show_edited(self, question: Question | None) -> None:
        self.editing.setVisible(question is not None)
        if question is not None:
            self.composer.put(question)

    def _escape(self) -> None:
        if self.camera.isAncestorOf(self.focusWidget()) and self._conductor.state.phase is Phase.IDLE:
            self.camera.end()
        elif self.editing.isVisible() and self._conductor.state.phase is Phase.IDLE:
            self.editing.given_up.emit()
        else:
            self._conductor.stop()

    def _toggle_camera(self) -> None:
        if self.camera.isVisible():
            self.camera.end()
        else:
            self.look.emit()

    def _show_taken(self, pictures: tuple[bytes, ...]) -> None:
        """They wait in the composer; what is spoken or typed next is asked about them."""
        for picture in pictures:
            self.composer.add_picture(picture, self.tr("Camera"))
        self.composer.text.setFocus()

    def _give_up_editing(self) -> None:
        self.talk.stop_editing()
        self.composer.put(Question())

    def _conversation_deleted(self, number: int) -> None:
        if number == self.side.current:
            self.begin()

    def _show_told(self, event: BrainEvent) -> None:
        match event:
            case brain.Loading(name):
                self._ready = False
                self.header.show_model(self.tr("Loading {name} …").replace("{name}", name), busy=True)
            case brain.Loaded(name, seconds, _, problem):
                self._ready = True
                if problem is not None:
                    self.show_problem(problem)
                self.header.show_model(self.tr("{name} is ready").replace("{name}", name), ready=True)
                self.header.model.setToolTip(self.tr("Loaded in {s} s").replace("{s}", f"{seconds:.1f}"))
            case brain.LoadFailed(error):
                self._ready = False
                self.header.show_model(self.tr("No model"))
                self.show_problem(error)
            case brain.Sized(looks):
                self.composer.looks.show_looks(looks)
                return
            case brain.Prepared():
                self.composer.looks.show_ready()
                return
            case brain.Costs(turn, seconds):
                self._cost = (turn, seconds)
                return
            case brain.Working(turn, progress):
                words = self._words(progress.stage)
                if self._cost[0] == turn:
                    words = f"{words} {cost(self._cost[1])}"
                self._activity.setText(words)
                return
        self.composer.set_state(self._conductor.state.phase is not Phase.IDLE, self._ready)

    def _show_state(self, state: State) -> None:
        self._activity.setText(
            {
                Phase.IDLE: "",
                Phase.LISTENING: self.tr("Listening …"),
                Phase.THINKING: self.tr("Thinking …"),
                Phase.SPEAKING: self.tr("Answering …"),
            }[state.phase]
        )
        self.composer.set_state(state.phase is not Phase.IDLE, self._ready)

    def _words(self, stage: str) -> str:
        return {
            "vision": self.tr("Looking …"),
            "speech": self.tr("Listening back …"),
            "prefill": self.tr("Reading …"),
        }.get(stage, "")
