"""How pages of settings are laid out: a title, cards, and rows of what a setting is with what changes it.

A row bound to a key shows the setting as it is, keeps what a person chooses at once, and when that is refused
says why below and shows the old value again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import shiboken6
from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from assistant.settings import Settings
from models.errors import AsideError
from ui.look import error_words, theme
from ui.look.controls import Picker, Segments, Switch
from ui.look.theme import LIGHT, Theme
from ui.settings.choices import Choices

T = TypeVar("T")

_WIDEST: Final = 680  # logical pixels of a card
_NAME: Final = 150  # of what a fact is called
_LOWEST: Final = 56  # of a row


def alive(widget: QWidget, act: Callable[[T], Any]) -> Callable[[T], None]:
    """For results that may come when the page is gone: then nothing happens."""

    def go(result: T) -> None:
        if shiboken6.isValid(widget):
            act(result)

    return go


def label(text: str = "", kind: str = "") -> QLabel:
    """Plain text that breaks its lines."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(True)
    made.setMinimumWidth(1)
    if kind:
        made.setProperty("kind", kind)
    return made


def button(text: str, kind: str = "quiet") -> QPushButton:
    """A button that is as wide as its words."""
    made = QPushButton(text)
    made.setProperty("kind", kind)
    made.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
    return made


class Row(QWidget):
    """What it is, a few words about it, its control, and below what is wrong with it."""

    def __init__(self, text: str, control: QWidget | None = None, hint: str = "") -> None:
        super().__init__()
        self.name = label(text)
        self._hint = label(hint, "small")
        self._hint.setVisible(bool(hint))
        self._problem = label("", "problem")
        self._problem.hide()
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self.name)
        words.addWidget(self._hint)
        words.addWidget(self._problem)
        self._control = control
        self._line = line = QHBoxLayout()
        line.setSpacing(theme.WIDE)
        line.addLayout(words, 1)
        self.column = QVBoxLayout(self)
        """More of the row may be added here, below."""
        self.column.setContentsMargins(theme.WIDE, theme.GAP, theme.WIDE, theme.GAP)
        self.column.setSpacing(theme.GAP)
        self.column.addLayout(line)
        self.setMinimumHeight(_LOWEST)
        if control is not None:
            line.addWidget(control, 0, Qt.AlignmentFlag.AlignVCenter)
            if not control.accessibleName():
                control.setAccessibleName(text)
            control.setAccessibleDescription(hint)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Called by Qt."""
        super().resizeEvent(event)
        self._arrange()

    def changeEvent(self, event: QEvent) -> None:
        """Called by Qt: other letters need other room."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._arrange()

    def _arrange(self) -> None:
        """A control that would leave no room for the longest word stands below the words."""
        if self._control is None:
            return
        letters = self.name.fontMetrics()
        longest = max(map(letters.horizontalAdvance, self.name.text().split()), default=0)
        room = self.width() - 3 * theme.WIDE - self._control.sizeHint().width()
        down = room < longest
        way = QBoxLayout.Direction.TopToBottom if down else QBoxLayout.Direction.LeftToRight
        if self._line.direction() != way:
            self._line.setDirection(way)
            self._line.setSpacing(theme.GAP if down else theme.WIDE)
            side = Qt.AlignmentFlag.AlignLeft if down else Qt.AlignmentFlag(0)
            self._line.setAlignment(self._control, Qt.AlignmentFlag.AlignVCenter | side)

    @property
    def problem(self) -> str:
        """What is wrong, as it is shown; "" is nothing."""
        return "" if self._problem.isHidden() else self._problem.text()

    @property
    def hint(self) -> str:
        """The words about it, as they are shown."""
        return self._hint.text()

    def say(self, hint: str) -> None:
        """Other words about it."""
        self._hint.setText(hint)
        self._hint.setVisible(bool(hint))

    def fail(self, error: AsideError | str) -> None:
        """Show what is wrong; "" is nothing."""
        self._problem.setText(error_words.told(error) if isinstance(error, AsideError) else error)
        self._problem.setVisible(bool(str(error)))


