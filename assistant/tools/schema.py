"""Checks a tool's arguments against its JSON Schema: the few keywords that `models.prompts.TOOLS` uses.

Stricter than the standard: no parameter beside those that are named, 5.0 is no integer, and texts and numbers
have a greatest length whatever the schema says. What is returned is what a person is shown, and what runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from models.errors import ToolError

LONGEST_TEXT: Final = 500  # characters
MOST_DIGITS: Final = 30
_KEYWORDS: Final = {"type", "enum", "minimum", "maximum", "pattern"}


def check(arguments: object, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments in the schema's order, white space in texts as single spaces. Raises ToolError."""
    if not isinstance(arguments, dict):
        raise ToolError("The arguments are no object.")
    named: Mapping[str, Any] = schema["properties"]
    for name in arguments:
        if name not in named:
            raise ToolError(f"There is no argument {printable(str(name))[:40]!r}.")
    for name in schema["required"]:
        if name not in arguments:
            raise ToolError(f"The argument {name} is missing.")
    return {name: _value(name, arguments[name], named[name]) for name in named if name in arguments}


def _value(name: str, value: object, schema: Mapping[str, Any]) -> int | str:
    if unknown := schema.keys() - _KEYWORDS:
        raise NotImplementedError(f"{name} has the keywords {unknown}")  # a tool of ours, not of the model
    if schema["type"] == "integer":
        if isinstance(value, bool) or not isinstance(value, int):
            raise ToolError(f"{name} is no whole number.")
        if abs(value) >= 10**MOST_DIGITS:
            raise ToolError(f"{name} has more than {MOST_DIGITS} digits.")
        lowest, highest = schema.get("minimum"), schema.get("maximum")
        if (lowest is not None and value < lowest) or (highest is not None and value > highest):
            raise ToolError(f"{name} is not between {lowest} and {highest}.")
        return value
    if not isinstance(value, str):
        raise ToolError(f"{name} is no text.")
    if len(value) > LONGEST_TEXT:
        raise ToolError(f"{name} is longer than {LONGEST_TEXT} characters.")
    text = " ".join(printable(value).split())
    if not text:
        raise ToolError(f"{name} is empty.")
    if "enum" in schema and text not in schema["enum"]:
        raise ToolError(f"{name} is none of {', '.join(schema['enum'])}.")
    if "pattern" in schema and not re.fullmatch(
        schema["pattern"].removesuffix("$"), text
    ):  # $ takes a newline
        raise ToolError(f"{name} does not have the form {schema['pattern']}.")
    return text


def printable(text: str) -> str:
    """Text whose characters are all seen as what they are: no control, half or direction-changing ones."""
    return "".join(c if c.isprintable() or c in "\u200c\u200d" else " " for c in text)
