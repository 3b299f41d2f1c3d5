"""What a setting can be: how its value is checked, written on the command line, and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

_LONGEST: Final = 1000  # characters
_MODIFIERS: Final = ("Ctrl", "Alt", "Shift", "Super")
_ALIASES: Final = {"control": "Ctrl", "meta": "Super", "win": "Super", "cmd": "Super", "option": "Alt"}
_ALONE: Final = {name.lower(): name for name in ("Pause", "Print", "ScrollLock", "Menu")} | {
    f"f{i}": f"F{i}" for i in range(1, 25)
}
_NAMED: Final = _ALONE | {
    name.lower(): name
    for name in (
        "Space", "Tab", "Return", "Escape", "Backspace", "Insert", "Delete", "Home", "End", "PageUp",
        "PageDown", "Up", "Down", "Left", "Right",
    )
}  # fmt: skip


class Kind(Protocol):
    """What one setting takes; ``about`` tells a person what it is for."""

    @property
    def about(self) -> str:
        """A few words for a list of all settings."""

    def read(self, value: object) -> Any:
        """The value in its one form. Raises ValueError, whose text follows "must be"."""

    def parse(self, text: str) -> object:
        """What a person typed, for `read` to check."""


def shown(value: object) -> str:
    """A value as a person types it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(value) if isinstance(value, tuple) else str(value)


@dataclass(frozen=True)
class Flag:
    """On or off."""

    about: str

    def read(self, value: object) -> bool:
        """True or false."""
        if not isinstance(value, bool):
            raise ValueError("on or off")
        return value

    def parse(self, text: str) -> object:
        """On, off, and words that mean the same."""
        words = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}
        return words.get(text.strip().lower(), text)


@dataclass(frozen=True)
class Number:
    """A whole number in a range."""

    about: str
    lowest: int
    highest: int

    def read(self, value: object) -> int:
        """The number."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.lowest <= value <= self.highest:
            raise ValueError(f"a whole number from {self.lowest} to {self.highest}")
        return value

    def parse(self, text: str) -> object:
        """Digits."""
        try:
            return int(text)
        except ValueError:
            return text


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    about: str
    options: tuple[str, ...]

    def read(self, value: object) -> str:
        """The word."""
        if not isinstance(value, str) or value not in self.options:
            raise ValueError(f"{', '.join(self.options[:-1])} or {self.options[-1]}")
        return value

    def parse(self, text: str) -> object:
        """As it is written."""
        return text


@dataclass(frozen=True)
class Line:
    """A name or a path: one line of text that can be shown."""

    about: str
    empty: bool = True

    def read(self, value: object) -> str:
        """The text."""
        if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable():
            raise ValueError(f"one line of at most {_LONGEST} characters")
        if not value.strip() and (value or not self.empty):
            raise ValueError("a name" if not self.empty else "a name or nothing")
        return value

    def parse(self, text: str) -> object:
        """As it is written."""
        return text


@dataclass(frozen=True)
class Key:
    """A combination such as ``Ctrl+Alt+Space``, or nothing."""

    about: str

    def read(self, value: object) -> str:
        """The combination with its modifiers in the usual order, so that equal ones are equal as text."""
        wanted = ValueError("a combination such as Ctrl+Alt+Space or F9, or nothing")
        if not isinstance(value, str) or len(value) > _LONGEST:
            raise wanted
        if not value.strip():
            return ""
        *held, key = (part.strip().lower() for part in value.split("+"))
        if value.rstrip().endswith("+"):  # the key + itself: Ctrl++
            held, key = held[:-1], "+"
        modifiers = {_ALIASES.get(part, part.capitalize()) for part in held}
        name = _NAMED.get(key) or (key.upper() if len(key) == 1 and key.isprintable() else "")
        if not name or len(modifiers) != len(held) or not modifiers <= set(_MODIFIERS):
            raise wanted
        if modifiers <= {"Shift"} and key not in _ALONE:
            raise ValueError("a combination with Ctrl, Alt or Super, or nobody could type that key any more")
        return "+".join([*(m for m in _MODIFIERS if m in modifiers), name])

    def parse(self, text: str) -> object:
        """As it is written."""
        return text


@dataclass(frozen=True)
class Names:
    """Any of a few names."""

    about: str
    options: tuple[str, ...]

    def read(self, value: object) -> tuple[str, ...]:
        """The names in their usual order, each once."""
        if (
            not isinstance(value, Sequence)
            or isinstance(value, str)
            or not all(v in self.options for v in value)
        ):
            raise ValueError(f"names among {', '.join(self.options)}")
        return tuple(name for name in self.options if name in value)

    def parse(self, text: str) -> object:
        """Names with commas between them."""
        return [name.strip() for name in text.split(",") if name.strip()]
