"""Settings: what is kept comes back, what is wrong is said, and a crash or a full disk damages nothing."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from command import ROOT, Aside
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistant.setting_kinds import Choice, Flag, Key, Kind, Line, Names, Number, shown
from assistant.settings import DEFAULTS, KINDS, Hotkeys, SettingsFile
from models.errors import SettingsError

_TEXT = st.text(st.characters(codec="utf-8"), max_size=40).filter(str.isprintable)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def values(kind: Kind) -> st.SearchStrategy[Any]:
    match kind:
        case Flag():
            return st.booleans()
        case Number(_, lowest, highest):
            return st.integers(lowest, highest)
        case Choice(_, options):
            return st.sampled_from(options)
        case Names(_, options):
            return st.sets(st.sampled_from(options)).map(lambda s: tuple(n for n in options if n in s))
        case Line(_, empty):
            named = _TEXT.filter(str.strip)
            return named | st.just("") if empty else named
        case _:
            raise AssertionError(kind)


CHANGES = st.fixed_dictionaries(
    {}, optional={key: values(kind) for key, kind in KINDS.items() if not isinstance(kind, Key)}
)


@pytest.fixture
def file(tmp_path: Path) -> SettingsFile:
    return SettingsFile(tmp_path / "aside" / "settings.json")


def written(file: SettingsFile, content: str | bytes) -> SettingsFile:
    file.path.parent.mkdir(exist_ok=True)
    file.path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_without_a_file_there_are_defaults_and_nothing_is_made(file: SettingsFile) -> None:
    assert file.load().settings == DEFAULTS
    assert file.load().remarks == ()
    assert not file.path.parent.exists()
    assert DEFAULTS.tools.without_asking == (), "no tool with an effect runs unasked unless somebody said so"


def test_every_default_is_a_value_that_its_key_takes() -> None:
    for key, kind in KINDS.items():
        assert kind.read(DEFAULTS.get(key)) == DEFAULTS.get(key)
        assert kind.read(kind.parse(shown(DEFAULTS.get(key)))) == DEFAULTS.get(key)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=CHANGES, after=CHANGES)
def test_what_is_set_comes_back(file: SettingsFile, before: dict[str, Any], after: dict[str, Any]) -> None:
    file.path.unlink(missing_ok=True)
    file.change(before)
    changed = file.change(after)
    assert file.load().settings == changed
    assert file.load().remarks == ()
    for key in KINDS:
        assert changed.get(key) == (before | after).get(key, DEFAULTS.get(key))
        assert KINDS[key].read(KINDS[key].parse(shown(changed.get(key)))) == changed.get(key)
    assert file.reset() == DEFAULTS


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(unknown=st.dictionaries(st.text(max_size=8), _JSON, max_size=4))
def test_unknown_keys_stay(file: SettingsFile, unknown: dict[str, Any]) -> None:
    document = {"later": unknown, "interface": {"spin": unknown}}
    written(file, json.dumps(document))
    file.change({"interface.theme": "dark"})
    file.reset("interface.theme")
    assert json.loads(file.path.read_text()) == document


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=st.dictionaries(st.sampled_from([*Hotkeys.__dataclass_fields__]), _JSON), group=_JSON)
def test_any_content_can_be_loaded_and_changed(file: SettingsFile, document: object, group: object) -> None:
    written(file, json.dumps({"hotkeys": document, "tools": group, "interface": group}))
    file.load()
    assert file.change({"tools.enabled": False, "hotkeys.talk": "F12"}).hotkeys.talk == "F12"
    assert file.load().settings.tools.enabled is False


def test_one_wrong_value_costs_one_setting(file: SettingsFile) -> None:
    written(
        file, '{"interface": {"theme": "purple", "font_size": 20}, "sound": 3, "privacy": {"preroll": 1}}'
    )
    loaded = file.load()
    assert loaded.settings.interface.theme == "system"
    assert loaded.settings.interface.font_size == 20
    assert loaded.settings.privacy.preroll is True
    assert loaded.remarks == (
        "The settings' sound is no group of values, so it is not used.",
        "interface.theme is not system, light or dark, so its default is used.",
        "privacy.preroll is not on or off, so its default is used.",
    )


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a": 1, "a": 2}', b"\x00" * 100,
        b'{"a": ' + b"9" * 5000 + b"}", b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b"[" * 400 + b"]" * 400 + b"}",
    ],
    ids=range(10),
)  # fmt: skip
def test_a_damaged_file_is_set_aside(file: SettingsFile, content: bytes) -> None:
    loaded = written(file, content).load()
    assert loaded.settings == DEFAULTS
    if not loaded.remarks:  # how deep Python's parser and writer go differs between versions
        assert content.startswith(b'{"a": [')
        return
    assert "It is now called settings.damaged-1.json, and the defaults are used." in loaded.remarks[0]
    assert (file.path.parent / "settings.damaged-1.json").read_bytes() == content
    assert file.load().remarks == ()
    written(file, content)
    assert file.change({"interface.theme": "dark"}).interface.theme == "dark"
    assert (file.path.parent / "settings.damaged-2.json").read_bytes() == content


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"interface.theme": "purple"}, "interface.theme must be system, light or dark."),
        ({"interface.font_size": 7}, "interface.font_size must be a whole number from 8 to 32."),
        ({"interface.font_size": True}, "interface.font_size must be a whole number from 8 to 32."),
        ({"sound.voice": "a\nb"}, "sound.voice must be one line of at most 1000 characters."),
        ({"model.package": ""}, "model.package must be a name."),
        ({"tools.without_asking": ["rm"]}, "tools.without_asking must be names among set_timer"),
        ({"hotkeys.talk": "S"}, "hotkeys.talk must be a combination with Ctrl, Alt or Super"),
        ({"hotkeys.talk": "Ctrl+Ctrl+S"}, "hotkeys.talk must be a combination such as"),
        ({"hotkeys.talk": "Ctrl+Alt+S"}, "Ctrl+Alt+S is the key of hotkeys.screen. Choose another."),
        ({"hotkeys.talk": "F9", "hotkeys.camera": "f9"}, "F9 is the key of hotkeys.talk."),
        ({"interface.them": "dark"}, "There is no setting interface.them."),
    ],
)
def test_what_cant_be_set_changes_nothing(file: SettingsFile, values: dict[str, Any], sentence: str) -> None:
    file.change({"interface.theme": "light"})
    before = file.path.read_bytes()
    with pytest.raises(SettingsError) as error:
        file.change({"interface.theme": "dark"} | values)
    assert sentence in str(error.value)
    assert file.path.read_bytes() == before


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("ctrl+alt+space", "Ctrl+Alt+Space"), ("Alt + Control + a", "Ctrl+Alt+A"), ("win+f1", "Super+F1"),
        ("F24", "F24"), ("shift+pause", "Shift+Pause"), ("Ctrl++", "Ctrl++"), ("Super+é", "Super+É"),
        (" ", ""),
    ],
)  # fmt: skip
def test_a_combination_has_one_form(typed: str, kept: str) -> None:
    assert Key("").read(typed) == kept
    assert Key("").read(kept) == kept


@pytest.mark.parametrize(
    "typed", ["+", "Ctrl+", "++", "Ctrl+Hyper+A", "Shift+A", "a", "Ctrl+AB", "Ctrl+\x00"]
)
def test_what_is_no_combination(typed: str) -> None:
    with pytest.raises(ValueError, match="a combination"):
        Key("").read(typed)


def test_a_conflict_in_the_file_leaves_the_key_to_the_first(file: SettingsFile) -> None:
    loaded = written(file, '{"hotkeys": {"camera": "Ctrl+Alt+S", "translate": "alt+ctrl+space"}}').load()
    assert loaded.settings.hotkeys == Hotkeys()
    assert "Ctrl+Alt+S is the key of hotkeys.screen, so hotkeys.camera has none." in loaded.remarks
    assert len(loaded.remarks) == 2
    written(file, '{"hotkeys": {"talk": "F9", "camera": "Ctrl+Alt+Space"}}')
    with pytest.raises(SettingsError, match=r"key of hotkeys\.camera"):
        file.reset("hotkeys.talk")


def test_only_the_owner_may_read_it(file: SettingsFile) -> None:
    file.change({"sound.voice": "English"})
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_a_link_stays_a_link(file: SettingsFile, tmp_path: Path) -> None:
    file.path.parent.mkdir()
    kept = tmp_path / "dotfiles.json"
    file.path.symlink_to(kept)
    file.change({"interface.theme": "dark"})
    assert file.path.is_symlink()
    assert json.loads(kept.read_text()) == {"interface": {"theme": "dark"}}


def test_something_else_in_its_place(file: SettingsFile) -> None:
    file.path.mkdir(parents=True)
    loaded = file.load()
    assert loaded.settings == DEFAULTS
    assert "can't be read" in loaded.remarks[0]
    with pytest.raises(SettingsError, match="can't be kept"):
        file.change({"interface.theme": "dark"})


def test_changes_at_the_same_time_all_count(file: SettingsFile) -> None:
    keys = [key for key, kind in KINDS.items() if isinstance(kind, Line)]

    def change(key: str) -> None:
        for number in range(5):
            file.change({key: f"{number}"})

    threads = [threading.Thread(target=change, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [file.load().settings.get(key) for key in keys] == ["4"] * len(keys)


_WRITER = """
import sys
from pathlib import Path
from assistant.settings import SettingsFile
file, number = SettingsFile(Path(sys.argv[1])), int(sys.argv[2])
print("ready", flush=True)
while True:
    number += 1
    name = f"{number} " + "x" * (number * 37 % 900)
    file.change({"sound.microphone": name, "sound.speaker": name})
    print(number, flush=True)
