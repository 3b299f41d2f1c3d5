"""Documents: pages of a PDF as pictures and text, and plain text files.

PDFium is a large native library and its input is a stranger's, so pages are rendered in a process of their
own, with bounded memory, that may crash or hang without harm.
"""

from __future__ import annotations

import io
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from assistant.media import picture
from models.errors import Cancelled, MediaError

MOST_PAGES: Final = 4
"""Pages that are taken when nobody says which."""
AT_ONCE: Final = 16  # pages that one question takes
LARGEST_FILE: Final = 256 * 2**20  # bytes
LARGEST_TEXT: Final = 4 * 2**20  # bytes of a text file
LONGEST_PAGE: Final = 20_000  # characters of a page's text
SIDE: Final = 1792  # pixels of a page's longer side: four crops of 448
SHARPEST: Final = 150 / 72  # of the page's own points
_MEMORY: Final = 3 * 2**30  # bytes of the process's addresses
_PATIENCE: Final = 20.0  # s without a page
_LOOK: Final = 0.05  # s
TEXTS: Final = (".txt", ".md", ".csv", ".json", ".log")


@dataclass(frozen=True)
class Page:
    """A page's number, counted from 1, its picture as PNG data (none of a text file), and its text."""

    number: int
    picture: bytes = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True)
class Document:
    """Pages of a document that has ``total`` of them."""

    name: str
    total: int
    pages: tuple[Page, ...]
    data: bytes = field(repr=False)
    """The whole file."""

    @property
    def used(self) -> str:
        """Which pages these are, as "1-4" or "1,3-5"."""
        return ranges([page.number for page in self.pages])

    @property
    def pictures(self) -> tuple[bytes, ...]:
        """The pages' pictures; none of a text file."""
        return tuple(page.picture for page in self.pages if page.picture)

    @property
    def text(self) -> str:
        """What is written on the pages, each with a line above that names it; "" if nothing is."""
        several = self.total > 1
        parts = [
            f"{self.name}, page {page.number} of {self.total}:\n{page.text}"
            if several
            else f"{self.name}:\n{page.text}"
            for page in self.pages
            if page.text.strip()
        ]
        return "\n\n".join(parts)


def load(
    path: Path,
    pages: str = "",
    cancel: threading.Event | None = None,
    on_page: Callable[[int, int], None] = lambda *_: None,
) -> Document:
    """A PDF or a text file; ``pages`` such as "1-3,7", or "" for the first few.

    ``on_page(done, of)`` tells of each page. Raises MediaError, and Cancelled.
    """
    data = _read(path)
    if path.suffix.lower() in TEXTS:
        return _text_file(path, data)
    return rendered(data, path.name, pages, cancel, on_page)


def rendered(
    data: bytes,
    name: str,
    pages: str = "",
    cancel: threading.Event | None = None,
    on_page: Callable[[int, int], None] = lambda *_: None,
) -> Document:
    """The same for a PDF in memory."""
    context = multiprocessing.get_context("spawn")  # fork would copy this process's locks
    near, far = context.Pipe()
    process = context.Process(target=_serve, args=(far,), name="aside-document", daemon=True)
    process.start()
    far.close()
    try:
        near.send(data)
        total = _answer(near, name, cancel)
        if not total:
            raise _damaged(name)
        wanted = chosen(pages, total)
        near.send(wanted)
        made: list[Page] = []
        for number in wanted:
            png, text = _answer(near, name, cancel)
            made.append(Page(number, picture.normalised(png, name), text))
            on_page(len(made), len(wanted))
    except OSError as error:
        raise _damaged(name) from error
    finally:
        near.close()
        process.join(0.2)
        if process.is_alive():
            process.kill()
            process.join(2.0)
        process.close()
    return Document(name, total, tuple(made), data)


