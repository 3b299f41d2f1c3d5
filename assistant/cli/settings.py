"""`aside settings`: list, get, set and reset what a person can choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from assistant import autostart, instance
from assistant.cli import options
from assistant.cli.console import note, show, show_json
from assistant.setting_kinds import shown
from assistant.settings import DEFAULTS, KINDS, Settings, SettingsFile, default_path, kind
from models.errors import DeviceError, SettingsError

_EXAMPLES: Final = """  aside settings list
  aside settings set interface.theme dark
  aside settings set tools.without_asking set_timer,set_alarm
  aside settings reset hotkeys.talk

What is not set has its default, which the list marks with a dot."""


def settings(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    parser = options.parser("settings", "Show and change the settings.", _EXAMPLES)
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", title="actions", required=True, parser_class=options.Parser
    )
    listed = actions.add_parser("list", help="show all settings", allow_abbrev=False)
    listed.add_argument("--json", action="store_true", help="print one JSON object instead")
    actions.add_parser("open", help="show them in the open window", allow_abbrev=False)
    actions.add_parser("path", help="show where they are kept", allow_abbrev=False)
    for action, help_text in (("get", "show one"), ("set", "change one"), ("reset", "give it its default")):
        words = actions.add_parser(action, help=help_text, allow_abbrev=False)
        if action == "reset":
            words.add_argument("--all", action="store_true", help="all settings")
        words.add_argument(
            "key", metavar="KEY", nargs="*" if action == "reset" else None, help="as in the list"
        )
        if action == "set":
            words.add_argument("value", metavar="VALUE", help="'' is nothing")
    given = parser.parse_args(list(arguments))
    file = SettingsFile(default_path())
    match given.action:
        case "open":
            if not instance.tell("preferences"):
                raise DeviceError("Aside is not running.", "Start it: `aside desktop`")
        case "path":
            show(str(file.path))
        case "list":
            _list(_load(file), given.json)
        case "get":
            kind(given.key)
            show(shown(_load(file).get(given.key)))
        case "set":
            changed = file.change({given.key: kind(given.key).parse(given.value)})
            if given.key == autostart.KEY:
                autostart.follow(changed)
        case "reset":
            if bool(given.key) == given.all:
                raise SettingsError("Nothing says what to reset.", "Give either keys or --all.")
            changed = file.reset(*given.key)
            if given.all or autostart.KEY in given.key:
                autostart.follow(changed)
    return 0


def _load(file: SettingsFile) -> Settings:
    loaded = file.load()
    for remark in loaded.remarks:
        note(remark)
    return loaded.settings


def _list(found: Settings, as_json: bool) -> None:
    if as_json:
        show_json({key: found.get(key) for key in KINDS})
        return
    group = ""
    for key, one in KINDS.items():
        if not key.startswith(f"{group}."):
            if group:
                show()
            group = key.partition(".")[0]
        value = found.get(key)
        mark = "·" if value == DEFAULTS.get(key) else " "
        show(f"{mark} {key:<22} {shown(value) or '–':<16} {one.about}")
