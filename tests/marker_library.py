"""A shared library that creates a file when it is loaded, written byte by byte: no compiler is needed.

ELF for x86-64 Linux: one loadable segment with the code and the dynamic section that names it as DT_INIT.
"""

from __future__ import annotations

import struct
from pathlib import Path

_BASE = 64 + 2 * 56  # behind the ELF header and two program headers


def write_marker_library(library: Path, marker: Path) -> None:
    """Write `library`; whoever loads it creates the empty file `marker`."""
    # lea rdi, [rip + 13]; mov esi, 0644; mov eax, 85 (creat); syscall; ret
    code = bytes.fromhex("488d3d0d000000bea4010000b8550000000f05c3") + bytes(marker) + b"\0"
    code += bytes(-len(code) % 8)
    symbols = _BASE + len(code)  # one empty symbol, one empty string, a hash table of nothing
    strings = symbols + 24
    table = strings + 8
    dynamic = table + 24
    entries = [(12, _BASE), (4, table), (5, strings), (6, symbols), (10, 1), (11, 24), (0, 0)]
    tail = bytes(24) + bytes(8) + struct.pack("<6I", 1, 1, 0, 0, 0, 0)
    tail += b"".join(struct.pack("<QQ", tag, value) for tag, value in entries)
    size = _BASE + len(code) + len(tail)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    header += struct.pack("<IIQQQQQQ", 1, 7, 0, 0, 0, size, size, 4096)
    header += struct.pack("<IIQQQQQQ", 2, 6, dynamic, dynamic, dynamic, 16 * 7, 16 * 7, 8)
    library.write_bytes(header + code + tail)
