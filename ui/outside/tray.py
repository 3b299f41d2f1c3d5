"""The icon in the tray: its colour is the state, its menu does what the hotkeys do."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QMenu, QSystemTrayIcon

from assistant.turn import Phase, State
from assistant.usage import Kind
from ui.look import icons
from ui.look.theme import LIGHT, Theme
from ui.window.lamps import said


class Tray(QObject):
    """Signals what is chosen in the menu."""

    show_window = Signal()
    listen = Signal()
    capture = Signal()
    look = Signal()
    hands_free = Signal(bool)
    stop = Signal()
    settings = Signal()
    end = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._theme = LIGHT
        self._phase = Phase.IDLE
        self._open: frozenset[Kind] = frozenset()
        self.menu = QMenu()
        """What the icon offers."""
        for text, signal in (
            (self.tr("Open Aside"), self.show_window),
            (self.tr("Speak"), self.listen),
            (self.tr("Ask about the screen"), self.capture),
            (self.tr("Ask about the camera"), self.look),
            (self.tr("Stop"), self.stop),
        ):
            self.menu.addAction(text).triggered.connect(signal)
        self._hands_free = self.menu.addAction(self.tr("Hands-free"))
        self._hands_free.setCheckable(True)
        self._hands_free.triggered.connect(self.hands_free)
        self.menu.addSeparator()
        self.menu.addAction(self.tr("Settings")).triggered.connect(self.settings)
        self.menu.addAction(self.tr("Quit")).triggered.connect(self.end)
        self._icon = QSystemTrayIcon()
        self._icon.setContextMenu(self.menu)
        self._icon.activated.connect(self._activated)
        self.set_theme(LIGHT)
        self._icon.show()

    @property
    def there(self) -> bool:
        """Whether the desktop shows the icon, so that the window may be closed."""
        return QSystemTrayIcon.isSystemTrayAvailable()

    @property
    def icon(self) -> QIcon:
        """What it shows now."""
        return self._icon.icon()

    def set_theme(self, colours: Theme) -> None:
        """The colours of the states."""
        self._theme = colours
        self._show()

    def show_state(self, state: State) -> None:
        """What goes on."""
        self._phase = state.phase
        self._hands_free.setChecked(state.hands_free)
        self._show()

    def show_open(self, now: frozenset[Kind]) -> None:
        """What of the machine is in use."""
        self._open = now
        self._show()

    def tell(self, text: str) -> None:
        """A message of the desktop."""
        self._icon.showMessage("Aside", text, self._icon.icon())

    def close(self) -> None:
        """Leave the tray."""
        self._icon.hide()
        self._icon.deleteLater()
        self.menu.deleteLater()

    def _show(self) -> None:
        name, colour, text = {
            Phase.IDLE: ("aside", self._theme.accent, "Aside"),
            Phase.LISTENING: ("microphone", self._theme.bad, self.tr("Aside is listening")),
            Phase.THINKING: ("aside", self._theme.warm, self.tr("Aside is thinking")),
            Phase.SPEAKING: ("speak", self._theme.good, self.tr("Aside is answering")),
        }[self._phase]
        self._icon.setIcon(icons.icon(name, colour))
        self._icon.setToolTip("\n".join([text, *map(said, sorted(self._open))]))

    def _activated(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason == QSystemTrayIcon.ActivationReason.Trigger:
            self.show_window.emit()
