"""The exception tree of Aside. Every error a person can meet is worded once, here or where it is raised.

AsideError
├── PackageError        a model package is missing, damaged, unsafe or not of this kind
├── CheckpointError     a checkpoint can't be read, or a tensor is missing or unknown
├── MediaError          a sound, picture or text can't be used
├── DeviceError         a microphone, speaker or voice is missing or stopped working
├── ContextError        the prompt does not fit the model's context
├── EngineError         the engine's process died, hung or failed
├── HistoryError        the history can't be read or written, or does not hold what was asked for
├── SettingsError       a setting has a value that can't be used, or the settings can't be kept
├── ToolError           a tool can't do what the model asked for
└── Cancelled           somebody asked to stop; never shown as an error
"""

from __future__ import annotations


class AsideError(Exception):
    """An expected failure: what happened, and what the person can do about it."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what} {self.remedy}".strip()


class PackageError(AsideError):
    """A model package is missing, damaged, unsafe or not of this kind."""


class CheckpointError(AsideError):
    """A checkpoint can't be read, or one of its tensors is missing or unknown."""


class MediaError(AsideError):
    """A sound, picture or text can't be used as input."""


class DeviceError(AsideError):
    """A microphone, speaker or voice is missing or stopped working."""


class ContextError(AsideError):
    """The prompt does not fit the model's context or the memory set aside for it."""


class EngineError(AsideError):
    """The engine's process died, hung or failed; it can be restarted."""


class SettingsError(AsideError):
    """A setting has a value that can't be used, or the settings can't be kept."""


class ToolError(AsideError):
    """A tool can't do what the model asked for."""


class HistoryError(AsideError):
    """The history can't be read or written, or does not hold what was asked for."""


class Cancelled(AsideError):  # noqa: N818 # it is none
    """Somebody asked to stop. Not an error: never shown as one."""
