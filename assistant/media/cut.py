"""Whether a sound file ends before its header says, which decoders pass over in silence.

FLAC and MP3 with a Xing header promise a number of frames, which `assistant.media.sound` counts. WAV and Ogg
need a look at the bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

_UNKNOWN: Final = (0, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF)  # written by programs that stream into a pipe
_TAIL: Final = 128 * 1024  # an Ogg page has at most 65,307 bytes
_LAST_PAGE: Final = 0x04  # flag in an Ogg page's header


def is_cut(path: Path) -> bool:
    """Tell whether a RIFF or Ogg file is incomplete; False for every other kind. Raises OSError."""
    with path.open("rb") as file:
        size = path.stat().st_size
        magic = file.read(12)
        if magic[:4] == b"RIFF" and magic[8:] == b"WAVE":
            return _wav_is_cut(file, size)
        if magic[:4] == b"OggS":
            return _ogg_is_cut(file, size)
        return magic[:4] == b"RIFF" and size < 12


def _wav_is_cut(file: BinaryIO, size: int) -> bool:
    """Walk the chunks up to the samples. Layout: 4 letters, length as little-endian 32 bits, content."""
    at = 12
    while at + 8 <= size:
        file.seek(at)
        header = file.read(8)
        length = int.from_bytes(header[4:], "little")
        if header[:4] == b"data":
            return length not in _UNKNOWN and at + 8 + length > size
        at += 8 + length + length % 2
    return True


def _ogg_is_cut(file: BinaryIO, size: int) -> bool:
    """The last page must say that it is the last, and be complete (RFC 3533, section 6)."""
    file.seek(max(0, size - _TAIL))
    tail = file.read()
    at = tail.rfind(b"OggS")
    page = tail[at:]
    if at < 0 or len(page) < 27:
        return True
    lengths = page[27 : 27 + page[26]]
    return not page[5] & _LAST_PAGE or len(lengths) < page[26] or len(page) < 27 + page[26] + sum(lengths)
