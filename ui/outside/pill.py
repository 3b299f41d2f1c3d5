"""The pill: small, always on top, never in the way of the keyboard. What is heard, said and answered."""

from __future__ import annotations

from collections import deque
from typing import Final

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QCursor,
    QGuiApplication,
    QHideEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QRegion,
)
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLayout, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from assistant.turn import Phase, State
from ui.look import icons, theme
from ui.look.theme import LIGHT, Theme
from ui.outside.windows import composited
from ui.window.cards import Cards, breakable
from ui.work.events import BrainEvent

_WIDTH: Final = 520  # logical pixels
_BARS: Final = 24
_TAIL: Final = 280  # characters of the answer that are shown
_FRAME: Final = 16  # ms between two layouts of the answer
_STAYS: Final = 6000  # ms after the last word
_QUIET, _LOUD = -60.0, -12.0  # dBFS: no bar, and a full one


class Level(QWidget):
    """The last second of the microphone's level as bars."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(_BARS * 4, theme.LARGE)
        self.colour = LIGHT.accent
        self._bars: deque[float] = deque([0.0] * _BARS, maxlen=_BARS)
        self.setAccessibleName(self.tr("Level of the microphone"))

    def push(self, dbfs: float) -> None:
        """The level now."""
        self._bars.append(min(1.0, max(0.0, (dbfs - _QUIET) / (_LOUD - _QUIET))))
        self.update()

    def reset(self) -> None:
        """Silence."""
        self._bars.extend([0.0] * _BARS)
        self.update()

    def hideEvent(self, event: QHideEvent) -> None:
        """Called by Qt: what puts windows together may be another one the next time."""
        super().hideEvent(event)
        self._see_through = composited()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Called by Qt."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(self.colour), 2.4, c=Qt.PenCapStyle.RoundCap))
        middle = self.height() / 2
        for place, value in enumerate(self._bars):
            half = 0.5 + value * (middle - 2)
            x = 4.0 * place + 2
            painter.drawLine(QPointF(x, middle - half), QPointF(x, middle + half))


class Pill(QWidget):
    """Shows itself while something goes on, and hides a little later."""

    stopped = Signal()
    opened = Signal()
    """The person wants the window."""

    def __init__(self) -> None:
        super().__init__(
            None,
            Qt.WindowType.Tool
            | Qt.WindowType.FramelessWindowHint
            | Qt.WindowType.WindowStaysOnTopHint
            | Qt.WindowType.WindowDoesNotAcceptFocus
            | Qt.WindowType.BypassWindowManagerHint,  # some give every new window the focus
        )
        self.setWindowTitle(self.tr("Aside is listening"))
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        self.setAttribute(Qt.WidgetAttribute.WA_ShowWithoutActivating)
        self.setFixedWidth(_WIDTH)
        self._theme = LIGHT
        self._phase = Phase.IDLE
        self._see_through: bool | None = None  # not known yet
        self._turn = 0
        self._old = False  # the texts are those of the answer before, until something is said
        self._said = ""
        self._icon = QLabel()
        self._state = QLabel()
        self._state.setProperty("kind", "small")
        self.level = Level()
        self.cards = Cards()
        self.cards.setContentsMargins(0, theme.SMALL, 0, 0)
        self._question, self._answer = QLabel(), QLabel()
        for label in (self._question, self._answer):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self._question.setProperty("kind", "faint")
        self._question.setAccessibleName(self.tr("What was heard"))
        self._answer.setAccessibleName(self.tr("Answer"))
        self.stop_button, self.open_button = QToolButton(), QToolButton()
        for button, text, signal in (
            (self.open_button, self.tr("Open the window"), self.opened),
            (self.stop_button, self.tr("Stop (Esc)"), self.stopped),
        ):
            button.setIconSize(QSize(theme.ICON, theme.ICON))
            button.setFixedSize(theme.BUTTON, theme.BUTTON)
            button.setAccessibleName(text)
            button.setToolTip(text)
            button.clicked.connect(signal)
        row = QHBoxLayout()
        row.setSpacing(theme.GAP)
        for widget in (self._icon, self._state, self.level):
            row.addWidget(widget)
        row.addStretch()
        row.addWidget(self.open_button)
        row.addWidget(self.stop_button)
        column = self._column = QVBoxLayout(self)
        column.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)  # Qt's is for narrower texts
        column.setContentsMargins(theme.WIDE, theme.GAP, theme.ROOM, theme.ROOM)
        column.setSpacing(theme.SMALL)
        column.addLayout(row)
        column.addWidget(self._question)
        column.addWidget(self._answer)
        column.addWidget(self.cards)
        self._due = QTimer(self)  # words come faster than anybody sees
        self._due.setSingleShot(True)
        self._due.setInterval(_FRAME)
        self._due.timeout.connect(self._show_texts)
        self._hide = QTimer(self)
        self._hide.setSingleShot(True)
        self._hide.setInterval(_STAYS)
        self._hide.timeout.connect(self._hide_unless_needed)
        self.cards.emptied.connect(self._cards_emptied)
        self._show_texts()

    def prepare(self) -> None:
        """Do what takes long before it has to come up: the key is held, and somebody speaks."""
        if self._see_through is None:
            self._see_through = composited()
            self.ensurePolished()
            self.create()
            self._fit()

    def set_theme(self, colours: Theme) -> None:
        """Icons in the theme's colours."""
        self._theme = colours
        self.level.colour = colours.accent
        self.cards.set_theme(colours)
        self.open_button.setIcon(icons.icon("window", colours.text))
        self.stop_button.setIcon(icons.icon("close", colours.text))
        self._show_icon()
        self.update()

    def show_state(self, state: State) -> None:
        """What goes on. A typed question doesn't bring the pill up; speech does."""
        began = state.turn != self._turn
        if began:
            self._old = state.hands_free and state.phase is Phase.LISTENING
            if not self._old:
                self._clear()
        if state.phase is Phase.LISTENING and self._phase is not Phase.LISTENING:
            self.level.reset()
            self._bring_up()
        elif began:
            self._hide_unless_needed()
        self._phase, self._turn = state.phase, state.turn
        self._state.setText(
            {
                Phase.IDLE: self.tr("Done"),
                Phase.LISTENING: self.tr("Listening"),
                Phase.THINKING: self.tr("Thinking"),
                Phase.SPEAKING: self.tr("Answering"),
            }[state.phase]
        )
        self.level.setVisible(state.phase is Phase.LISTENING)
        self._show_icon()
        if state.phase is Phase.IDLE:
            self._hide.start()
        else:
            self._hide.stop()

    @property
    def said(self) -> str:
        """The answer as it stands there."""
        return self._answer.text()

    def show_question(self, text: str) -> None:
        """What was understood so far."""
        if self._old:
            self._clear()
        self._question.setText(text)
        self._show_texts()

    def show_activity(self, text: str) -> None:
        """What takes long, until the next step."""
        self._state.setText(f"{self._state.text()} – {text}")
        self._fit()

    def add_answer(self, text: str) -> None:
        """Some more of the answer: its end is shown."""
        if self._old:
            self._clear()
        self._said += text
        if len(self._said) > 4 * _TAIL:
            self._said = self._said[-2 * _TAIL :]
        if not self._due.isActive():
            self._due.start()

    def show_note(self, text: str) -> None:
        """A problem, or what a tool is to do."""
        self._said = text
        self._show_texts()

    def tell(self, event: BrainEvent) -> None:
        """What a tool is to do while the person looks elsewhere."""
        self.cards.tell(event)
        self._show_texts()

    def ring(self, key: str, text: str) -> None:
        """Something rings: come up with a card."""
        self.cards.ring(key, text)
        if self.isVisible():
            self._show_texts()
        else:
            self._said = ""
            self._question.clear()
            self._state.setText("Aside")
            self.level.hide()
            self._show_texts()
            self._bring_up()

    def event(self, event: QEvent) -> bool:
        """Called by Qt: as high as what is in it, whenever that changes."""
        done = super().event(event)
        if event.type() is QEvent.Type.LayoutRequest:
            self._fit()
        return done

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Called by Qt: a rounded ground with a fine line."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(self._theme.line), 1))
        painter.setBrush(QColor(self._theme.raised))
        box = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.drawRoundedRect(box, theme.LARGE, theme.LARGE)

    def _clear(self) -> None:
        self._said, self._old = "", False
        self._question.clear()
        self._show_texts()

    def _show_texts(self) -> None:
        tail = self._said if len(self._said) <= _TAIL else "…" + self._said[-_TAIL:]
        self._answer.setText(breakable(tail.strip()))
        self._question.setVisible(bool(self._question.text()))
        self._answer.setVisible(bool(tail.strip()))
        self._fit()

    def _fit(self) -> None:
        bottom, before = self.geometry().bottom(), self.size()
        column = self._column  # without a text to wrap, its height doesn't depend on its width
        wraps = column.hasHeightForWidth()
        self.resize(_WIDTH, column.totalHeightForWidth(_WIDTH) if wraps else column.totalSizeHint().height())
        if self.isVisible():
            self.move(self.x(), bottom - self.height() + 1)
        if self._see_through is False and (self.size() != before or self.mask().isEmpty()):
            outline = QPainterPath()
            outline.addRoundedRect(QRectF(self.rect()), theme.LARGE, theme.LARGE)
            self.setMask(QRegion(outline.toFillPolygon().toPolygon()))

    def _hide_unless_needed(self) -> None:
        self.setVisible(bool(self.cards.shown))

    def _cards_emptied(self) -> None:
        self._show_texts()
        if self._phase is Phase.IDLE and not self._hide.isActive():
            self.hide()

    def _show_icon(self) -> None:
        name = {Phase.LISTENING: "microphone", Phase.SPEAKING: "speak"}.get(self._phase, "aside")
        colour = self._theme.bad if self._phase is Phase.LISTENING else self._theme.accent
        self._icon.setPixmap(icons.icon(name, colour).pixmap(theme.ICON, theme.ICON))

    def _bring_up(self) -> None:
        """At the bottom of the screen where the pointer is."""
        screen = QGuiApplication.screenAt(QCursor.pos()) or QGuiApplication.primaryScreen()
        room = screen.availableGeometry()
        self.prepare()
        self._fit()
        self.move(room.center().x() - _WIDTH // 2, room.bottom() - self.height() - theme.HUGE)
        self.show()
        self.raise_()
