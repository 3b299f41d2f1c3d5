"""What a person can choose, in frozen dataclasses that are checked once, and the file that keeps it.

    file = SettingsFile(default_path())
    loaded = file.load()                              # never fails: what can't be used has its default
    file.change({"interface.theme": "dark"})          # or SettingsError, and the file is as it was

A new setting is one line below; the command line and the file know it at once. The file holds only what was
set, as JSON. What it holds besides, such as a newer version's settings, stays there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_type_hints

from assistant import atomic
from assistant.engine import devices
from assistant.setting_kinds import Choice, Flag, Key, Kind, Line, Names, Number
from models.errors import SettingsError
from models.json_files import parse_object
from models.prompts import TOOLS

LANGUAGES: Final = ("system", "en", "zh")
LEVELS: Final = ("auto", "quick", "fine")
THEMES: Final = ("system", "light", "dark")
DEVICES: Final = ("auto", *devices.NAMES)


@dataclass(frozen=True)
class Sound:
    """Microphone, speaker and voice; an empty name is the system's choice."""

    microphone: Annotated[str, Line("the microphone, by name; empty: the system's")] = ""
    speaker: Annotated[str, Line("the speaker, by name; empty: the system's")] = ""
    barge_in: Annotated[bool, Flag("speaking interrupts an answer; needs privacy.preroll")] = True
    voice: Annotated[str, Line("the voice that speaks, by name; empty: the system's")] = ""


@dataclass(frozen=True)
class Camera:
    """Where pictures come from."""

    source: Annotated[
        str, Line("a camera's number, a video file or a stream's address; empty: the first")
    ] = ""


@dataclass(frozen=True)
class Hotkeys:
    """Keys that work everywhere; an empty one is none. No two are the same."""

    talk: Annotated[str, Key("hold or tap to talk")] = "Ctrl+Alt+Space"
    screen: Annotated[str, Key("ask about the screen")] = "Ctrl+Alt+S"
    camera: Annotated[str, Key("ask about what the camera sees")] = ""
    transcribe: Annotated[str, Key("write down what is said")] = ""
    translate: Annotated[str, Key("translate what is said")] = ""


@dataclass(frozen=True)
class Model:
    """Which model answers, and where it runs: ``auto`` is the processor, which is all that was tried."""

    package: Annotated[str, Line("a folder, or a name that `aside models list` shows", empty=False)] = "nano"
    device: Annotated[str, Choice(f"what computes: {', '.join(DEVICES)}", DEVICES)] = "auto"
    adapter: Annotated[str, Line("your own LoRA of the package, by name; empty: none")] = ""

    @property
    def computed_by(self) -> str:
        """The name of the device, for the engine."""
        return devices.CPU if self.device == "auto" else self.device


@dataclass(frozen=True)
class Pictures:
    """How pictures are seen."""

    detail: Annotated[str, Choice("how closely, and so how long: auto, quick or fine", LEVELS)] = "auto"


@dataclass(frozen=True)
class Interface:
    """How the window looks and speaks."""

    language: Annotated[str, Choice("of the window: system, en or zh", LANGUAGES)] = "system"
    theme: Annotated[str, Choice("of the window: system, light or dark", THEMES)] = "system"
    font_size: Annotated[int, Number("in points", 8, 32)] = 11
    autostart: Annotated[bool, Flag("start in the tray at login")] = False
    welcomed: Annotated[bool, Flag("the page of the first start was seen")] = False


@dataclass(frozen=True)
class Privacy:
    """What is kept and what may be used. Nothing leaves the machine whatever is chosen."""

    keep_history: Annotated[bool, Flag("keep conversations")] = True
    keep_media: Annotated[bool, Flag("keep their pictures and recordings as well")] = True
    keep_days: Annotated[int, Number("days that they are kept; 0: until they are deleted", 0, 36500)] = 0
    preroll: Annotated[bool, Flag("keep the microphone open, so that no first word is lost")] = True
    camera: Annotated[bool, Flag("the camera may be used")] = True
    screen: Annotated[bool, Flag("the screen may be captured")] = True


