"""What Aside says to the model: the system prompt, the tools, and the instructions for speech tasks.

The wording of the speech tasks is the one that Phi-4-multimodal was trained with (its model card); another
one costs accuracy. The nano model is trained with exactly these texts, so a change here asks for a new
training run of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

SYSTEM_PROMPT: Final = (
    "You are Aside, a helpful assistant. Never guess who someone is or what they are from a voice."
)
"""Sent with every conversation: without one, the model guesses sensitive attributes from a voice far more
often (27 % against 0.4 % of probes in the technical report)."""

TRANSCRIBE: Final = "Transcribe the audio clip into text."
SUMMARIZE: Final = "Summarize the audio clip."
SEPARATOR: Final = "<sep>"
"""Stands between transcript and translation in the answer to `transcribe_and_translate`."""

LANGUAGES: Final = ("English", "Chinese", "German", "French", "Italian", "Japanese", "Spanish", "Portuguese")
"""The languages that the real model hears."""


def translate(language: str) -> str:
    """The instruction to translate a clip into `language` (an English name, such as German)."""
    return f"Translate the audio to {language}."


def transcribe_and_translate(language: str) -> str:
    """The instruction for both texts in one answer, with `SEPARATOR` between them."""
    return (
        f"Transcribe the audio to text, and then translate the audio to {language}. "
        f"Use {SEPARATOR} as a separator between the original transcript and the translation."
    )


def _tool(name: str, description: str, **parameters: dict[str, Any]) -> dict[str, Any]:
    """One tool in the form of the model card; every parameter is required."""
    return {
        "name": name,
        "description": description,
        "parameters": {"type": "object", "properties": parameters, "required": list(parameters)},
    }


TOOLS: Final[list[dict[str, Any]]] = [
    _tool("set_timer", "Start a timer", minutes={"type": "integer", "minimum": 1, "maximum": 99}),
    _tool("set_alarm", "Set an alarm", time={"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$"}),
    _tool(
        "calculate",
        "Work out a sum",
        a={"type": "integer"},
        operation={"type": "string", "enum": ["plus", "minus", "times"]},
        b={"type": "integer"},
    ),
    _tool(
        "set_light",
        "Switch a light",
        room={"type": "string"},
        state={"type": "string", "enum": ["on", "off"]},
    ),
    _tool("set_temperature", "Set the heating", degrees={"type": "integer", "minimum": 5, "maximum": 30}),
    _tool("play_music", "Play music", query={"type": "string"}),
    _tool("add_note", "Write a note down", text={"type": "string"}),
    _tool("get_weather", "Tell the weather", place={"type": "string"}),
]
"""The tools of the assistant, with JSON Schema parameters."""


def tool_list(tools: Sequence[dict[str, Any]]) -> str:
    """The JSON text that stands between ``<|tool|>`` and ``<|/tool|>`` in the system message."""
    return json.dumps(tools, ensure_ascii=False, separators=(",", ":"))


def tool_call(name: str, arguments: dict[str, Any]) -> str:
    """The JSON text that stands between ``<|tool_call|>`` and ``<|/tool_call|>`` in an answer."""
    return json.dumps([{"name": name, "arguments": arguments}], ensure_ascii=False)
