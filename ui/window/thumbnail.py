"""What waits in the composer as small frames: pictures, recordings, documents, also while they are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import QFrame, QLabel, QToolButton

from assistant.media.document import Document
from assistant.media.sound import Sound
from ui.look import icons, theme
from ui.look.controls import tip
from ui.look.theme import Theme

SIDE: Final = 56  # logical pixels
WIDE: Final = 176  # of a document, which has its pages written beside it

Medium = bytes | Sound | Document


class Thumbnail(QFrame):
    """A medium that will be sent, with a button to take it away."""

    def __init__(self, medium: Medium, name: str, remove: Callable[[], None], colours: Theme) -> None:
        super().__init__()
        self.setObjectName("thumbnail")
        self.setToolTip(tip(name))
        self._colours = colours
        wide = isinstance(medium, Document)
        self.setFixedSize((WIDE if wide else SIDE) + 2 * theme.SMALL, SIDE + 2 * theme.SMALL)
        shown = QLabel(self)
        shown.setAlignment(Qt.AlignmentFlag.AlignCenter)
        shown.setGeometry(theme.SMALL, theme.SMALL, SIDE, SIDE)
        picture = medium if isinstance(medium, bytes) else b""
        if isinstance(medium, Document) and medium.pictures:
            picture = medium.pictures[0]
        if picture:
            ratio = self.devicePixelRatioF()
            pixmap = QPixmap.fromImage(QImage.fromData(picture)).scaled(
                QSize(SIDE, SIDE) * ratio,
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
            pixmap.setDevicePixelRatio(ratio)
            shown.setPixmap(pixmap)
        else:
            mark = icons.icon("document" if wide else "speak", colours.text)
            shown.setPixmap(mark.pixmap(theme.LARGE, theme.LARGE))
        corner_button(self, self.tr("Remove {name}").replace("{name}", name), remove, colours)

    def add_pages(self, document: Document, choose: Callable[[], None]) -> None:
        """Which pages are used, with the way to others."""
        name = QLabel(self)
        name.setTextFormat(Qt.TextFormat.PlainText)
        name.setProperty("kind", "small")
        left = SIDE + 2 * theme.SMALL + theme.GAP
        room = self.width() - left - theme.LARGE
        name.setText(name.fontMetrics().elidedText(document.name, Qt.TextElideMode.ElideMiddle, room))
        name.setAlignment(Qt.AlignmentFlag.AlignLeading | Qt.AlignmentFlag.AlignVCenter)
        one = document.total < 2
        name.setGeometry(left, theme.SMALL, room, SIDE if one else theme.LARGE)
        if one:
            return
        pages = QToolButton(self)
        pages.setText(f"{document.used} / {document.total:,}")
        pages.setAccessibleName(self.tr("Choose pages of {name}").replace("{name}", document.name))
        pages.setToolTip(tip(pages.accessibleName()))
        pages.setStyleSheet(f"padding: 0 {theme.SMALL}px; color: {self._colours.accent};")
        pages.ensurePolished()
        wide = min(pages.sizeHint().width(), self.width() - left)
        inset = (wide - pages.fontMetrics().horizontalAdvance(pages.text())) // 2  # to stand under the name
        pages.setGeometry(left - inset, SIDE - theme.LARGE, wide, theme.LARGE + theme.SMALL)
        pages.clicked.connect(choose)


class Pending(QFrame):
    """A file that is being read, with a button to give it up."""

    def __init__(self, name: str, said: str, give_up: Callable[[], None], colours: Theme) -> None:
        super().__init__()
        self.setObjectName("thumbnail")
        self.setFixedSize(WIDE + 2 * theme.SMALL, SIDE + 2 * theme.SMALL)
        self.setToolTip(tip(name))
        self.said = QLabel(said, self)
        self.said.setTextFormat(Qt.TextFormat.PlainText)
        self.said.setProperty("kind", "small")
        self.said.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.said.setGeometry(theme.SMALL, theme.LARGE, WIDE, SIDE - theme.LARGE)
        corner_button(self, self.tr("Stop reading {name}").replace("{name}", name), give_up, colours)


def corner_button(frame: QFrame, name: str, act: Callable[[], None], colours: Theme) -> None:
    """A small cross in the upper right corner."""
    button = QToolButton(frame)
    button.setIcon(icons.icon("close", colours.text))
    button.setIconSize(QSize(theme.WIDE - 2, theme.WIDE - 2))
    button.setFixedSize(theme.LARGE, theme.LARGE)
    button.move(frame.width() - theme.LARGE, 0)
    button.setStyleSheet(f"background: {colours.raised}; border-radius: {theme.ROOM}px; padding: 0;")
    button.setAccessibleName(name)
    button.setToolTip(tip(name))
    button.clicked.connect(act)
