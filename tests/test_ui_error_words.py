"""Every error that can reach the window is worded in each of its languages."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from assistant.history.faults import SALVAGE
from assistant.voice.audio_devices import lost
from models.errors import AsideError, HistoryError, MediaError, SettingsError
from ui.look import error_words
from ui.look.translation import FOLDER, Translation

ROOT = Path(__file__).parent.parent
PLACES = (
    "assistant",
    "ui",
    "models/frontend.py",
    "models/json_files.py",
    "models/onnx_files.py",
    "models/package.py",
)
ELSEWHERE = ("assistant/bench", "assistant/cli", "ui/dev")
"""They speak to a terminal."""
TOLD_BY_TOOLS = ("calls.py", "home.py", "notes.py", "schema.py", "toolbox.py")
"""These errors are results of tools, which `ui.look.tool_words` says."""
FILES = sorted(
    path
    for place in PLACES
    for path in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
    if not any(path.is_relative_to(ROOT / other) for other in ELSEWHERE)
    and not (path.parent == ROOT / "assistant/tools" and path.name in TOLD_BY_TOOLS)
)


def kinds(of: type[AsideError] = AsideError) -> set[str]:
    """The names of all errors that are shown."""
    return {of.__name__}.union(*map(kinds, of.__subclasses__())) - {"Cancelled"}


def sentences(node: ast.expr, names: dict[str, ast.expr]) -> Iterator[str]:
    """What an argument can say, with {} for what is filled in."""
    match node:
        case ast.Constant(str(text)):
            yield text
        case ast.JoinedStr(parts):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
        case ast.IfExp(_, one, other):
            yield from sentences(one, names)
            yield from sentences(other, names)
        case ast.Dict(_, values):
            for value in values:
                yield from sentences(value, names)
        case ast.Subscript(ast.Name(name)) | ast.Name(name) if name in names:
            yield from sentences(names[name], names)


def raised(path: Path) -> set[str]:
    """The sentences of all errors that are made in a file."""
    tree = ast.parse(path.read_text("utf-8"))
    names: dict[str, ast.expr] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign([ast.Name(name)], value) | ast.AnnAssign(ast.Name(name), _, ast.expr() as value):
                names[name] = value
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Name(name) | ast.Attribute(_, name), arguments, keywords):
                if name in kinds() or (name == "error" and path.name == "json_files.py"):
                    for argument in [*arguments, *(keyword.value for keyword in keywords)]:
                        found.update(sentences(argument, names))
    return found - {""}


def shape(text: str) -> str:
    """With a bare {} for each place; two that touch are one."""
    return re.sub(r"(?:{\w*})+", "{}", text)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("errors/*.json")), ids=lambda file: file.stem)
def test_every_error_has_words(file: Path) -> None:
    translated: dict[str, str] = json.loads(file.read_text("utf-8"))
    for english, other in translated.items():
        assert other.strip()
        assert sorted(re.findall(r"{\w*}", english)) == sorted(re.findall(r"{\w*}", other)), english
    known = set(map(shape, translated))
    missing = {path.name: gone for path in FILES if (gone := {shape(text) for text in raised(path)} - known)}
    assert not missing


CASES = [
    (
        lost("microphone", "USB Audio"),
        "麦克风“USB Audio”停止了工作。请将其插好，在系统设置中允许使用，并查看 `aside doctor`。",
    ),
    (MediaError("There is no file /a. b.png.", "Check the name."), "没有文件 /a. b.png。请检查名称。"),
    (
        HistoryError("Nothing can be changed: the history in /x is damaged.", SALVAGE),
        "无法更改：/x 中的历史记录已损坏。`aside history salvage` 可保存仍能读取的内容；"
        "`aside history export` 也可使用。",
    ),
    (SettingsError("interface.open must be on or off."), "interface.open 必须是开或关。"),
    ("The voice failed (it died). The text stays as it is.", "朗读失败（it died）。文字保持不变。"),
    (AsideError("Nobody ever worded this", "Not this."), "Nobody ever worded this Not this."),
]


@pytest.mark.parametrize(("problem", "chinese"), CASES)
def test_an_error_speaks_the_language_of_the_window(
    qt: QApplication, problem: AsideError | str, chinese: str
) -> None:
    assert error_words.told(problem) == str(problem), "English stays as it is"
    translation = Translation("zh", qt)
    qt.installTranslator(translation)
    try:
        assert error_words.told(problem) == chinese
    finally:
        qt.removeTranslator(translation)
