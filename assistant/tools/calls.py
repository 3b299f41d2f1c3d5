"""What a model writes between ``<|tool_call|>`` and ``<|/tool_call|>``, read as a stranger's JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from models.errors import ToolError

_LONGEST: Final = 20_000  # characters; the longest arguments that are taken have far fewer
_MOST_DIGITS: Final = 400  # converting digits to a number takes quadratic time


@dataclass(frozen=True)
class Call:
    """One call: the tool's name and, once it was checked, exactly what it is called with.

    ``written`` is the model's JSON. ``problem`` tells why it can't be run; it is "" for one that can.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    written: str = ""
    problem: str = ""


def read(text: str) -> list[Call]:
    """The calls in a model's JSON: a list of them, or one. What is wrong becomes a call with a problem."""
    try:
        value = _parsed(text)
        calls = value if isinstance(value, list) else [value]
        if not calls:
            raise ToolError("The list of calls is empty.")
    except ToolError as error:
        return [Call("", written=text, problem=error.what)]
    return [_call(one, text) for one in calls]


def _call(value: object, text: str) -> Call:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return Call("", written=text, problem='A call is an object with "name" and "arguments".')
    arguments = value.get("arguments", {})
    if value.keys() - {"name", "arguments"} or not isinstance(arguments, dict):
        problem = 'A call has nothing but "name" and, an object, "arguments".'
        return Call(value["name"], written=text, problem=problem)
    return Call(value["name"], arguments, text)


def _parsed(text: str) -> Any:
    if len(text) > _LONGEST:
        raise ToolError("The call is too long.")
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_int=_integer, parse_float=_refused, parse_constant=_refused
        )
    except RecursionError:
        raise ToolError("The call is nested too deeply.") from None
    except ValueError:
        raise ToolError("The call is no JSON.") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ToolError("A name stands twice in the call.")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ToolError("A number in the call is too large.")
    return int(digits)


def _refused(written: str) -> Any:
    """No tool takes a fraction, and infinity is no JSON."""
    raise ToolError(f"{written[:20]} is no whole number.")
