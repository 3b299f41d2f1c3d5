"""The main window: conversations at the left, the conversation with its composer at the right."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent, QImage, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from assistant.history.records import Conversation
from assistant.turn import Phase, State
from models.errors import AsideError
from ui import brain, theme
from ui.archive import Archive, Opened
from ui.banner import Banner
from ui.brain import Answered, BrainEvent
from ui.composer import Composer
from ui.conductor import Conductor
from ui.empty_page import EmptyPage
from ui.gate import Gate
from ui.header import Header
from ui.question import Question
from ui.side import Side
from ui.theme import Theme, Type
from ui.transcript import Transcript

_WIDEST: Final = 760  # logical pixels of the composer, as of the text


class Window(QMainWindow):
    """Shows what conductor and archive tell, and tells them what a person does."""

    closed = Signal()
    """The person closed the window."""
    capture = Signal()
    """The person wants to ask about the screen."""
    preferences = Signal()
    """The person wants the settings."""

    def __init__(self, gate: Gate, conductor: Conductor, archive: Archive) -> None:
        super().__init__()
        self.setWindowTitle("Aside")
        self.resize(1080, 720)
        self.setMinimumSize(560, 420)
        self._conductor, self._archive = conductor, archive
        self._ready = False
        self._answer: list[str] = []
        self.side = Side(archive)
        self.transcript = Transcript()
        self.composer = Composer(gate)
        self.header, self.empty, self.banner = Header(), EmptyPage(), Banner()
        self._build()
        self._connect()
        self._show_state(conductor.state)
        self.side.refresh()
        self.composer.text.setFocus()

    def set_theme(self, colours: Theme, letters: Type) -> None:
        """Colours and sizes of everything in the window."""
        self.transcript.set_theme(colours, letters)
        self.composer.set_theme(colours)
        self.side.set_theme(colours)
        self.header.set_theme(colours)
        self.banner.set_theme(colours)
        self.empty.set_theme(colours)

    @property
    def ready(self) -> bool:
        """Whether there is a model to ask."""
        return self._ready

    def show_problem(self, error: AsideError, stays: bool = False) -> None:
        """Say what happened and what to do, above the composer; for a while, or until it is dismissed."""
        self.banner.show_problem(error, stays)

    def begin(self) -> None:
        """A new conversation."""
        self._conductor.stop()
        self._conductor.brain.begin()
        self._archive.begin()
        self._show_nothing()
        self.composer.text.setFocus()

    def open(self, number: int) -> None:
        """Go on with an earlier conversation."""
        self._conductor.stop()
        self._archive.open(number, self._show_opened)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Called by Qt."""
        self.closed.emit()
        super().closeEvent(event)

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
        self._splitter = QSplitter()
        self._splitter.setHandleWidth(1)
        self._splitter.addWidget(self.side)
        self._splitter.addWidget(page)
        self._splitter.setStretchFactor(1, 1)
        self._splitter.setSizes([260, 820])
        self._splitter.setCollapsible(1, False)
        self.setCentralWidget(self._splitter)

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
        stack.addWidget(self.banner)
        stack.addWidget(self.composer)
        middle = QWidget()
        middle.setLayout(stack)
        middle.setMaximumWidth(_WIDEST + 2 * theme.WIDE)
        outer = QHBoxLayout()
        outer.setContentsMargins(theme.WIDE, 0, theme.WIDE, 0)
        outer.addStretch(1)
        outer.addWidget(middle, 100)
        outer.addStretch(1)
        return outer

    def _connect(self) -> None:
        self.side.begun.connect(self.begin)
        self.side.opened.connect(self.open)
        self.side.deleted.connect(self._conversation_deleted)
        self.header.side_button.clicked.connect(self._toggle_side)
        self.empty.chosen.connect(self._ask_example)
        self.side.preferences.connect(self.preferences)
        self.composer.asked.connect(self._conductor.ask)
        self.composer.stopped.connect(self._conductor.stop)
        self.composer.listen.connect(self._conductor.tap)
        self.composer.capture.connect(self.capture)
        self.composer.problem.connect(self.show_problem)
        self._conductor.changed.connect(self._show_state)
        self._conductor.asked.connect(self._show_question)
        self._conductor.understood.connect(self._show_understood)
        self._conductor.told.connect(self._show_told)
        self._conductor.problem.connect(self.show_problem)
        for keys, act in (
            ("Ctrl+N", self.begin),
            ("Ctrl+F", self._search),
            ("Ctrl+B", self._toggle_side),
            ("Ctrl+L", self.composer.text.setFocus),
            ("Ctrl+O", self.composer.choose),
            ("Ctrl+Space", self._conductor.tap),
            ("Ctrl+,", self.preferences.emit),
            ("Ctrl+Shift+C", self.copy_answer),
            ("Esc", self._conductor.stop),
            ("Ctrl+W", self.close),
        ):
            QShortcut(QKeySequence(keys), self).activated.connect(act)

    def copy_answer(self) -> None:
        """Put the last answer on the clipboard."""
        if self._answer:
            QApplication.clipboard().setText("".join(self._answer))

    def _ask_example(self, text: str) -> None:
        self.composer.text.setPlainText(text)
        self.composer.send()
        self.composer.text.setFocus()

    def _search(self) -> None:
        if not self.side.isVisible():
            self._toggle_side()
        self.side.search.setFocus()
        self.side.search.selectAll()

    def _toggle_side(self) -> None:
        self.side.setVisible(not self.side.isVisible())

    def _show_nothing(self) -> None:
        self.transcript.reset()
        self._answer = []
        self.header.title.setText(self.tr("New conversation"))
        self.side.set_current(0)
        self._pages.setCurrentIndex(0)

    def _show_opened(self, opened: Opened) -> None:
        self._conductor.brain.begin([one.said for one in opened.exchanges])
        self.transcript.reset()
        for place, one in enumerate(opened.exchanges):
            pictures = tuple(QImage.fromData(data) for data in one.question.pictures)
            self.transcript.add_question(-1 - place, one.words, pictures)
            self.transcript.append_answer(one.answer)
            if one.note:
                self.transcript.add_note(one.note)
        self._answer = [opened.exchanges[-1].answer] if opened.exchanges else []
        self._pages.setCurrentIndex(1)
        self._show_conversation(opened.conversation)

    def _show_conversation(self, conversation: Conversation) -> None:
        self.header.title.setText(conversation.title or self.tr("Untitled"))
        self.side.set_current(conversation.id)
        self.side.refresh()

    def _conversation_deleted(self, number: int) -> None:
        if number == self.side.current:
            self.begin()

    def _show_question(self, turn: int, question: Question) -> None:
        words = question.text or (self.tr("Listening back …") if question.sounds else "")
        pictures = tuple(QImage.fromData(data) for data in question.pictures)
        self.transcript.add_question(turn, words, pictures)
        self._answer = []
        self._pages.setCurrentIndex(1)
        self._archive.asked(turn, question, self._show_conversation)

    def _show_understood(self, turn: int, text: str) -> None:
        self.transcript.set_question(turn, text)
        self._archive.understood(turn, text, self._show_conversation)

    def _show_told(self, event: BrainEvent) -> None:
        match event:
            case brain.Loading(name):
                self._ready = False
                self.header.show_model(self.tr("Loading {name} …").replace("{name}", name), busy=True)
            case brain.Loaded(name, seconds):
                self._ready = True
                self._archive.model = name
                self.header.show_model(self.tr("{name} is ready").replace("{name}", name), ready=True)
                self.header.model.setToolTip(self.tr("Loaded in {s} s").replace("{s}", f"{seconds:.1f}"))
            case brain.LoadFailed(error):
                self._ready = False
                self.header.show_model(self.tr("No model"))
                self.show_problem(error)
            case brain.Working(_, progress):
                self._activity.setText(self._words(progress.stage))
                return
            case brain.Wrote(_, text):
                self._answer.append(text)
                self.transcript.append_answer(text)
                self._archive.told(event)
            case brain.Called(_, name, arguments):
                listed = ", ".join(f"{key} = {value}" for key, value in arguments.items())
                self.transcript.add_note(f"→ {name}: {listed}" if name else f"→ {listed}")
                self._archive.told(event)
            case brain.Answered():
                self.transcript.add_note(self._cost(event))
                self._archive.told(event)
            case brain.Failed(_, error):
                self.transcript.add_note(str(error))
                self._archive.told(event)
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

    def _cost(self, event: Answered) -> str:
        """A line for people who want to know how fast it was, and why it ended if not at its end."""
        parts: list[str] = []
        why = {
            "cancelled": self.tr("stopped"),
            "length": self.tr("cut: it was too long"),
            "repetition": self.tr("stopped: the model went in circles"),
            "context": self.tr("stopped: the conversation is full"),
        }
        if event.reason in why:
            parts.append(why[event.reason])
        if event.first is not None:
            parts.append(self.tr("first word after {s} s").replace("{s}", f"{event.first:.2f}"))
            decode = event.statistics.seconds.get("decode", 0.0)
            if decode > 0:
                speed = event.statistics.generated / decode
                parts.append(self.tr("{n} tokens a second").replace("{n}", f"{speed:.0f}"))
        return " · ".join(parts)
