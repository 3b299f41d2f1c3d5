"""Takes pictures of the application while it is brought into one state after another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtGui import QCursor
from PySide6.QtWidgets import QApplication, QWidget

from models.errors import EngineError
from ui.app import Desktop
from ui.window.cards import Request
from ui.work import brain
from ui.work.question import Question

_PATIENCE: Final = 120_000  # ms for one screen
_SETTLE: Final = 250  # ms for layouts, fades and the cursor


class Photographer:
    """Of one ``desktop``, into a folder; the ``suffix`` of the names says theme and language."""

    def __init__(self, qt: QApplication, desktop: Desktop, folder: Path, suffix: str) -> None:
        self.qt, self.desktop = qt, desktop
        self._folder, self._suffix = folder, suffix
        self.made: list[Path] = []

    def ask(self, question: Question) -> None:
        """A real question to the real model."""
        conductor = self.desktop.conductor
        ended: list[brain.BrainEvent] = []
        conductor.told.connect(ended.append)
        conductor.ask(question)
        cards = self.desktop.window.cards

        def over() -> bool:
            return any(isinstance(event, brain.Answered | brain.Failed) for event in ended)

        self.wait(lambda: over() or cards.shown)
        if cards.shown and isinstance(cards.shown[0], Request):
            self.wait(cards.shown[0].allow.isEnabled)
            self.shoot(self.desktop.window, "tool-card")
            cards.shown[0].allow.click()
        self.wait(over)
        conductor.told.disconnect(ended.append)

    def shoot(self, widget: QWidget, name: str) -> None:
        """A window alone."""
        QCursor.setPos(widget.screen().geometry().bottomRight())  # nothing is under the mouse
        self.pause(_SETTLE)
        path = self._folder / f"{name}-{self._suffix}.png"
        widget.grab().save(str(path))
        self.made.append(path)

    def shoot_over(self, widget: QWidget, popup: QWidget | None, name: str) -> None:
        """A window with a menu or a dialog that lies over it, as the screen shows them; then it is closed."""
        QCursor.setPos(widget.screen().geometry().bottomRight())
        self.pause(_SETTLE)
        path = self._folder / f"{name}-{self._suffix}.png"
        corner, size = widget.mapToGlobal(widget.rect().topLeft()), widget.size()
        screen = widget.screen()
        corner -= screen.geometry().topLeft()
        screen.grabWindow(0, corner.x(), corner.y(), size.width(), size.height()).save(str(path))
        self.made.append(path)
        if popup is not None:
            popup.close()
        self.pause(_SETTLE)

    def wait(self, condition: Callable[[], Any]) -> None:
        """Let Qt work until it is true. Raises EngineError."""
        for _ in range(_PATIENCE // 20):
            if condition():
                return
            self.pause(20)
        raise EngineError("The model did not answer in time.", "Try it on a quiet machine.")

    @staticmethod
    def pause(milliseconds: int) -> None:
        """Let Qt work for so long."""
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()
