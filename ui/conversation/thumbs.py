"""Small pictures that stand for what a question came with, and what is kept of it read back."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen

from assistant.engine import prompt
from assistant.engine.protocol import Segment
from assistant.history import documents
from assistant.history.media import MediaFolder
from assistant.history.records import Media, Turn
from assistant.history.replay import mode_of, replay
from assistant.media import sound
from assistant.media.document import Document
from assistant.media.sound import Sound
from models.errors import AsideError
from ui.conversation.sheet import Chip
from ui.look import icons, theme
from ui.look.theme import LIGHT, Theme
from ui.work.archive import Kept
from ui.work.question import Question

_LONGER: Final = 160  # logical pixels, the longer side of a picture

Thumb = QImage | float
"""A picture at its size on the screen, or the seconds of a recording."""


def kept_question(turn: Turn, media: MediaFolder) -> Question:
    """A kept question with its pictures and recordings; what can't be read is left out. Takes time."""
    pictures: list[bytes] = []
    sounds: list[Sound] = []
    written: list[Document] = []
    with contextlib.suppress(AsideError, OSError):
        written = documents.opened(turn.media, media.read)
    for one in turn.media:
        try:
            if documents.is_part(one):
                continue
            if one.media_type.startswith("image/"):
                pictures.append(media.read(one))
            elif one.media_type.startswith("audio/"):
                sounds.append(sound.load(media.checked(one)))
        except (AsideError, OSError):
            continue
    text = turn.text if pictures or sounds or written or turn.text else (turn.transcript or "…")
    return Question(text, tuple(pictures), tuple(sounds), tuple(written), mode_of(turn))


def kept_segments(kept: Kept, media: MediaFolder) -> Sequence[Segment]:
    """A kept exchange for the engine. Takes time."""
    reply = prompt.assistant("") if kept.reply is None else replay([kept.reply], media).segments
    return [*replay([kept.asked], media).segments, *reply]


def thumbs(question: Question, ratio: float) -> list[Thumb]:
    """Of the question's pictures, recordings and texts; ``ratio`` pixels to a logical one. Slow.

    All that is to be written down is one recording.
    """
    texts = [one for one in question.documents if not one.pictures]
    seconds = [one.seconds for one in question.sounds]
    return [
        *(_small(data, ratio) for data in question.seen),
        *([sum(seconds)] if seconds and question.is_dictation else seconds),
        *(_paper(one, ratio) for one in texts),
    ]


def said(pieces: Sequence[Media]) -> list[Thumb]:
    """Of all recordings of a dictation together."""
    return [sound.wav_seconds(sum(one.bytes for one in pieces), len(pieces))] if pieces else []


def _small(data: bytes, ratio: float) -> QImage:
    image = QImage.fromData(data)
    longest = round(_LONGER * ratio)
    if max(image.width(), image.height()) > longest:
        image = image.scaled(
            longest,
            longest,
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
    if image.isNull():
        image = QImage(longest // 2, longest // 2, QImage.Format.Format_ARGB32_Premultiplied)
        image.fill(Qt.GlobalColor.gray)
    return image


def _paper(document: Document, ratio: float) -> QImage:
    """The beginning of a text as it would stand on paper."""
    image = QImage(
        round(_LONGER * 0.75 * ratio), round(_LONGER * ratio), QImage.Format.Format_ARGB32_Premultiplied
    )
    image.fill(QColor(LIGHT.ground))
    painter = QPainter(image)
    painter.scale(ratio, ratio)
    painter.setPen(QColor(LIGHT.line))
    painter.drawRect(QRectF(0.5, 0.5, _LONGER * 0.75 - 1, _LONGER - 1))
    font = QFont()
    font.setPixelSize(theme.GAP)
    painter.setFont(font)
    painter.setPen(QColor(LIGHT.text))
    room = QRectF(theme.GAP, theme.GAP, _LONGER * 0.75 - 2 * theme.GAP, _LONGER - 2 * theme.GAP)
    painter.drawText(room, int(Qt.TextFlag.TextWrapAnywhere), document.text[:1000])
    painter.end()
    return image


def chip(thumb: Thumb, ratio: float, colours: Theme, font: QFont, playing: bool = False) -> Chip:
    """A thumb for the transcript."""
    if isinstance(thumb, QImage):
        return Chip(thumb, thumb.width() / ratio, thumb.height() / ratio)
    text = duration(thumb)
    metrics = QFontMetricsF(font)
    size = QSizeF(
        theme.ROOM + theme.ICON + theme.SMALL + metrics.horizontalAdvance("00:00") + theme.ROOM, theme.BUTTON
    )
    image = QImage((size * ratio).toSize(), QImage.Format.Format_ARGB32_Premultiplied)
    image.setDevicePixelRatio(ratio)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(colours.line), 1))
    painter.setBrush(QColor(colours.raised))
    round_ = (size.height() - 1) / 2
    painter.drawRoundedRect(QRectF(0.5, 0.5, size.width() - 1, size.height() - 1), round_, round_)
    mark = icons.render("stop" if playing else "play", colours.accent, round(theme.ICON * ratio))
    painter.drawPixmap(
        QRectF(theme.ROOM, (size.height() - theme.ICON) / 2, theme.ICON, theme.ICON),
        mark,
        QRectF(mark.rect()),
    )
    painter.setFont(font)
    painter.setPen(QColor(colours.text))
    left = theme.ROOM + theme.ICON + theme.SMALL
    painter.drawText(
        QRectF(left, 0, size.width() - left, size.height()), int(Qt.AlignmentFlag.AlignVCenter), text
    )
    painter.end()
    return Chip(image, size.width(), size.height())


def duration(seconds: float) -> str:
    """As 0:07."""
    minutes, rest = divmod(max(1, round(seconds)), 60)
    return f"{minutes}:{rest:02}"
