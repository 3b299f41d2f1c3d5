"""A field that takes a combination of keys by pressing it."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QPushButton, QWidget

_MODIFIERS: Final = (
    (Qt.KeyboardModifier.ControlModifier, "Ctrl"),
    (Qt.KeyboardModifier.AltModifier, "Alt"),
    (Qt.KeyboardModifier.ShiftModifier, "Shift"),
    (Qt.KeyboardModifier.MetaModifier, "Super"),
)
_ALONE: Final = (
    Qt.Key.Key_Control,
    Qt.Key.Key_Alt,
    Qt.Key.Key_AltGr,
    Qt.Key.Key_Shift,
    Qt.Key.Key_Meta,
    Qt.Key.Key_Super_L,
    Qt.Key.Key_Super_R,
    Qt.Key.Key_unknown,
)
_NAMES: Final = {
    "PgUp": "PageUp",
    "PgDown": "PageDown",
    "Ins": "Insert",
    "Del": "Delete",
    "Esc": "Escape",
    "Enter": "Return",
    "Backtab": "Tab",
}


class KeyField(QPushButton):
    """Click it or press Space, then the keys. Backspace takes them away, Esc leaves them as they were."""

    taking = Signal(bool)
    """Whether it waits for keys."""
    pressed_keys = Signal(str)
    """What was pressed, such as ``Ctrl+Alt+Space``; "" is none."""

    _taking = False  # Qt asks `event` while the button is being made

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", "quiet")
        self.setMinimumWidth(190)
        self._keys = ""
        self.clicked.connect(self._begin)

    def show_keys(self, keys: str) -> None:
        """The combination as it is."""
        self._keys = keys
        self.setText(keys.replace("+", " + ") or self.tr("None"))

    def event(self, event: QEvent) -> bool:
        """Called by Qt: while it waits, no shortcut and no Tab gets a key before it."""
        if self._taking and isinstance(event, QKeyEvent):
            if event.type() == QEvent.Type.KeyPress:
                self._press(event)
            event.accept()
            return True
        return super().event(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Called by Qt."""
        self._end()
        super().focusOutEvent(event)

    def _begin(self) -> None:
        self._taking = True
        self.setText(self.tr("Press the keys …"))
        self.grabKeyboard()  # otherwise a program that has the combination would get it
        self.taking.emit(True)

    def _end(self) -> None:
        if self._taking:
            self._taking = False
            self.releaseKeyboard()
            self.show_keys(self._keys)
            self.taking.emit(False)

    def _press(self, event: QKeyEvent) -> None:
        if event.key() in _ALONE:
            return
        held = [name for modifier, name in _MODIFIERS if event.modifiers() & modifier]
        if not held and event.key() in (Qt.Key.Key_Escape, Qt.Key.Key_Backspace):
            keys = "" if event.key() == Qt.Key.Key_Backspace else self._keys
        else:
            name = QKeySequence(event.key()).toString(QKeySequence.SequenceFormat.PortableText)
            keys = "+".join([*held, _NAMES.get(name, name)])
        changed = keys != self._keys
        self._end()
        if changed:
            self.pressed_keys.emit(keys)