@dataclass(frozen=True)
class Tools:
    """What the model may do."""

    enabled: Annotated[bool, Flag("the model may call tools")] = True
    without_asking: Annotated[
        tuple[str, ...],
        Names("tools with an effect that need no yes each time", tuple(t["name"] for t in TOOLS)),
    ] = ()
    weather_file: Annotated[str, Line("a JSON file with a sentence for each place; empty: no weather")] = ""


@dataclass(frozen=True)
class Settings:
    """Everything, checked."""

    sound: Sound = field(default_factory=Sound)
    camera: Camera = field(default_factory=Camera)
    hotkeys: Hotkeys = field(default_factory=Hotkeys)
    model: Model = field(default_factory=Model)
    pictures: Pictures = field(default_factory=Pictures)
    interface: Interface = field(default_factory=Interface)
    privacy: Privacy = field(default_factory=Privacy)
    tools: Tools = field(default_factory=Tools)

    def get(self, key: str) -> Any:
        """The value of ``interface.theme``. Raises SettingsError for a key that there is not."""
        kind(key)
        group, _, name = key.partition(".")
        return getattr(getattr(self, group), name)


def _kinds() -> Iterator[tuple[str, Kind]]:
    for group, group_type in get_type_hints(Settings).items():
        for name, hint in get_type_hints(group_type, include_extras=True).items():
            yield f"{group}.{name}", get_args(hint)[1]


KINDS: Final[Mapping[str, Kind]] = dict(_kinds())
"""What each key takes, such as ``interface.theme``; in the order of the groups."""
DEFAULTS: Final = Settings()


def kind(key: str) -> Kind:
    """What a key takes. Raises SettingsError."""
    if key not in KINDS:
        raise SettingsError(f"There is no setting {key}.", "`aside settings list` shows all.")
    return KINDS[key]


