"""Rows out of a damaged SQLite file, page by page.

SQLite finds rows through its header, its schema and inner pages; one bad byte there hides everything below.
Rows themselves stand in leaf pages, which say what they are, so all of them are read wherever they lie.
Nothing is opened for writing, and no code of SQLite sees the damage. Source: sqlite.org/fileformat2.html,
sections 1.5, 1.6, 2.1 and 4.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

MAGIC: Final = b"SQLite format 3\0"
_LEAF: Final = 0x0D  # table b-tree leaf
_WAL_MAGIC: Final = (0x377F0682, 0x377F0683)
_LONGEST: Final = 1 << 30  # bytes of one row, SQLite's own limit about

Value = int | float | str | bytes | None
Row = tuple[Value, ...]
_Page = Callable[[int], bytes]  # from a page's number, counted from 1


def rows(path: Path, page_size: int) -> Iterator[tuple[int, Row]]:
    """Each row of each table: its rowid and its columns, an INTEGER PRIMARY KEY as None. Raises OSError.

    ``page_size`` in bytes counts if the header is lost. The commits in the write-ahead log count, too.
    """
    with path.open("rb") as file:
        header = file.read(100)
        reserved = 0
        if header.startswith(MAGIC):
            size = int.from_bytes(header[16:18])
            size = 65536 if size == 1 else size
            if size >= 512 and size & (size - 1) == 0:
                page_size, reserved = size, header[20]
        log = _log(path.with_name(path.name + "-wal"), page_size)
        file.seek(0, 2)
        pages = _Pages(
            page_size, page_size - reserved, max(-(-file.tell() // page_size), max(log, default=0))
        )

        def page(number: int) -> bytes:
            if number in log:
                return log[number]
            file.seek((number - 1) * page_size)
            return file.read(page_size).ljust(page_size, b"\0")

        for number in range(1, pages.count + 1):
            yield from pages.leaf(page(number), 100 if number == 1 else 0, page)


def _log(path: Path, page_size: int) -> dict[int, bytes]:
    """The newest committed version of each page in a write-ahead log."""
    committed: dict[int, bytes] = {}
    pending: dict[int, bytes] = {}
    if not path.is_file():
        return committed
    with path.open("rb") as file:
        header = file.read(32)
        if len(header) < 32 or struct.unpack(">I", header[:4])[0] not in _WAL_MAGIC:
            return committed
        if int.from_bytes(header[8:12]) not in (page_size, page_size & 1):
            return committed
        little = header[3] == 0x82
        sums = _checksum(header[:24], (0, 0), little)
        if sums != struct.unpack(">II", header[24:32]):
            return committed
        while len(frame := file.read(24 + page_size)) == 24 + page_size:
            if frame[8:16] != header[16:24]:  # salts: a frame of an earlier log
                break
            sums = _checksum(frame[:8], sums, little)
            sums = _checksum(frame[24:], sums, little)
            if sums != struct.unpack(">II", frame[16:24]):
                break
            number, commit = struct.unpack(">II", frame[:8])
            pending[number] = frame[24:]
            if commit:
                committed |= pending
                pending = {}
    return committed


def _checksum(data: bytes, sums: tuple[int, int], little: bool) -> tuple[int, int]:
    a, b = sums
    words = struct.unpack(f"{'<' if little else '>'}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        a = (a + even + b) & 0xFFFFFFFF
        b = (b + odd + a) & 0xFFFFFFFF
    return a, b


class _Pages:
    """The decoding of one file's pages; lengths in bytes, ``usable`` without the reserved end."""

    def __init__(self, size: int, usable: int, count: int) -> None:
        self.size = size
        self.usable = usable
        self.count = count

    def leaf(self, page: bytes, start: int, other: _Page) -> Iterator[tuple[int, Row]]:
        """The rows of a page, or none if it is no leaf of a table. Those that make no sense are left out."""
        if page[start] != _LEAF:
            return
        cells = int.from_bytes(page[start + 3 : start + 5])
        for index in range(min(cells, (self.usable - start - 8) // 2)):
            at = start + 8 + 2 * index
            try:
                yield self._cell(page, int.from_bytes(page[at : at + 2]), other)
            except (ValueError, IndexError):
                continue

    def _cell(self, page: bytes, at: int, other: _Page) -> tuple[int, Row]:
        length, at = _varint(page, at)
        rowid, at = _varint(page, at)
        if length > _LONGEST:
            raise ValueError("too long for a row")
        most = self.usable - 35
        local = length
        if length > most:
            least = (self.usable - 12) * 32 // 255 - 23
            local = least + (length - least) % (self.usable - 4)
            local = least if local > most else local
        if at + local > self.usable:
            raise ValueError("a row that leaves its page")
        data = bytearray(page[at : at + local])
        following = int.from_bytes(page[at + local : at + local + 4]) if length > local else 0
        seen = set()
        while len(data) < length:
            if not 1 < following <= self.count or following in seen:
                break  # the end of a long text is lost, its beginning is not
            seen.add(following)
            overflow = other(following)
            following = int.from_bytes(overflow[:4])
            data += overflow[4 : self.usable]
        return _signed(rowid), _record(bytes(data[:length]), length)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count in range(9):
        byte = data[at + count]
        if count == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + count + 1
    raise AssertionError


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _record(data: bytes, length: int) -> Row:
    """The columns of a row of ``length`` bytes, of which ``data`` may have only the first."""
    head, at = _varint(data, 0)
    if not 0 < head <= len(data):
        raise ValueError("a row with a wrong header")
    types = []
    while at < head:
        kind, at = _varint(data, at)
        types.append(kind)
    if head + sum(map(_width, types)) != length:
        raise ValueError("a row whose columns don't fill it")
    columns: list[Value] = []
    for kind in types:
        width = _width(kind)
        columns.append(_value(kind, data[at : at + width], width))
        at += width
    return tuple(columns)


def _width(kind: int) -> int:
    if kind >= 12:
        return (kind - 12) // 2
    if kind in (10, 11):
        raise ValueError("a type that SQLite does not write")
    return (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind]


def _value(kind: int, data: bytes, width: int) -> Value:
    if kind >= 12:
        return data.decode("utf-8", "replace") if kind % 2 else data
    if kind == 0 or len(data) < width:
        return None
    if kind == 7:
        return float(struct.unpack(">d", data)[0])
    return kind - 8 if kind in (8, 9) else int.from_bytes(data, signed=True)
