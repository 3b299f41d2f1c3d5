"""Which camera, and what it sees: open while the preview is, no longer than the page is in sight."""

from __future__ import annotations

from functools import partial
from typing import Final

from PySide6.QtCore import QTimer

from assistant.media.camera import Camera, cameras
from assistant.settings import Settings
from assistant.usage import Usage
from models.errors import AsideError
from ui.gate import Gate
from ui.look import theme
from ui.look.form import Page, button
from ui.settings.choices import Choices
from ui.window.camera import Slot, View

_TICK: Final = 33  # ms


class CameraPage(Page):
    """Lists the cameras whenever it comes into sight."""

    def __init__(self, choices: Choices, gate: Gate, usage: Usage) -> None:
        super().__init__(choices, self.tr("Camera"))
        self._gate, self._usage = gate, usage
        self._slot: Slot | None = None
        self._camera: Camera | None = None
        card = self.card()
        self.switch(card, "privacy.camera", self.tr("The camera may be used"))
        self.source = self.picker(
            card, "camera.source", self.tr("Camera"), [("", self.tr("The first camera"))]
        )
        self.address = self.line(
            card,
            "camera.source",
            self.tr("Or something else"),
            self.tr("A video file, or the address of a stream such as rtsp://camera.local/live."),
            "rtsp://camera.local/live",
        )
        self.test = button(self.tr("Test"))
        self.test.setAccessibleName(self.tr("Test the camera"))
        self.test.clicked.connect(lambda: self.stop() if self._slot is not None else self.start())
        self._row = card.row(self.tr("What the camera sees"), self.test)
        self.view = View()
        self.view.hide()
        self._row.column.addWidget(self.view)
        self._row.column.setSpacing(theme.ROOM)
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK)
        self._timer.timeout.connect(self._look)
        choices.changed.connect(self._changed)

    def arrive(self) -> None:
        """List the cameras, without opening any."""
        found = [(one.source, one.name) for one in cameras()]
        self.source.offer([("", self.tr("The first camera")), *found], self.choices.now.camera.source)

    def leave(self) -> None:
        """No camera stays open."""
        self.stop()

    def start(self) -> None:
        """Open it."""
        self.stop()
        if not self.choices.now.privacy.camera:
            self._row.fail(self.tr("The camera is switched off."))
            return
        slot = self._slot = Slot()
        source, usage = self.choices.now.camera.source, self._usage
        self.view.tell(self.tr("Opening the camera …"))
        self.view.show()
        self.test.setText(self.tr("Stop"))

        def work() -> Camera:
            camera = Camera(source, usage, slot.cancel)
            slot.put(camera)
            return camera

        self._gate.run(work, partial(self._opened, slot), partial(self._not_opened, slot))

    def stop(self) -> None:
        """Close it."""
        slot, self._slot, self._camera = self._slot, None, None
        self._timer.stop()
        self._row.fail("")
        self.view.hide()
        self.test.setText(self.tr("Test"))
        if slot is not None:
            slot.cancel.set()
            self._gate.run(slot.close)

    def _opened(self, slot: Slot, camera: Camera) -> None:
        if slot is self._slot:
            self._camera = camera
            self._timer.start()

    def _not_opened(self, slot: Slot, error: AsideError) -> None:
        if slot is self._slot:
            self.stop()
            self._row.fail(error)

    def _look(self) -> None:
        if self._camera is not None:
            try:
                self.view.show_frame(self._camera.newest())
            except AsideError as error:
                self.stop()
                self._row.fail(error)

    def _changed(self, now: Settings, before: Settings) -> None:
        if now.camera != before.camera:
            self.arrive()
        if self._slot is not None and (now.camera, now.privacy) != (before.camera, before.privacy):
            self.start()