class Card(QFrame):
    """Rows that belong together, with lines between them."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, theme.SMALL, 0, theme.SMALL)
        self._column.setSpacing(0)

    def add(self, widget: QWidget) -> None:
        """One more row."""
        if self._column.count():
            line = QFrame()
            line.setObjectName("line")
            line.setFixedHeight(1)
            self._column.addWidget(line)
        self._column.addWidget(widget)

    def fact(self, name: str, value: str) -> None:
        """A line that says what something is; it can be selected."""
        made = QWidget()
        line = QHBoxLayout(made)
        line.setContentsMargins(theme.WIDE, theme.GAP, theme.WIDE, theme.GAP)
        line.setSpacing(theme.WIDE)
        left = label(name, "faint")
        left.setFixedWidth(_NAME)
        right = label(value)
        right.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        line.addWidget(left, 0, Qt.AlignmentFlag.AlignTop)
        line.addWidget(right, 1)
        self.add(made)

    def clear(self) -> None:
        """No rows."""
        while (item := self._column.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()

    def row(self, text: str, control: QWidget | None = None, hint: str = "") -> Row:
        """Add one that is bound to nothing."""
        made = Row(text, control, hint)
        self.add(made)
        return made


class _Inside(QWidget):
    """Is as high as its texts are at its width; Qt would have it as high as they are at a narrow one."""

    def minimumSizeHint(self) -> QSize:
        """Called by Qt."""
        return QSize(super().minimumSizeHint().width(), 0)


class Page(QScrollArea):
    """One page. `arrive` and `leave` are called when it comes into sight and goes out of it."""

    def __init__(self, choices: Choices, title: str, about: str = "", widest: int = _WIDEST) -> None:
        super().__init__()
        self.choices = choices
        self.title = title
        self.colours = LIGHT
        self.rows: dict[str, Row] = {}
        """Those that are bound, by their keys."""
        self._shows: list[tuple[str, Row, Callable[[Any], None]]] = []
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inside = _Inside()
        inside.setObjectName("conversation")
        inside.setMaximumWidth(widest + 2 * theme.LARGE)
        self._column = QVBoxLayout(inside)
        self._column.setContentsMargins(theme.LARGE, theme.LARGE, theme.LARGE, theme.LARGE)
        self._column.setSpacing(theme.GAP)
        self._column.addWidget(label(title, "heading"))
        if about:
            self._column.addWidget(label(about, "faint"))
        self._column.addSpacing(theme.GAP)
        self._column.addStretch(1)
        self.setWidget(inside)
        choices.changed.connect(self._show_settings)

    def arrive(self) -> None:
        """It is in sight."""

    def leave(self) -> None:
        """It is out of sight: whatever was open for it is closed."""

    def set_theme(self, colours: Theme) -> None:
        """Colours of what draws itself."""
        self.colours = colours
        for switch in self.findChildren(Switch):
            switch.set_theme(colours)
        for picker in self.findChildren(Picker):
            picker.set_theme(colours)

    def add(self, widget: QWidget) -> None:
        """Put something at the end."""
        self._column.insertWidget(self._column.count() - 1, widget)

    def card(self, title: str = "") -> Card:
        """A new card at the end."""
        if title:
            self._column.insertSpacing(self._column.count() - 1, theme.GAP)
            self.add(label(title, "section"))
        made = Card()
        self.add(made)
        return made

    def bind(self, key: str, row: Row, show: Callable[[Any], None]) -> Callable[[Any], None]:
        """Have ``show`` show the setting now and whenever it changes; returns what keeps another value."""
        self.rows[key] = row
        self._shows.append((key, row, show))
        show(self.choices.now.get(key))

        def keep(value: Any) -> None:
            row.fail("")
            if value != self.choices.now.get(key):
                self.choices.change({key: value}, alive(self, refused))

        def refused(error: AsideError) -> None:
            row.fail(error)
            show(self.choices.now.get(key))

        return keep

    def switch(self, card: Card, key: str, text: str, hint: str = "") -> Switch:
        """A row with a switch."""
        made = Switch()
        made.clicked.connect(self.bind(key, card.row(text, made, hint), made.setChecked))
        return made

    def picker(
        self, card: Card, key: str, text: str, options: Sequence[tuple[Any, str]], hint: str = ""
    ) -> Picker:
        """A row with a list to choose from."""
        made = Picker()
        made.offer(options, self.choices.now.get(key))
        made.picked.connect(self.bind(key, card.row(text, made, hint), made.show_value))
        return made

    def segments(
        self, card: Card, key: str, text: str, options: Sequence[tuple[Any, str]], hint: str = ""
    ) -> Segments:
        """A row with all options in sight."""
        made = Segments(options)
        made.picked.connect(self.bind(key, card.row(text, made, hint), made.show_value))
        return made

    def line(self, card: Card, key: str, text: str, hint: str = "", empty: str = "") -> QLineEdit:
        """A row with a line of text, kept when it is complete; ``empty`` stands where nothing is written."""
        made = QLineEdit()
        made.setPlaceholderText(empty)
        made.setAccessibleName(text)
        row = card.row(text, None, hint)
        row.column.addWidget(made)
        keep = self.bind(key, row, made.setText)
        made.editingFinished.connect(lambda: keep(made.text()))
        return made

    def _show_settings(self, now: Settings, before: Settings) -> None:
        for key, row, show in self._shows:
            if now.get(key) != before.get(key):
                row.fail("")
                show(now.get(key))
