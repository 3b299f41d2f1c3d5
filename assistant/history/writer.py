"""Which process writes something unfinished, so that another one can tell whether it will be finished."""

from __future__ import annotations

import os
from typing import Final

import psutil

_SAME: Final = 200  # hundredths of a second; the clock may be set between two looks


def me() -> str:
    """This process: its number and when it started, in hundredths of a second."""
    return f"{os.getpid()}-{_started(os.getpid())}"


def lives(writer: str) -> bool:
    """Whether the process that `me` named still runs; a later one with the same number does not count."""
    number, _, started = writer.partition("-")
    if not (number.isdecimal() and started.isdecimal() and len(number) < 10):
        return False
    try:
        return abs(_started(int(number)) - int(started)) < _SAME
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False


def _started(number: int) -> int:
    seconds: float = psutil.Process(number).create_time()
    return round(seconds * 100)
