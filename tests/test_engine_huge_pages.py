"""Weights in huge pages: what is in memory stays as it is, and only where that is, changes."""

from __future__ import annotations

import mmap
import threading
from pathlib import Path

import numpy as np

from assistant.engine import huge_pages


def in_huge_pages() -> int:
    """Bytes of this process's memory, without files."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("AnonHugePages:"))


def test_large_regions_move_into_huge_pages_unchanged() -> None:
    memory = mmap.mmap(-1, 64 * 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        memory.madvise(mmap.MADV_NOHUGEPAGE)  # as it is while it is written, whatever the machine's habit
        view = np.frombuffer(memory, np.uint64)
        view[:] = np.arange(view.size)
        refused = in_huge_pages()
        huge_pages.gather(threading.Event())
        assert in_huge_pages() - refused < 32 * 2**20, "this region said no"
        memory.madvise(mmap.MADV_HUGEPAGE)
        stopped = threading.Event()
        stopped.set()
        before = in_huge_pages()
        huge_pages.gather(stopped)
        assert in_huge_pages() == before
        huge_pages.gather(threading.Event())
        assert in_huge_pages() - before >= 32 * 2**20
        assert (view == np.arange(view.size)).all()
        del view
    finally:
        memory.close()
