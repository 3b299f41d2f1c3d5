"""Documents of a question in the history: each page's picture and text, and the file itself.

A page is named by its document, as in ``report.pdf#page=3&of=10``; so it can be told of it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from assistant.history.records import Media, NewMedia
from assistant.media.document import Document, Page

_PAGE: Final = re.compile(r"(.+)#page=(\d{1,6})&of=(\d{1,6})", re.DOTALL)


def kept(document: Document) -> list[NewMedia]:
    """What to keep of a document."""
    if not document.pictures:
        return [NewMedia(document.data, "text/plain", document.name)]
    media = []
    for page in document.pages:
        name = f"{document.name}#page={page.number}&of={document.total}"
        media.append(NewMedia(page.picture, "image/png", name))
        if page.text.strip():
            media.append(NewMedia(page.text.encode(), "text/plain", name))
    return [*media, NewMedia(document.data, "application/pdf", document.name)]


def is_part(media: Media) -> bool:
    """Whether it is a document or a page of one."""
    return not media.media_type.startswith(("image/", "audio/")) or _PAGE.fullmatch(media.name) is not None


def opened(media: Sequence[Media], read: Callable[[Media], bytes]) -> list[Document]:
    """The documents among what is kept of a question. Raises what ``read`` does."""
    documents: list[Document] = []
    pages: dict[int, tuple[bytes, str]] = {}
    total = 1
    for one in media:
        page = _PAGE.fullmatch(one.name)
        if page is not None:
            total = int(page[3])
            picture, text = pages.get(int(page[2]), (b"", ""))
            if one.media_type == "text/plain":
                text = read(one).decode("utf-8", "replace")
            else:
                picture = read(one)
            pages[int(page[2])] = picture, text
        elif one.media_type == "application/pdf":
            made = tuple(Page(number, picture, text) for number, (picture, text) in pages.items())
            documents.append(Document(one.name, total, made, read(one)))
            pages = {}
        elif one.media_type == "text/plain":
            data = read(one)
            text = data.decode("utf-8", "replace")
            documents.append(Document(one.name, 1, (Page(1, b"", text),), data))
    return documents


def words(media: Media, data: bytes) -> str:
    """The text of a page or a text file as the model gets it."""
    text = data.decode("utf-8", "replace")
    page = _PAGE.fullmatch(media.name)
    if page is None:
        return Document(media.name, 1, (Page(1, b"", text),), b"").text + "\n\n"
    return Document(page[1], int(page[3]), (Page(int(page[2]), b"", text),), b"").text + "\n\n"
