"""Words in every language, colours that can be read, icons that show something."""

from __future__ import annotations

import ast
import gc
import json
import re
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication
from real_window import desktop, wait_until

from assistant.settings import Interface, Settings
from ui.conversation.sheet import Message
from ui.look import icons, theme
from ui.look.theme import DARK, LIGHT, Theme
from ui.look.translation import Translation

UI = Path(__file__).parent.parent / "ui"


def texts() -> set[str]:
    """Every text of the window that a person reads."""
    found: set[str] = set()
    for path in UI.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                last = node.args[-1] if node.args and name in ("tr", "translate", "say") else None
                if isinstance(last, ast.Constant) and isinstance(last.value, str):
                    found.add(last.value)
    return found


@pytest.mark.parametrize("file", sorted((UI / "look/languages").glob("*.json")), ids=lambda file: file.stem)
def test_a_language_is_complete(file: Path) -> None:
    translated: dict[str, str] = json.loads(file.read_text("utf-8"))
    assert set(translated) == texts()
    for english, other in translated.items():
        assert other.strip()
        assert sorted(re.findall(r"{\w+}", english)) == sorted(re.findall(r"{\w+}", other))


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read(colours: Theme) -> None:
    for ground in (colours.ground, colours.side, colours.raised, colours.tint):
        for text in (colours.text, colours.faint, colours.accent, colours.bad):
            assert contrast(text, ground) >= 4.5, (text, ground)
    assert contrast(colours.on_accent, colours.accent) >= 4.5


@pytest.mark.usefixtures("qt")
@pytest.mark.parametrize("name", icons.NAMES)
def test_an_icon_shows_something(name: str) -> None:
    image = icons.render(name, "#ff0000", 48).toImage()
    drawn = [(x, y) for x in range(48) for y in range(48) if image.pixelColor(x, y).alpha() > 128]
    assert 30 < len(drawn) < 48 * 48 / 2
    assert not [place for place in drawn if min(place) == 0 or max(place) == 47], "it is cut off"


def test_the_window_speaks_chinese_in_the_dark(qt: QApplication, tmp_path: Path) -> None:
    settings = Settings(interface=Interface(language="zh", theme="dark", font_size=22))
    with desktop(qt, tmp_path, settings) as one:
        assert one.window.side.search.placeholderText() == "搜索"
        assert one.theme is DARK
        assert one.window.composer.text.font().pixelSize() == theme.Type(2.0).px(0)
    with desktop(qt, tmp_path) as one:
        assert one.window.side.search.placeholderText() == "Search"


def test_it_can_be_read_from_the_right(qt: QApplication, tmp_path: Path) -> None:
    """The window is mirrored; text goes its own way in either."""
    with desktop(qt, tmp_path) as one:
        window, transcript = one.window, one.window.transcript
        for direction in (Qt.LayoutDirection.RightToLeft, Qt.LayoutDirection.LeftToRight):
            qt.setLayoutDirection(direction)
            window.talk.begin()
            transcript.add_question(1, "ما هذا؟")
            transcript.append_answer("זה עיגול כחול.")
            transcript.add_question(2, "what is it")
            window._show_talk()
            wait_until(
                lambda: transcript.sheet.message(transcript.document().lastBlock()) == Message(2, False)
            )
            backward = direction is Qt.LayoutDirection.RightToLeft
            assert (window.side.x() > transcript.mapTo(window, QPoint()).x()) is backward
            wait_until(lambda: transcript.place(Message(1, False)) is not None)
            arabic, english = (transcript.place(Message(n, False)) for n in (1, 2))
            assert arabic is not None
            assert english is not None
            assert arabic.left() > english.right()
            column = transcript.viewport().mapTo(window, english.topLeft().toPoint()).x()
            composer = window.composer.mapTo(window, QPoint()).x()
            assert abs(column - composer) <= 1
            transcript.focus_message(Message(1, True))
            assert transcript.bar.geometry().right() < transcript.width() // 2, (
                "it would hide the first words"
            )


def test_garbage_of_a_translation_while_qt_asks_another(qt: QApplication) -> None:
    """Ending a translator there would wait for Qt's lock for ever."""

    class Collecting(Translation):
        def translate(self, _context: str, text: str, _remark: str | None = None, _count: int = -1) -> str:
            gc.collect()
            return text.upper()

    garbage: list[object] = [Translation("zh", qt)]
    garbage.append(garbage)
    del garbage
    asked = Collecting("zh", qt)
    qt.installTranslator(asked)
    try:
        assert qt.translate("Side", "Search") == "SEARCH"
    finally:
        qt.removeTranslator(asked)
