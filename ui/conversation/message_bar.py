"""What can be done with a message, and the small bar of buttons for it."""

from __future__ import annotations

from enum import Enum
from functools import partial
from typing import Final

from PySide6.QtCore import QCoreApplication, QSize, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QToolButton, QWidget

from ui.conversation.sheet import Message
from ui.look import icons, theme
from ui.look.theme import LIGHT, Theme


class Act(Enum):
    """What a person can do with a question or an answer."""

    COPY = "copy"
    EDIT = "edit"
    AGAIN = "again"
    SPEAK = "speak"
    STOP = "stop"


ICONS: Final = {
    Act.COPY: "copy",
    Act.EDIT: "edit",
    Act.AGAIN: "again",
    Act.SPEAK: "speak",
    Act.STOP: "stop",
}


def wording(act: Act) -> str:
    """In the person's language."""
    return {
        Act.COPY: QCoreApplication.translate("Message", "Copy"),
        Act.EDIT: QCoreApplication.translate("Message", "Edit and send again"),
        Act.AGAIN: QCoreApplication.translate("Message", "Ask again"),
        Act.SPEAK: QCoreApplication.translate("Message", "Speak again"),
        Act.STOP: QCoreApplication.translate("Message", "Stop"),
    }[act]


def acts(message: Message, live: bool) -> tuple[Act, ...]:
    """What can be done with a message; ``live``: its answer is being written or spoken."""
    if not message.answer:
        return Act.COPY, Act.EDIT, Act.AGAIN
    return (Act.STOP, Act.COPY) if live else (Act.COPY, Act.SPEAK, Act.AGAIN)


class MessageBar(QFrame):
    """Shown at the message under the mouse or the keyboard."""

    wanted = Signal(Act, Message)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("bar")
        self._theme = LIGHT
        self._message = Message(0, False)
        row = QHBoxLayout(self)
        row.setContentsMargins(1, 1, 1, 1)
        row.setSpacing(0)
        self.buttons: dict[Act, QToolButton] = {}
        for act in Act:
            button = QToolButton()
            button.setIconSize(QSize(theme.WIDE, theme.WIDE))
            button.setFixedSize(theme.BUTTON - theme.GAP, theme.BUTTON - theme.GAP)
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the keyboard has the menu
            button.setToolTip(wording(act))
            button.setAccessibleName(wording(act))
            button.clicked.connect(partial(self._click, act))
            row.addWidget(button)
            self.buttons[act] = button
        self.hide()

    def set_theme(self, colours: Theme) -> None:
        """Icons in the theme's colours."""
        self._theme = colours
        for act, button in self.buttons.items():
            button.setIcon(icons.icon(ICONS[act], colours.text))

    def show_for(self, message: Message, live: bool) -> None:
        """The buttons for a message."""
        self._message = message
        for act, button in self.buttons.items():
            button.setVisible(act in acts(message, live))
        self.adjustSize()

    def _click(self, act: Act) -> None:
        self.hide()
        self.wanted.emit(act, self._message)
