"""How much memory there is, and how much a model and a conversation take."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psutil

from assistant.engine.protocol import EngineSettings
from models.errors import ContextError, EngineError
from models.package import PackageInfo

_SPARE: Final = 256 * 2**20
"""Bytes for the libraries (about 120 MB) and the working memory of a graph."""
_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")


def needed(package: PackageInfo, settings: EngineSettings) -> int:
    """Bytes for a package: all of its files, and a conversation of ``context_limit`` tokens.

    Without that limit, of the tokens that the short RoPE factors reach: a model may take far more than any
    machine has, and the engine looks again whenever a conversation grows.
    """
    usual = min(package.context_length, package.original_max_position_embeddings)
    tokens = min(settings.context_limit or usual, package.context_length)
    files = package.bytes - (package.prefill_bytes if settings.prefill == "same" else 0)
    return files + package.kv_bytes(tokens) + _SPARE


def free() -> int:
    """Bytes that this process can still take: of the machine's memory, and of its control group's share."""
    available = int(psutil.virtual_memory().available)
    share = group_free(_CGROUPS, _OWN)
    return available if share is None else min(available, share)


def check_memory(package: PackageInfo, settings: EngineSettings) -> None:
    """Raise EngineError if a package and its conversation don't fit into the memory that is free now."""
    wanted, there = needed(package, settings), free()
    if wanted > there:
        raise EngineError(
            f"The model {package.name} needs {_gigabytes(wanted)} of memory, {_gigabytes(there)} are free.",
            "Close other programs, or use a smaller model.",
        )


def has_room(size: int) -> bool:
    """Tell whether so many bytes more, for keys and values, are free now."""
    return size == 0 or size + _SPARE <= free()


def check_room(size: int) -> None:
    """Raise ContextError if so many bytes more, for keys and values, are not free now."""
    if not has_room(size):
        raise ContextError(
            f"The conversation needs {_gigabytes(size + _SPARE)} of memory, {_gigabytes(free())} are free.",
            "Close other programs, leave out a picture or a recording, or start a new conversation.",
        )


def group_free(root: Path, own: Path) -> int | None:
    """Bytes left under the memory limits of this process's control groups; None without any limit.

    ``root`` is where control groups are mounted, ``own`` tells which are ours (cgroups(7)). A limit may stand
    on any group above, in version 2 as memory.max, in version 1 as memory/…/memory.limit_in_bytes. Pages of
    files that were not used lately are given back on demand, so they count as free.
    """
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:  # not Linux
        return None
    left: list[int] = []
    for _, controllers, name in (line for line in lines if len(line) == 3):
        if controllers not in ("", "memory"):
            continue
        top = root / controllers
        limit, usage = ("limit_in_bytes", "usage_in_bytes") if controllers else ("max", "current")
        place = top / name.strip("/")
        for group in (place, *place.parents):
            if not group.is_relative_to(top):
                break
            try:
                most, used = (int((group / f"memory.{of}").read_text()) for of in (limit, usage))
                statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            except (OSError, ValueError):  # no such group in this namespace, or "max": no limit
                continue
            cached = statistics.get("total_inactive_file", statistics.get("inactive_file", "0"))
            left.append(max(0, most - used + int(cached)))
    return min(left, default=None)


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.1f} GB"
