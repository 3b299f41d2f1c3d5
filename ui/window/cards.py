"""Cards above the composer and in the pill: what a tool is about to do, and what rings.

A yes must be meant: no card takes the focus, Enter in the composer never reaches one, and for a moment after
it appeared, a click that was on its way somewhere else doesn't count.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from assistant.turn import State
from ui.look import icons, theme
from ui.look.theme import LIGHT, Theme
from ui.look.tool_words import told
from ui.look.translation import VERBATIM
from ui.work.events import Answered, Asks, BrainEvent, Called, Failed

_UNMEANT: Final = 600  # ms in which a yes is not taken
_ICONS: Final = {
    "set_timer": "clock",
    "set_alarm": "bell",
    "set_reminder": "bell",
    "set_light": "light",
    "set_temperature": "heat",
    "play_music": "music",
    "add_note": "note",
}


class Card(QFrame):
    """A sentence with an icon and buttons."""

    def __init__(self, icon: str, text: str, colours: Theme, *, low: bool = False) -> None:
        """``low``: the buttons stand beside the sentence."""
        super().__init__()
        self.setObjectName("request")
        self.setAccessibleName(text)
        self.setProperty(VERBATIM, True)
        self._name = icon
        self._icon = QLabel()
        self.text = QLabel(breakable(text))
        self.text.setProperty(VERBATIM, True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setWordWrap(True)
        self.text.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeading)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.small = QLabel()
        self.small.setProperty("kind", "small")
        self.small.setWordWrap(True)
        self._buttons = QHBoxLayout()
        self._buttons.setSpacing(theme.GAP)
        if not low:
            self._buttons.addWidget(self.small, 1)
        words = QHBoxLayout()
        words.setSpacing(theme.ROOM)
        across = Qt.AlignmentFlag.AlignVCenter if low else Qt.AlignmentFlag.AlignTop
        words.addWidget(self._icon, 0, across)
        words.addWidget(self.text, 1, Qt.AlignmentFlag.AlignVCenter)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.WIDE, theme.ROOM, theme.ROOM, theme.ROOM)
        column.setSpacing(theme.GAP)
        column.addLayout(words)
        (words if low else column).addLayout(self._buttons)
        self.set_theme(colours)

    def set_theme(self, colours: Theme) -> None:
        """The icon in the theme's colours."""
        self._icon.setPixmap(icons.icon(self._name, colours.accent).pixmap(theme.ICON, theme.ICON))

    def add_button(self, text: str, pressed: Callable[[], object], kind: str = "") -> QPushButton:
        """A button at the right end; Enter and Space press it while it has the focus."""
        button = QPushButton(text)
        button.setAutoDefault(True)
        button.setAccessibleName(f"{text}: {self.accessibleName()}")
        if kind:
            button.setProperty("kind", kind)
        button.clicked.connect(pressed)
        self._buttons.addWidget(button)
        return button


class Request(Card):
    """Asks whether a tool may do what it is about to do."""

    def __init__(self, asks: Asks, colours: Theme) -> None:
        super().__init__(
            _ICONS.get(asks.name, "aside"), told(asks.intent, asks.name, asks.arguments), colours
        )
        self.turn = asks.turn
        self._until = time.monotonic() + asks.patience
        self.deny = self.add_button(self.tr("Don't allow"), lambda: asks.answer(False), "plain")
        self.allow = self.add_button(self.tr("Allow"), lambda: asks.answer(True), "main")
        self.allow.setEnabled(False)
        QTimer.singleShot(_UNMEANT, self.allow, lambda: self.allow.setEnabled(True))
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._show_left)
        self._timer.start(1000)
        self._show_left()

    def _show_left(self) -> None:
        left = max(0, math.ceil(self._until - time.monotonic()))
        self.small.setText(self.tr("Without an answer, nothing is done in {s} s").replace("{s}", str(left)))


class Cards(QWidget):
    """All cards of one place, one below the other; hidden without any."""

    dismissed = Signal(str)
    """The person has heard what rings."""
    emptied = Signal()
    left = Signal()
    """A card that had the focus has gone."""

    def __init__(self) -> None:
        super().__init__()
        self._theme = LIGHT
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(theme.GAP)
        self._cards: dict[str, Card] = {}
        self.hide()

    @property
    def shown(self) -> list[Card]:
        """The oldest first."""
        return list(self._cards.values())

    def set_theme(self, colours: Theme) -> None:
        """For cards that are there and that will come."""
        self._theme = colours
        for card in self.shown:
            card.set_theme(colours)

    def tell(self, event: BrainEvent) -> None:
        """A request comes, or is over."""
        match event:
            case Asks():
                self._add(f"turn {event.turn}", Request(event, self._theme))
            case Called(turn) | Answered(turn) | Failed(turn):
                self.remove(f"turn {turn}")

    def show_state(self, state: State) -> None:
        """Requests of turns that were stopped are over."""
        for key, card in [*self._cards.items()]:
            if isinstance(card, Request) and (card.turn != state.turn or not state.writing):
                self.remove(key)

    def ring(self, key: str, text: str) -> None:
        """Something rings, until it is dismissed."""
        card = Card("bell", text, self._theme, low=True)
        card.add_button(self.tr("Dismiss"), lambda: self.dismissed.emit(key), "main")
        self._add(key, card)

    def remove(self, key: str) -> None:
        """Take a card away; one that there isn't doesn't matter."""
        card = self._cards.pop(key, None)
        if card is None:
            return
        focused = card.isAncestorOf(self.window().focusWidget())
        self._column.removeWidget(card)
        card.hide()
        card.deleteLater()
        if not self._cards:
            self.hide()
            self.emptied.emit()
        if focused:
            self.left.emit()

    def take_focus(self) -> None:
        """To the newest card's first button, which changes nothing; Tab goes on to the next."""
        if self._cards:
            self.shown[-1].findChildren(QPushButton)[0].setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _add(self, key: str, card: Card) -> None:
        self.remove(key)
        self._cards[key] = card
        self._column.addWidget(card)
        self.show()


def breakable(text: str, longest: int = 40) -> str:
    """Text with places where a long word may break, for labels, which only break between words."""
    words = text.split(" ")
    return " ".join(
        w if len(w) <= longest else "\u200b".join(w[i : i + longest] for i in range(0, len(w), longest))
        for w in words
    )
