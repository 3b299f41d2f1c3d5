"""A home with lights, heating and music: the edge to one, and a demonstration that is only a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from assistant import atomic
from models.errors import ToolError
from models.json_files import parse_object

_MOST_ROOMS: Final = 200


class Home(Protocol):
    """What a home can do. Every method raises ToolError when it can't."""

    @property
    def name(self) -> str:
        """How it is called in a sentence, such as ``the demonstration home``."""

    def set_light(self, room: str, on: bool) -> None:
        """Switch a light."""

    def set_temperature(self, degrees: int) -> None:
        """Set the heating, in °C."""

    def play_music(self, query: str) -> None:
        """Play what a person asked for."""

    def close(self) -> None:
        """Let the home go."""


@dataclass(frozen=True)
class State:
    """What was switched: lights by room, °C, and what plays; None is unknown."""

    lights: dict[str, bool] = field(default_factory=dict)
    degrees: int | None = None
    playing: str | None = None


class FileHome:
    """A home that is nothing but a file, which several processes may share."""

    name = "the demonstration home"

    def __init__(self, path: Path) -> None:
        self.path = path

    def state(self) -> State:
        """How it stands. Raises ToolError."""
        try:
            return self._read()
        except OSError as error:
            raise self._failed(error) from error

    def set_light(self, room: str, on: bool) -> None:
        """Switch a light. Any room has one."""
        room = room.lower()

        def switched(state: State) -> State:
            if room not in state.lights and len(state.lights) >= _MOST_ROOMS:
                raise ToolError(f"There is no room {room}.")
            return replace(state, lights=state.lights | {room: on})

        self._change(switched)

    def set_temperature(self, degrees: int) -> None:
        """Set the heating, in °C."""
        self._change(lambda state: replace(state, degrees=degrees))

    def play_music(self, query: str) -> None:
        """Write down what plays."""
        self._change(lambda state: replace(state, playing=query))

    def close(self) -> None:
        """There is nothing to let go."""

    def _change(self, change: Callable[[State], State]) -> None:
        try:
            with atomic.locked(self.path):
                document = json.dumps(vars(change(self._read())), indent=2)
                atomic.replace(self.path, document.encode())
        except OSError as error:
            raise self._failed(error) from error

    def _read(self) -> State:
        """A file that can't be read is as good as none: the next change replaces it."""
        data = atomic.read(self.path)
        try:
            return _state(parse_object(data, str(self.path), ToolError)) if data else State()
        except ToolError:
            return State()

    def _failed(self, error: OSError) -> ToolError:
        return ToolError(f"{self.path} can't be used: {atomic.reason(error)}.")


def _state(document: dict[str, Any]) -> State:
    lights, degrees, playing = (document.get(name) for name in ("lights", "degrees", "playing"))
    return State(
        {room: on for room, on in lights.items() if isinstance(on, bool)} if isinstance(lights, dict) else {},
        degrees if isinstance(degrees, int) else None,
        playing if isinstance(playing, str) else None,
    )