def chosen(text: str, total: int) -> list[int]:
    """The pages that "1-3,7" names, in this order; "" the first few. Raises MediaError."""
    if not text.strip():
        return list(range(1, min(total, MOST_PAGES) + 1))
    numbers: list[int] = []
    for part in text.replace("–", "-").split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(first) > 6 or len(last) > 6:
            raise MediaError(f"{text} names no pages.", "Write them like 1-3,7.")
        begin, end = int(first), int(last or first)
        if not 1 <= begin <= end <= total:
            raise MediaError(f"There is no page {part.strip()}.", f"The document has {total:,}.")
        if end - begin >= AT_ONCE or len(numbers) + end - begin >= AT_ONCE:
            raise MediaError("These are too many pages at once.", f"Choose {AT_ONCE} at most.")
        numbers += range(begin, end + 1)
    return numbers


def ranges(numbers: list[int]) -> str:
    """Numbers as "1-3,7"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)


def _read(path: Path) -> bytes:
    try:
        if not path.exists():
            raise MediaError(f"There is no file {path}.", "Check the name.")
        if not path.is_file():
            raise MediaError(f"{path} is no document.")
        size = path.stat().st_size
        if not size:
            raise MediaError(f"{path.name} is empty.", "Choose another file.")
        if size > (LARGEST_TEXT if path.suffix.lower() in TEXTS else LARGEST_FILE):
            raise MediaError(
                f"{path.name} has {size / 1e6:,.0f} MB, which is too much.", "Take a part of it."
            )
        return path.read_bytes()
    except OSError as error:
        raise MediaError(f"{path} can't be read: {error.strerror or error}.") from error


def _text_file(path: Path, data: bytes) -> Document:
    if b"\0" in data[:4096]:
        raise MediaError(f"{path.name} is no text.", "Save it as UTF-8 text or as PDF.")
    return Document(path.name, 1, (Page(1, b"", data.decode("utf-8", "replace")),), data)


def _answer(pipe: Connection, name: str, cancel: threading.Event | None) -> Any:
    """The next message of the process. Raises MediaError, Cancelled."""
    until = time.monotonic() + _PATIENCE
    while True:
        if cancel is not None and cancel.is_set():
            raise Cancelled("The document was not needed any more.")
        if pipe.poll(_LOOK):
            break
        if time.monotonic() > until:
            raise MediaError(
                f"{name} takes too long to be drawn.", "Choose other pages, or give pictures of them."
            )
    try:
        told = pipe.recv()
    except EOFError:
        raise _damaged(name) from None
    if isinstance(told, _Refused):
        if told.locked:
            raise MediaError(f"{name} is locked with a password.", "Save a copy without one.")
        raise _damaged(name)
    return told


def _damaged(name: str) -> MediaError:
    return MediaError(f"{name} is no PDF, or it is damaged.", "Get the file again.")


@dataclass(frozen=True)
class _Refused:
    """PDFium can't read it. ``locked``: for want of a password."""

    locked: bool = False


def _serve(pipe: Connection) -> None:
    """The process: takes a file, gives the number of its pages, takes page numbers, gives the pages."""
    _limit_memory()
    try:
        _draw(pipe)
    except (EOFError, OSError):
        pass  # nobody waits any more
    except Exception as error:  # whatever the file makes PDFium and its wrapper do
        pipe.send(_Refused("password" in str(error).lower()))


def _draw(pipe: Connection) -> None:
    import pypdfium2  # noqa: PLC0415 # a native library that only this process loads

    document = pypdfium2.PdfDocument(pipe.recv())
    pipe.send(len(document))
    for number in pipe.recv():
        page = document[number - 1]
        longer = max(page.get_size())
        bitmap = page.render(scale=min(SHARPEST, SIDE / max(1.0, longer)))
        buffer = io.BytesIO()
        bitmap.to_pil().convert("RGB").save(buffer, "PNG", compress_level=1)
        written = page.get_textpage()
        text = written.get_text_range(0, min(written.count_chars(), LONGEST_PAGE))
        pipe.send((buffer.getvalue(), _plain(text)))


def _plain(text: str) -> str:
    """A page's text without PDFium's marks and line ends."""
    text = text.replace("\r\n", "\n").replace("\ufffe", "")
    return "".join(c for c in text if c in "\n\t" or c.isprintable())


if sys.platform == "linux":
    import resource

    def _limit_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))

else:

    def _limit_memory() -> None:
        """Only Linux keeps to such a limit."""
