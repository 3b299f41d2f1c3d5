"""Text of an answer on its way to the sheet: a little at a time, so that no frame is lost."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QObject, QTimer, Signal

from ui.conversation.sheet import Sheet

_AT_ONCE: Final = 2000  # characters inserted between two looks at the event queue
_PAUSE: Final = 16  # ms between two insertions


class Flow(QObject):
    """Belongs to the GUI thread."""

    settled = Signal()
    """All text that was given is in the sheet."""

    def __init__(self, sheet: Sheet, parent: QObject) -> None:
        super().__init__(parent)
        self._sheet = sheet
        self._pending: list[str] = []
        self._timer = QTimer(self)
        self._timer.setInterval(_PAUSE)
        self._timer.timeout.connect(self._insert)

    def push(self, text: str) -> None:
        """Some more, which is seen at once if nothing is waiting."""
        self._pending.append(text)
        if not self._timer.isActive():
            self._insert()
            self._timer.start()

    def finish(self) -> None:
        """Insert all that is waiting, now."""
        while self._pending:
            self._insert()

    def drop(self) -> None:
        """Forget what is waiting."""
        self._timer.stop()
        self._pending.clear()

    def _insert(self) -> None:
        if not self._pending:
            self._timer.stop()
            self.settled.emit()
            return
        text = "".join(self._pending)
        self._pending = [text[_AT_ONCE:]] if len(text) > _AT_ONCE else []
        self._sheet.append(text[:_AT_ONCE])
