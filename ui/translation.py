"""The language of the window: English in the source, others as JSON files of English to theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from PySide6.QtCore import QLocale, QObject, Qt, QTranslator

FOLDER: Final = Path(__file__).parent / "languages"


class Translation(QTranslator):
    """Qt asks it for each text. A text without a translation stays English.

    It belongs to ``parent``, not to Python: Qt asks with its list of translators locked, and a collection of
    garbage that ends another translator meanwhile would wait for that lock for ever.
    """

    def __init__(self, language: str, parent: QObject) -> None:
        """``language`` is a locale's name, such as zh_CN; one that there is no file for is English."""
        super().__init__(parent)
        self.direction = QLocale(language).textDirection()
        file = FOLDER / f"{language.replace('-', '_').partition('_')[0].lower()}.json"
        self._texts: dict[str, str] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        if not self._texts:
            self.direction = Qt.LayoutDirection.LeftToRight

    def isEmpty(self) -> bool:
        """Called by Qt."""
        return not self._texts

    def translate(self, _context: str, text: str, _remark: str | None = None, _count: int = -1) -> str | None:
        """Called by Qt."""
        return self._texts.get(text)
