"""Our icons: strokes on a 24 x 24 grid, drawn in any colour and at any resolution."""

from __future__ import annotations

from functools import cache
from typing import Final

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QColor, QIcon, QImage, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

_STROKES: Final = {
    "new": "<path d='M12 5v14M5 12h14'/>",
    "search": "<circle cx='11' cy='11' r='6.5'/><path d='m16 16 4.5 4.5'/>",
    "send": "<path d='M12 19V5M5.5 11.5 12 5l6.5 6.5'/>",
    "stop": "<rect x='7' y='7' width='10' height='10' rx='1.5' fill='currentColor'/>",
    "microphone": "<rect x='9' y='3' width='6' height='11' rx='3'/>"
    "<path d='M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3M9 21h6'/>",
    "attach": "<path d='m20 11.5-8.2 8.2a5 5 0 0 1-7-7l8.5-8.5a3.3 3.3 0 0 1 4.7 4.7l-8.4 8.4a1.7 1.7 0 0 1"
    "-2.4-2.4l7.6-7.5'/>",
    "screen": "<path d='M4 8V5.5A1.5 1.5 0 0 1 5.5 4H8M16 4h2.5A1.5 1.5 0 0 1 20 5.5V8M20 16v2.5"
    "a1.5 1.5 0 0 1-1.5 1.5H16M8 20H5.5A1.5 1.5 0 0 1 4 18.5V16'/>"
    "<circle cx='12' cy='12' r='2.5'/>",
    "camera": "<path d='M4 8.500A1.5 1.5 0 0 1 5.500 7H8l1.500-2.500h5L16 7h2.500A1.5 1.5 0 0 1 20 8.500v9"
    "a1.5 1.5 0 0 1-1.5 1.500h-13A1.5 1.5 0 0 1 4 17.500z'/><circle cx='12' cy='12.800' r='3.300'/>",
    "network": "<circle cx='12' cy='12' r='8'/>"
    "<path d='M4 12h16M12 4c2.700 2.500 3.700 5.200 3.700 8s-1 5.500-3.700 8"
    "c-2.700-2.500-3.700-5.200-3.700-8s1-5.500 3.700-8z'/>",
    "document": "<path d='M7 3.500h7L18.500 8v12a.8.8 0 0 1-.8.800H7a.8.8 0 0 1-.8-.800V4.300"
    "A.8.8 0 0 1 7 3.500zM14 3.500V8h4.500M9.500 12.500h5.500M9.500 16h5.500'/>",
    "bell": "<path d='M6.5 16.500V11a5.500 5.500 0 0 1 11 0v5.500l1.500 1.500H5z"
    "M10 20.500a2.200 2.200 0 0 0 4 0'/>",
    "clock": "<circle cx='12' cy='12' r='8'/><path d='M12 7.500V12l3 2'/>",
    "light": "<path d='M9.500 17v-1.500a6 6 0 1 1 5 0V17zM10 20h4'/>",
    "heat": "<path d='M10 13.500V6a2 2 0 1 1 4 0v7.500a4 4 0 1 1-4 0zM12 10v6'/>",
    "music": "<path d='M9 17.500V6l10-2v11.500'/><circle cx='6.500' cy='17.500' r='2.500'/>"
    "<circle cx='16.500' cy='15.500' r='2.500'/>",
    "note": "<path d='M6 4h12v16H6zM9 8.500h6M9 12h6M9 15.500h3.500'/>",
    "close": "<path d='m6.5 6.5 11 11M17.5 6.5l-11 11'/>",
    "copy": "<rect x='9' y='9' width='11' height='11' rx='2'/>"
    "<path d='M15 6V5.5A1.5 1.5 0 0 0 13.5 4h-8A1.5 1.5 0 0 0 4 5.5v8A1.5 1.5 0 0 0 5.5 15H6'/>",
    "speak": "<path d='M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8"
    " 0 0 1 0 11'/>",
    "more": "<circle cx='5.5' cy='12' r='.8' fill='currentColor'/><circle cx='12' cy='12' r='.8'"
    " fill='currentColor'/><circle cx='18.5' cy='12' r='.8' fill='currentColor'/>",
    "side": "<rect x='3.5' y='4.5' width='17' height='15' rx='2.5'/><path d='M9.5 4.5v15'/>",
    "again": "<path d='M5 12a7 7 0 1 1 2 5M5 19v-4h4'/>",
    "edit": "<path d='m5 19 .8-3.8L16.3 4.7a1.6 1.6 0 0 1 2.3 0l.7.7a1.6 1.6 0 0 1 0 2.3L8.8 18.2z"
    "M14.5 6.5l3 3'/>",
    "export": "<path d='M12 15V4M7.5 8 12 3.5 16.5 8'/>"
    "<path d='M5 14v4.5A1.5 1.5 0 0 0 6.5 20h11a1.5 1.5 0 0 0 1.5-1.5V14'/>",
    "picture": "<rect x='3.5' y='5' width='17' height='14' rx='2'/><circle cx='9' cy='10' r='1.5'/>"
    "<path d='m4 17 5-4 3.5 3 3.5-4.5 4.5 5'/>",
    "play": "<path d='M8 5.5v13L18.5 12z' fill='currentColor'/>",
    "delete": "<path d='M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7M10.5 10.5v6M13.5 10.5v6'/>",
    "warning": "<path d='M12 4.5 21 20H3zM12 10.5v4M12 17v.2'/>",
    "down": "<path d='m6.5 9.5 5.5 5.5 5.5-5.5'/>",
    "gear": "<circle cx='12' cy='12' r='3'/><path d='M12 3.5v2.5M12 18v2.5M3.5 12h2.5M18 12h2.5M6 6l1.8 1.8"
    "M16.2 16.2l1.8 1.8M18 6l-1.8 1.8M7.8 16.2 6 18'/>",
    "window": "<rect x='3.5' y='5' width='17' height='14' rx='2.5'/><path d='M3.5 9.5h17'/>",
    "keyboard": "<rect x='3' y='6.5' width='18' height='11.5' rx='2'/>"
    "<path d='M6.8 10h.2M10.2 10h.2M13.6 10h.2M17 10h.2M8 14.5h8'/>",
    "model": "<rect x='6.5' y='6.5' width='11' height='11' rx='2'/>"
    "<path d='M9.5 3.5v3M14.5 3.5v3M9.5 17.5v3M14.5 17.5v3M3.5 9.5h3M3.5 14.5h3"
    "M17.5 9.5h3M17.5 14.5h3'/>",
    "look": "<circle cx='12' cy='12' r='8'/><path d='M12 4a8 8 0 0 1 0 16z' fill='currentColor'/>",
    "privacy": "<path d='M12 3.5 19 6v5.5c0 4.5-3 7.5-7 9-4-1.5-7-4.5-7-9V6zM9 12l2.2 2.2L15 10'/>",
    "tools": "<rect x='3.5' y='8.5' width='17' height='11' rx='2'/>"
    "<path d='M9 8.5v-2A1.5 1.5 0 0 1 10.5 5h3A1.5 1.5 0 0 1 15 6.5v2M3.5 13h17M12 11.5v3'/>",
    "aside": "<path d='M4 5.5h10a4 4 0 0 1 4 4v1a4 4 0 0 1-4 4H9l-5 4z'/><path d='M20.5 9v9'/>",
}
NAMES: Final = tuple(_STROKES)


def render(name: str, colour: str, pixels: int) -> QPixmap:
    """An icon of ``pixels`` physical pixels."""
    return QPixmap.fromImage(_image(name, colour, pixels))


@cache  # pictures, which may outlive the application; pixmaps may not
def _image(name: str, colour: str, pixels: int) -> QImage:
    svg = (
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='currentColor'"
        f" stroke-width='1.8' stroke-linecap='round' stroke-linejoin='round'>{_STROKES[name]}</svg>"
    ).replace("currentColor", QColor(colour).name())
    image = QImage(pixels, pixels, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(0, 0, pixels, pixels))
    painter.end()
    return image


def icon(name: str, colour: str, faint: str = "") -> QIcon:
    """An icon for buttons and menus, at 16 to 64 pixels."""
    made = QIcon()
    for pixels in (16, 20, 24, 32, 40, 48, 64):
        made.addPixmap(render(name, colour, pixels))
        if faint:
            made.addPixmap(render(name, faint, pixels), QIcon.Mode.Disabled)
    return made