def settings_of(document: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """The settings in a file's content, and a sentence for each value that can't be used."""
    remarks: list[str] = []
    groups: dict[str, Any] = {}
    for place in fields(Settings):
        default = getattr(DEFAULTS, place.name)
        given = document.get(place.name, {})
        if not isinstance(given, dict):
            remarks.append(f"The settings' {place.name} is no group of values, so it is not used.")
            given = {}
        values: dict[str, Any] = {}
        for one in fields(default):
            if one.name in given:
                key = f"{place.name}.{one.name}"
                try:
                    values[one.name] = KINDS[key].read(given[one.name])
                except ValueError as error:
                    remarks.append(f"{key} is not {error}, so its default is used.")
        groups[place.name] = replace(default, **values)
    groups["hotkeys"], conflicts = _without_conflicts(groups["hotkeys"])
    return Settings(**groups), remarks + conflicts


def _without_conflicts(hotkeys: Hotkeys) -> tuple[Hotkeys, list[str]]:
    """Of two hotkeys that are the same, the first one keeps the key."""
    taken: dict[str, str] = {}
    remarks = []
    for place in fields(hotkeys):
        combination: str = getattr(hotkeys, place.name)
        if combination and combination in taken:
            remarks.append(
                f"{combination} is the key of hotkeys.{taken[combination]}, so hotkeys.{place.name} has none."
            )
            hotkeys = replace(hotkeys, **{place.name: ""})
        taken.setdefault(combination, place.name)
    return hotkeys, remarks


def default_path() -> Path:
    """Where the settings lie, in the platform's place for them."""
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData/Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Application Support"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "aside" / "settings.json"


@dataclass(frozen=True)
class Loaded:
    """The settings, and what a person should know about their file: whole sentences."""

    settings: Settings
    remarks: tuple[str, ...] = ()


class SettingsFile:
    """The file. Several processes may change it; each change is whole or not there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Loaded:
        """Read it. A damaged file is set aside, and what can't be used has its default; never raises."""
        try:
            document = _document(atomic.read(self.path), self.path)
        except SettingsError as error:
            return self._salvaged(error)
        except OSError as error:
            return Loaded(
                DEFAULTS, (f"{self.path} can't be read ({atomic.reason(error)}): the defaults are used.",)
            )
        settings, remarks = settings_of(document)
        return Loaded(settings, tuple(remarks))

    def change(self, values: Mapping[str, Any]) -> Settings:
        """Set values by their keys, all or none; returns everything. Raises SettingsError."""
        wanted: dict[str, Any] = {}
        for key, value in values.items():
            try:
                wanted[key] = kind(key).read(value)
            except ValueError as error:
                raise SettingsError(f"{key} must be {error}.") from None

        def changed(document: dict[str, Any]) -> None:
            for key, value in wanted.items():
                group, _, name = key.partition(".")
                if not isinstance(document.get(group), dict):
                    document[group] = {}
                document[group][name] = value
            if any(key.startswith("hotkeys.") for key in wanted):
                _refuse_conflicts(document, wanted)

        return self._changed(changed)

    def reset(self, *keys: str) -> Settings:
        """Give keys their defaults again; without any, all. Raises SettingsError."""
        for key in keys:
            kind(key)

        def changed(document: dict[str, Any]) -> None:
            for key in keys or KINDS:
                group, _, name = key.partition(".")
                if isinstance(document.get(group), dict):
                    document[group].pop(name, None)
                    if not document[group]:
                        del document[group]
                elif not keys:
                    document.pop(group, None)
            if any(key.startswith("hotkeys.") for key in keys):
                _refuse_conflicts(document, keys)

        return self._changed(changed)

    def _changed(self, change: Callable[[dict[str, Any]], None]) -> Settings:
        try:
            with atomic.locked(self.path):
                try:
                    document = _document(atomic.read(self.path), self.path)
                except SettingsError:
                    atomic.set_aside(self.path)
                    document = {}
                before = json.dumps(document)
                change(document)
                if json.dumps(document) != before:
                    atomic.replace(self.path, _data(document))
        except OSError as error:
            raise SettingsError(
                f"The settings can't be kept in {self.path}: {atomic.reason(error)}.",
                "They are as they were before.",
            ) from error
        return settings_of(document)[0]

    def _salvaged(self, damage: SettingsError) -> Loaded:
        """Set the damaged file aside, unless another process has mended it since."""
        remark = f"{damage.what} The defaults are used."
        with suppress(OSError), atomic.locked(self.path):
            try:
                settings, remarks = settings_of(_document(atomic.read(self.path), self.path))
            except SettingsError:
                aside = atomic.set_aside(self.path)
                remark = f"{damage.what} It is now called {aside.name}, and the defaults are used."
            else:
                return Loaded(settings, tuple(remarks))
        return Loaded(DEFAULTS, (remark,))


def _document(data: bytes | None, path: Path) -> dict[str, Any]:
    """What the file holds; nothing where there is none. Raises SettingsError if it is damaged."""
    if data is None:
        return {}
    document = parse_object(data, str(path), SettingsError)
    try:
        _data(document)
    except RecursionError:
        raise SettingsError(f"{path} is damaged: it is nested too deeply.") from None
    return document


def _data(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()


def _refuse_conflicts(document: Mapping[str, Any], changed: Collection[str]) -> None:
    """Raise if a hotkey that was changed is another's."""
    found: dict[str, str] = {}
    given = document.get("hotkeys")
    for place in fields(Hotkeys):
        key = f"hotkeys.{place.name}"
        value = DEFAULTS.get(key)
        if isinstance(given, dict) and place.name in given:
            with suppress(ValueError):  # then its default is what counts
                value = KINDS[key].read(given[place.name])
        other = found.setdefault(value, key)
        if value and other != key and (key in changed or other in changed):
            raise SettingsError(
                f"{value} is the key of {other if key in changed else key}.", "Choose another."
            )
