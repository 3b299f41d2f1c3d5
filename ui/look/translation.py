"""The language of the window: English in the source, others as JSON files of English to theirs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from PySide6.QtCore import QLibraryInfo, QLocale, QObject, Qt, QTranslator
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLineEdit, QWidget

FOLDER: Final = Path(__file__).parent / "languages"
VERBATIM: Final = "verbatim"
"""A property of what shows other people's words: only what is exactly a text of ours is translated there."""
_AROUND: Final = " ▾\u2002"  # what may stand around a text of ours
_SHOWN: Final = ("text", "toolTip", "accessibleName", "placeholderText", "windowTitle")
"""The properties of widgets and actions that hold texts of ours."""


class Translation(QTranslator):
    """Qt asks it for each text. A text without a translation stays English.

    It belongs to ``parent``, not to Python: Qt asks with its list of translators locked, and a collection of
    garbage that ends another translator meanwhile would wait for that lock for ever.
    """

    def __init__(self, language: str, parent: QObject) -> None:
        """``language`` is a locale's name, such as zh_CN; one that there is no file for is English."""
        super().__init__(parent)
        self.direction = QLocale(language).textDirection()
        name = f"{language.replace('-', '_').partition('_')[0].lower()}.json"
        self._texts: dict[str, str] = {}
        for file in (FOLDER / "errors" / name, FOLDER / name):
            if file.is_file():
                self._texts |= json.loads(file.read_text("utf-8"))
        if not self._texts:
            self.direction = Qt.LayoutDirection.LeftToRight

    def isEmpty(self) -> bool:
        """Called by Qt."""
        return not self._texts

    def translate(self, _context: str, text: str, _remark: str | None = None, _count: int = -1) -> str | None:
        """Called by Qt."""
        return self._texts.get(text)

    def say(self, text: str) -> str:
        """A text of the source in this language."""
        return self._texts.get(text, text)


def of_qt(language: str, parent: QObject) -> QTranslator:
    """The words of Qt's own dialogs and menus; English where it has none."""
    made = QTranslator(parent)
    folder = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
    made.load(QLocale(language), "qtbase", "_", folder)
    return made


def retranslate(roots: Iterable[QObject], before: Translation, now: Translation) -> None:
    """Have everything below ``roots`` speak another language in place, with all that it shows.

    Texts are found by what they say: one that ``before`` gave, with whatever stands for its ``{names}``.
    """
    english = {text for file in FOLDER.glob("*.json") for text in json.loads(file.read_text("utf-8"))}
    plain = {before.say(text): now.say(text) for text in english if "{" not in text}
    names = sorted((text for text in english if "{" in text), key=len, reverse=True)  # the exact ones first
    shapes = [(pattern(before.say(text)), now.say(text)) for text in names]

    def other(said: str, whole: bool) -> str:
        """The same in the other language; ``whole``: only what is exactly a text of ours."""
        core = said.strip(_AROUND)
        if core in plain:
            return said.replace(core, plain[core])
        for shape, text in () if whole else shapes:
            match = shape.fullmatch(core)
            if match:
                values = {name: other(value, False) for name, value in match.groupdict().items()}
                return said.replace(core, filled(text, values))
        return said

    for one in _speakers(roots):
        for name in _SHOWN:
            said = one.property(name)
            if not said or not isinstance(said, str) or (name == "text" and isinstance(one, QLineEdit)):
                continue
            translated = other(said, bool(one.property(VERBATIM)))
            if translated != said:
                one.setProperty(name, translated)


def _speakers(roots: Iterable[QObject]) -> Iterator[QObject]:
    for root in roots:
        yield root
        yield from root.findChildren(QWidget)
        yield from root.findChildren(QAction)


def filled(text: str, values: dict[str, str]) -> str:
    """The text with these values in place of its ``{names}``."""
    return re.sub(r"{(\w+)}", lambda place: values.get(place[1], place[0]), text)


def pattern(text: str) -> re.Pattern[str]:
    """Matches the text with anything in place of its ``{names}``."""
    parts = re.split(r"{(\w+)}", text)
    return re.compile(
        "".join(f"(?P<{part}>.+?)" if place % 2 else re.escape(part) for place, part in enumerate(parts)),
        re.DOTALL,
    )
