"""The menu of a message: what can be done with it, with what came with it, and with what is selected."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from PySide6.QtWidgets import QMenu, QTextEdit

from ui.conversation.message_bar import ICONS, Act, acts, wording
from ui.conversation.sheet import Message
from ui.look import icons
from ui.look.theme import Theme


class MessageMenu(QMenu):
    """Of a view; ``offer`` and ``offer_chips`` add what there is to do. Goes when it is closed."""

    def __init__(self, view: QTextEdit, colours: Theme) -> None:
        super().__init__(view)
        self._theme = colours
        self.aboutToHide.connect(self.deleteLater)
        if view.textCursor().hasSelection():
            self._add("copy", self.tr("Copy selection"), view.copy)
            self.addSeparator()

    def offer(self, message: Message, live: bool, do: Callable[[Act, Message], object]) -> None:
        """What can be done with it; ``live``: its answer is being written or spoken."""
        for act in acts(message, live):
            self._add(ICONS[act], wording(act), partial(do, act, message))

    def offer_chips(
        self, turn: int, chips: Iterable[tuple[int, bool]], open_one: Callable[[int, int], object]
    ) -> None:
        """Its pictures and recordings, each a number and whether it is heard rather than seen."""
        for number, heard in chips:
            text = self.tr("Play recording ({n})") if heard else self.tr("Open picture ({n})")
            act = partial(open_one, turn, number)
            self._add("play" if heard else "picture", text.replace("{n}", str(number + 1)), act)

    def _add(self, icon: str, text: str, act: Callable[[], object]) -> None:
        self.addAction(icons.icon(icon, self._theme.text), text, act)
