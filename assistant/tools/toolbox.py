"""The tools: what each one does, whether that has an effect, and the sentence a person says yes to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from assistant import atomic
from assistant.tools import schema
from assistant.tools.calls import Call
from assistant.tools.home import FileHome, Home
from assistant.tools.notes import Notes
from assistant.tools.schedule import Schedule
from models.errors import ToolError
from models.json_files import parse_object
from models.prompts import TOOLS

GET_TIME: Final[dict[str, Any]] = {
    "name": "get_time",
    "description": "Tell the date and the time",
    "parameters": {"type": "object", "properties": {}, "required": []},
}
SET_REMINDER: Final[dict[str, Any]] = {
    "name": "set_reminder",
    "description": "Remind of something at a time",
    "parameters": {
        "type": "object",
        "properties": {
            "time": {"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$"},
            "text": {"type": "string"},
        },
        "required": ["time", "text"],
    },
}
"""These are not among `TOOLS`, because nano is trained with exactly those; other models are offered them."""
OFFERED: Final = (*TOOLS, GET_TIME, SET_REMINDER)


@dataclass(frozen=True)
class Result:
    """What a tool gave back, for the model and the person alike. ``failed``: it did nothing."""

    text: str
    failed: bool = False


@dataclass(frozen=True)
class _Tool:
    """``intent`` is what a person is asked, made of nothing but the checked arguments; None: no effect."""

    parameters: Mapping[str, Any]
    run: Callable[..., str]
    intent: Callable[..., str] | None = None


class Toolbox:
    """Runs calls. Nothing here uses a network or starts a program."""

    def __init__(
        self,
        schedule: Schedule,
        home: Home,
        notes: Notes,
        weather: Path | None = None,
        offered: Sequence[Mapping[str, Any]] = OFFERED,
    ) -> None:
        """``weather`` is a JSON file with a sentence for each place, which the person keeps up to date."""
        self.schedule = schedule
        self.home = home
        self.notes = notes
        self._weather = weather
        runs: dict[str, tuple[Callable[..., str], Callable[..., str] | None]] = {
            "set_timer": (self._set_timer, lambda minutes: f"Start a timer for {_minutes(minutes)}."),
            "set_alarm": (self._set_alarm, lambda time: f"Set an alarm for {time}."),
            "set_reminder": (self._set_reminder, lambda time, text: f"Remind you at {time}: “{text}”"),
            "calculate": (_calculate, None),
            "set_light": (
                self._set_light,
                lambda room, state: f"Switch {state} the light in “{room}” in {self.home.name}.",
            ),
            "set_temperature": (
                self._set_temperature,
                lambda degrees: f"Set the heating to {degrees} °C in {self.home.name}.",
            ),
            "play_music": (self._play_music, lambda query: f"Play “{query}” in {self.home.name}."),
            "add_note": (self._add_note, lambda text: f"Write into your notes: “{text}”"),
            "get_weather": (self._get_weather, None),
            "get_time": (_get_time, None),
        }
        self._tools = {tool["name"]: _Tool(tool["parameters"], *runs[tool["name"]]) for tool in offered}

    @classmethod
    def in_folder(
        cls, folder: Path, weather: Path | None = None, offered: Sequence[Mapping[str, Any]] = OFFERED
    ) -> Toolbox:
        """The tools that keep everything in one folder."""
        return cls(
            Schedule(folder / "timers.json"),
            FileHome(folder / "home.json"),
            Notes(folder / "notes.md"),
            weather,
            offered,
        )

    def checked(self, call: Call) -> Call:
        """The call with exactly the arguments that it will run with, or with a problem."""
        if call.problem:
            return call
        tool = self._tools.get(call.name)
        if tool is None:
            return replace(call, problem=f"There is no tool {schema.printable(call.name)[:40]!r}.")
        try:
            return replace(call, arguments=schema.check(call.arguments, tool.parameters))
        except ToolError as error:
            return replace(call, problem=error.what)

    def intent(self, call: Call) -> str:
        """What a checked call will do, as a sentence to say yes to; "" if it has no effect."""
        intent = self._tools[call.name].intent
        return intent(**call.arguments) if intent else ""

    def run(self, call: Call) -> Result:
        """Do it. A failure is a result too."""
        try:
            return Result(self._tools[call.name].run(**call.arguments))
        except ToolError as error:
            return Result(error.what, failed=True)

    # --- with an effect

    def _set_timer(self, minutes: int) -> str:
        self.schedule.set_timer(minutes)
        return f"The timer rings in {_minutes(minutes)}."

    def _set_alarm(self, time: str) -> str:
        return f"The alarm rings at {_when(self.schedule.set_alarm(time).at)}."

    def _set_reminder(self, time: str, text: str) -> str:
        return f"The reminder comes at {_when(self.schedule.set_alarm(time, text).at)}."

    def _set_light(self, room: str, state: str) -> str:
        self.home.set_light(room, state == "on")
        return f"The {room} light is {state} in {self.home.name}."

    def _set_temperature(self, degrees: int) -> str:
        self.home.set_temperature(degrees)
        return f"The heating is set to {degrees} degrees in {self.home.name}."

    def _play_music(self, query: str) -> str:
        self.home.play_music(query)
        return f"Playing {query} in {self.home.name}."

    def _add_note(self, text: str) -> str:
        self.notes.add(text)
        return "The note is written down."

    # --- without

    def _get_weather(self, place: str) -> str:
        if self._weather is None:
            raise ToolError(
                "The weather is not known: this assistant works offline and has no source for it."
            )
        try:
            data = atomic.read(self._weather)
        except OSError as error:
            raise ToolError(f"The weather can't be read: {atomic.reason(error)}.") from error
        if data is None:
            raise ToolError(f"The weather is not known: there is no file {self._weather.name}.")
        for name, sentence in parse_object(data, self._weather.name, ToolError).items():
            if name.casefold() == place.casefold() and isinstance(sentence, str):
                return " ".join(schema.printable(sentence).split())[: schema.LONGEST_TEXT]
        raise ToolError(f"The weather in {place} is not known.")


def _calculate(a: int, operation: str, b: int) -> str:
    value = {"plus": a + b, "minus": a - b, "times": a * b}[operation]
    return f"{a} {operation} {b} is {value}."


def _get_time() -> str:
    now = datetime.now()
    return f"It is {now:%H:%M} on {now:%A}, {now.day} {now:%B %Y}."


def _when(at: datetime) -> str:
    return f"{at:%H:%M} {'today' if at.date() == datetime.now().date() else 'tomorrow'}"


def _minutes(count: int) -> str:
    return f"{count} minute{'s' if count != 1 else ''}"


def as_json(text: str) -> str:
    """The form in which a model reads a result."""
    return json.dumps({"result": text}, ensure_ascii=False)
