"""What tools are about to do, and what came of it, in the language of the window.

Tools speak English, to the model as to a person. A sentence is said in another language only if it is, letter
by letter, one of those below with exactly the checked arguments in it; any other stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from PySide6.QtCore import QCoreApplication


def say(text: str) -> str:
    """Marks a text that has a translation."""
    return text


_SENTENCES: Final = {
    "set_timer": (
        say("Start a timer for {minutes} minute."),
        say("Start a timer for {minutes} minutes."),
        say("The timer rings in {minutes} minute."),
        say("The timer rings in {minutes} minutes."),
    ),
    "set_alarm": (
        say("Set an alarm for {time}."),
        say("The alarm rings at {time} today."),
        say("The alarm rings at {time} tomorrow."),
        say("There is no time {time}."),
    ),
    "set_reminder": (
        say("Remind you at {time}: “{text}”"),
        say("The reminder comes at {time} today."),
        say("The reminder comes at {time} tomorrow."),
        say("There is no time {time}."),
    ),
    "set_light": (
        say("Switch on the light in “{room}” in {home}."),
        say("Switch off the light in “{room}” in {home}."),
        say("The {room} light is on in {home}."),
        say("The {room} light is off in {home}."),
        say("There is no room {place}."),
    ),
    "set_temperature": (
        say("Set the heating to {degrees} °C in {home}."),
        say("The heating is set to {degrees} degrees in {home}."),
    ),
    "play_music": (say("Play “{query}” in {home}."), say("Playing {query} in {home}.")),
    "add_note": (
        say("Write into your notes: “{text}”"),
        say("The note is written down."),
        say("The note can't be kept: {reason}."),
    ),
    "calculate": (
        say("{a} plus {b} is {value}."),
        say("{a} minus {b} is {value}."),
        say("{a} times {b} is {value}."),
    ),
    "get_weather": (
        say("The weather is not known: this assistant works offline and has no source for it."),
        say("The weather is not known: there is no file {file}."),
        say("The weather can't be read: {reason}."),
        say("The weather in {place} is not known."),
    ),
    "get_time": (say("It is {clock} on {weekday}, {day} {month} {year}."),),
}
_ANY: Final = (
    say("Not done: the person said no."),
    say("Not done: nobody allowed it."),
    say("Not done: there were too many calls."),
    say("Not done: the answer was cut."),
    say("Not done: {problem}"),
    say("There are {n} timers and alarms already."),
    say("Timers and alarms can't be kept: {reason}."),
    say("{path} can't be used: {reason}."),
)
_PROBLEMS: Final = (
    say("The list of calls is empty."),
    say("The call is too long."),
    say("The call is nested too deeply."),
    say("The call is no JSON."),
    say("The call has no end."),
    say("A name stands twice in the call."),
    say("A number in the call is too large."),
    say('A call is an object with "name" and "arguments".'),
    say('A call has nothing but "name" and, an object, "arguments".'),
    say("The arguments are no object."),
    say("There is no tool {name}."),
    say("There is no argument {name}."),
    say("The argument {name} is missing."),
    say("{name} is no whole number."),
    say("{name} has more than {n} digits."),
    say("{name} is not between {least} and {most}."),
    say("{name} is no text."),
    say("{name} is longer than {n} characters."),
    say("{name} is empty."),
    say("{name} is none of {list}."),
    say("{name} does not have the form {form}."),
)
_WORDS: Final = frozenset(
    (
        say("the demonstration home"),
        say("the disk is full"),
        say("permission denied"),
        *(say("Monday"), say("Tuesday"), say("Wednesday"), say("Thursday"), say("Friday"), say("Saturday")),
        *(
            say("Sunday"),
            say("January"),
            say("February"),
            say("March"),
            say("April"),
            say("May"),
            say("June"),
        ),
        *(say("July"), say("August"), say("September"), say("October"), say("November"), say("December")),
    )
)


def told(text: str, name: str, arguments: Mapping[str, Any]) -> str:
    """A sentence of this tool about a call with these arguments."""
    return _said(text, (*_SENTENCES.get(name, ()), *_ANY), arguments) or text


def _said(text: str, sentences: tuple[str, ...], arguments: Mapping[str, Any]) -> str:
    """In the language of the window; "" if it is none of these sentences."""
    for english in sentences:
        match = _pattern(english, arguments).fullmatch(text)
        if match is not None:
            values = {**arguments, **match.groupdict()}
            said = QCoreApplication.translate("Tools", english)
            return re.sub(r"{(\w+)}", lambda place: _word(place[1], values), said)  # noqa: B023 # called here
    return ""


def _word(place: str, values: Mapping[str, Any]) -> str:
    value = str(values.get(place, "?"))
    if place == "problem":
        return _said(value, _PROBLEMS, {}) or value
    return QCoreApplication.translate("Tools", value) if value in _WORDS else value


def _pattern(english: str, arguments: Mapping[str, Any]) -> re.Pattern[str]:
    """The sentence with these arguments; for what they don't give, anything."""
    parts = re.split(r"{(\w+)}", english)
    return re.compile(
        "".join(
            re.escape(part)
            if place % 2 == 0
            else re.escape(str(arguments[part]))
            if part in arguments
            else f"(?P<{part}>.+)"
            for place, part in enumerate(parts)
        ),
        re.DOTALL,
    )
