"""What each tool does, and that every one of the list can be run."""

from __future__ import annotations

import json
import resource
import signal
import socket
import stat
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.tools import schema
from assistant.tools.calls import Call, read
from assistant.tools.home import FileHome, State
from assistant.tools.toolbox import OFFERED, Result, Toolbox
from models.errors import ToolError
from models.prompts import TOOLS

EFFECTS = {"set_timer", "set_alarm", "set_light", "set_temperature", "play_music", "add_note", "set_reminder"}
EXAMPLES: dict[str, dict[str, int | str]] = {
    "set_timer": {"minutes": 5},
    "set_alarm": {"time": "07:30"},
    "calculate": {"a": 12, "operation": "times", "b": 12},
    "set_light": {"room": "kitchen", "state": "on"},
    "set_temperature": {"degrees": 21},
    "play_music": {"query": "quiet jazz"},
    "add_note": {"text": "buy milk"},
    "get_weather": {"place": "Paris"},
    "get_time": {},
    "set_reminder": {"time": "17:30", "text": "call <b>Ann</b>"},
}


@pytest.fixture
def toolbox(tmp_path: Path) -> Toolbox:
    return Toolbox.in_folder(tmp_path / "tools", tmp_path / "weather.json")


def run(toolbox: Toolbox, name: str, **arguments: int | str) -> Result:
    call = toolbox.checked(Call(name, dict(arguments)))
    assert call.problem == ""
    return toolbox.run(call)


def test_every_tool_runs_and_those_with_an_effect_say_so(toolbox: Toolbox, tmp_path: Path) -> None:
    (tmp_path / "weather.json").write_text('{"paris": "It rains."}')
    assert [tool["name"] for tool in OFFERED] == list(EXAMPLES)
    assert list(OFFERED[: len(TOOLS)]) == TOOLS, "nano knows exactly these"
    for name, arguments in EXAMPLES.items():
        call = toolbox.checked(Call(name, dict(arguments)))
        intent = toolbox.intent(call)
        assert bool(intent) == (name in EFFECTS)
        if intent:
            assert all(str(value) in intent for value in arguments.values()), intent
        result = toolbox.run(call)
        assert not result.failed, result
        assert result.text.endswith(".")


def test_no_tool_opens_a_connection(toolbox: Toolbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    for name, arguments in EXAMPLES.items():
        run(toolbox, name, **arguments)


@given(
    st.integers(-(10**30) + 1, 10**30 - 1),
    st.sampled_from(["plus", "minus", "times"]),
    st.integers(-99, 10**29),
)
def test_sums_are_exact(a: int, operation: str, b: int) -> None:
    toolbox = Toolbox.in_folder(Path("unused"))
    right = {"plus": a + b, "minus": a - b, "times": a * b}[operation]
    assert run(toolbox, "calculate", a=a, operation=operation, b=b).text == f"{a} {operation} {b} is {right}."


def test_numbers_have_an_end(toolbox: Toolbox) -> None:
    call = toolbox.checked(Call("calculate", {"a": 10**30, "operation": "plus", "b": 1}))
    assert call.problem == "a has more than 30 digits."


def test_the_demonstration_home_keeps_its_state(toolbox: Toolbox, tmp_path: Path) -> None:
    assert run(toolbox, "set_light", room="Kitchen", state="on").text == (
        "The Kitchen light is on in the demonstration home."
    )
    run(toolbox, "set_light", room="hall", state="off")
    run(toolbox, "set_light", room="kitchen", state="off")
    run(toolbox, "set_temperature", degrees=19)
    run(toolbox, "play_music", query="Jazz")
    home = FileHome(tmp_path / "tools/home.json")
    assert home.state() == State({"kitchen": False, "hall": False}, 19, "Jazz")
    home.path.write_text('{"lights": [1], "degrees": "hot", "playing": 3}')
    assert home.state() == State()
    home.path.write_text("{")
    run(toolbox, "set_temperature", degrees=5)
    assert home.state() == State(degrees=5)


def test_rooms_have_an_end(tmp_path: Path) -> None:
    home = FileHome(tmp_path / "home.json")
    home.path.write_text(json.dumps({"lights": {f"room {i}": True for i in range(200)}}))
    home.set_light("room 3", False)
    with pytest.raises(ToolError, match="no room attic"):
        home.set_light("attic", True)


def test_notes_are_lines_for_the_owner_alone(toolbox: Toolbox) -> None:
    run(toolbox, "add_note", text="buy milk")
    run(toolbox, "add_note", text="面包\nand  butter")
    first, second = toolbox.notes.path.read_text(encoding="utf-8").splitlines()
    assert first.endswith(" buy milk")
    assert second[:2] == "- "
    assert abs((datetime.now() - datetime.fromisoformat(second[2:18])).total_seconds()) < 120
    assert second[18:] == " 面包 and butter"
    assert stat.S_IMODE(toolbox.notes.path.stat().st_mode) == 0o600


def test_a_full_disk_leaves_no_half_note(toolbox: Toolbox) -> None:
    run(toolbox, "add_note", text="first")
    before = toolbox.notes.path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 30, limits[1]))
        result = run(toolbox, "add_note", text="x" * 400)
        light = run(toolbox, "play_music", query="y" * 400)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert result == Result("The note can't be kept: the disk is full.", failed=True)
    assert light.failed
    assert toolbox.notes.path.read_bytes() == before


def test_the_weather_is_told_from_the_file_or_not_at_all(toolbox: Toolbox, tmp_path: Path) -> None:
    offline = Toolbox.in_folder(tmp_path / "tools")
    assert run(offline, "get_weather", place="Paris") == Result(
        "The weather is not known: this assistant works offline and has no source for it.", failed=True
    )
    assert run(toolbox, "get_weather", place="Paris").text == (
        "The weather is not known: there is no file weather.json."
    )
    weather = tmp_path / "weather.json"
    weather.write_text(json.dumps({"PARIS": "Rain,\n12\x1b degrees.", "Rome": 3, "Oslo": "s" * 900}))
    assert run(toolbox, "get_weather", place="paris") == Result("Rain, 12 degrees.")
    assert run(toolbox, "get_weather", place="Rome") == Result(
        "The weather in Rome is not known.", failed=True
    )
    assert len(run(toolbox, "get_weather", place="oslo").text) == 500
    weather.write_text("{")
    assert "weather.json is damaged" in run(toolbox, "get_weather", place="paris").text


def test_the_time(toolbox: Toolbox) -> None:
    before, told, after = datetime.now(), run(toolbox, "get_time").text, datetime.now()
    assert told in {f"It is {t:%H:%M} on {t:%A}, {t.day} {t:%B %Y}." for t in (before, after)}


def test_only_keywords_that_are_checked_may_stand_in_a_schema() -> None:
    for tool in OFFERED:
        example = EXAMPLES[tool["name"]]
        assert schema.check(example, tool["parameters"]) == example
    unknown = {"properties": {"a": {"type": "integer", "multipleOf": 2}}, "required": ["a"]}
    with pytest.raises(NotImplementedError, match="multipleOf"):
        schema.check({"a": 3}, unknown)


def test_a_call_may_stand_alone_and_have_no_arguments() -> None:
    assert read('{"name": "get_time"}') == [Call("get_time", {}, '{"name": "get_time"}')]
    assert [call.name for call in read('[{"name": "a"}, {"name": "b", "arguments": {}}]')] == ["a", "b"]