"""


def test_a_killed_process_leaves_the_old_or_the_new_settings(file: SettingsFile) -> None:
    told = 0
    for attempt in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, file.path, str(told)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.003 * attempt)  # killed at another moment each time
            process.send_signal(signal.SIGKILL)
            lines = process.stdout.read().split()
        told = int(lines[-1]) if lines else told
        loaded = file.load()
        assert loaded.remarks == ()
        name = loaded.settings.sound.microphone
        assert loaded.settings.sound.speaker == name
        assert int((name or "0").split()[0]) in (told, told + 1), "what was acknowledged is kept"
        told = int((name or "0").split()[0])
    assert told > 0
    left = {path.name for path in file.path.parent.iterdir()}
    assert left <= {"settings.json", "settings.json.lock", "settings.json.new"}


def test_a_full_disk_keeps_the_settings(file: SettingsFile) -> None:
    file.change({"sound.microphone": "old"})
    before = file.path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for room in (0, 1, 100, 500):
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
            with pytest.raises(SettingsError, match="the disk is full"):
                file.change({"sound.microphone": "x" * 900})
            assert file.path.read_bytes() == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert {path.name for path in file.path.parent.iterdir()} == {"settings.json", "settings.json.lock"}
    assert file.change({"sound.microphone": "new"}).sound.microphone == "new"


def test_the_command(aside: Aside) -> None:
    here = Aside(aside.folder, aside.model, {"XDG_CONFIG_HOME": str(aside.folder / "config")})
    assert here("settings", "path").out == f"{aside.folder}/config/aside/settings.json\n"
    assert here("settings", "get", "interface.theme").out == "system\n"
    assert here("settings", "set", "interface.theme", "dark").code == 0
    assert here("settings", "set", "tools.without_asking", "set_alarm, set_timer").code == 0
    assert here("settings", "set", "sound.microphone", "麦克风").code == 0
    assert here("settings", "get", "tools.without_asking").out == "set_timer,set_alarm\n"
    assert here("settings", "get", "sound.microphone").out == "麦克风\n"
    listed = here("settings", "list")
    assert "  interface.theme        dark" in listed.out
    assert "· interface.language     system" in listed.out
    found = here("settings", "list", "--json").json
    assert found["interface.theme"] == "dark"
    assert set(found) == set(KINDS)
    assert here("settings", "reset", "interface.theme").code == 0
    assert here("settings", "get", "interface.theme").out == "system\n"
    assert "what to reset" in here("settings", "reset").complaint()
    assert here("settings", "reset", "--all").code == 0
    assert here("settings", "get", "sound.microphone").out == "\n"
    assert "must be system, light or dark" in here("settings", "set", "interface.theme", "x").complaint()
    assert "There is no setting x." in here("settings", "get", "x").complaint()
    (aside.folder / "config/aside/settings.json").write_text("{")
    broken = here("settings", "get", "interface.theme")
    assert broken.out == "system\n"
    assert "settings.damaged-1.json" in broken.err
