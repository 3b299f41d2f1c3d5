"""Documents: real PDFs, rendered in a real process; damaged, hostile and very long ones."""

from __future__ import annotations

import contextlib
import io
import random
import threading
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image

from assistant.media import document
from models.errors import Cancelled, MediaError


def pdf(
    path: Path, pages: int, size: tuple[float, float] = (595, 842), text: str = "Page number {n}"
) -> Path:
    """A PDF with a line of text without brackets and a grey box on each page."""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    kids = []
    for number in range(1, pages + 1):
        line = text.replace("{n}", str(number))
        drawn = f"0.5 g 100 100 200 50 re f 0 g BT /F1 24 Tf 100 700 Td ({line}) Tj ET"
        objects.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
        kids.append(len(objects) + 1)
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {size[0]} {size[1]}] /Contents {len(objects)} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>"
        )
    listed = " ".join(f"{kid} 0 R" for kid in kids)
    objects[1] = f"<< /Type /Pages /Count {pages} /Kids [{listed}] >>"
    out = io.BytesIO(b"")
    out.write(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(out.tell())
        out.write(f"{number} 0 obj\n{body}\nendobj\n".encode())
    table = out.tell()
    out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    out.write(b"".join(f"{place:010} 00000 n \n".encode() for place in places))
    out.write(f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF".encode())
    path.write_bytes(out.getvalue())
    return path


def test_pages_are_pictures_and_text(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    found = document.load(pdf(tmp_path / "report.pdf", 3), "1,3", on_page=lambda *n: told.append(n))
    assert (found.total, found.used) == (3, "1,3")
    assert found.text == "report.pdf, page 1 of 3:\nPage number 1\n\nreport.pdf, page 3 of 3:\nPage number 3"
    assert told == [(1, 2), (2, 2)]
    pixels = np.asarray(Image.open(io.BytesIO(found.pictures[1])).convert("L"))
    assert abs(pixels.shape[0] - 842 * 150 / 72) < 2
    assert 100 < pixels[-int(125 * 150 / 72), int(200 * 150 / 72)] < 150  # the box
    assert pixels[5, 5] == 255


def test_a_thousand_pages_cost_what_is_asked_for(tmp_path: Path) -> None:
    found = document.load(pdf(tmp_path / "long.pdf", 1000))
    assert (found.total, found.used) == (1000, "1-4")
    assert document.load(tmp_path / "long.pdf", "998-1000").text.endswith("Page number 1000")


def test_a_page_of_any_size_is_a_picture_of_bounded_size(tmp_path: Path) -> None:
    found = document.load(pdf(tmp_path / "poster.pdf", 1, (14_400, 14_400)))
    assert Image.open(io.BytesIO(found.pictures[0])).size == (document.SIDE, document.SIDE)


@pytest.mark.parametrize(
    ("pages", "said"),
    [("0", "no page 0"), ("2-1", "no page 2-1"), ("9", "no page 9")]
    + [(pages, "names no pages") for pages in ("a", "1-", "1,,2", "-1", "99999999")],
)
def test_pages_that_there_are_not(pages: str, said: str) -> None:
    with pytest.raises(MediaError, match=said):
        document.chosen(pages, 5)


def test_pages_are_read_and_written() -> None:
    assert document.chosen(" 1 – 3, 5", 9) == [1, 2, 3, 5]
    assert document.ranges([1, 2, 3, 5]) == "1-3,5"
    assert document.chosen("", 2) == [1, 2]
    with pytest.raises(MediaError, match="too many"):
        document.chosen("1-17", 1000)


def test_text_files(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Notes\n<|end|> is text", "utf-8")
    found = document.load(tmp_path / "notes.md")
    assert found.text == "notes.md:\n# Notes\n<|end|> is text"
    assert found.pictures == ()
    (tmp_path / "binary.txt").write_bytes(b"a\0b")
    with pytest.raises(MediaError, match="no text"):
        document.load(tmp_path / "binary.txt")


@pytest.mark.parametrize(
    "content", [b"", b"%PDF-1.4\n", b"junk" * 999, b"\0" * 5000], ids=["empty", "cut", "junk", "0"]
)
def test_what_is_no_pdf(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.pdf").write_bytes(content)
    with pytest.raises(MediaError, match=r"bad\.pdf is (empty|no PDF)"):
        document.load(tmp_path / "bad.pdf")


def test_a_locked_pdf_says_so(tmp_path: Path) -> None:
    """With the standard security handler; the key is of no password that we know."""
    data = pdf(tmp_path / "open.pdf", 1).read_bytes()
    lock = (
        b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <" + b"41" * 32 + b"> /U <" + b"42" * 32 + b"> >>"
    )
    ident = b" /ID [<00112233445566778899aabbccddeeff><00112233445566778899aabbccddeeff>] >>"
    (tmp_path / "locked.pdf").write_bytes(data.replace(b"/Root 1 0 R >>", b"/Root 1 0 R " + lock + ident))
    with pytest.raises(MediaError, match="password"):
        document.load(tmp_path / "locked.pdf")


def test_damaged_pdfs_never_harm(tmp_path: Path) -> None:
    """Cut, or with flipped bytes: pages, or one sentence; never an exception of another kind."""
    whole = pdf(tmp_path / "whole.pdf", 2).read_bytes()
    rng = random.Random(3)
    for number in range(12):
        broken = bytearray(whole[: rng.randint(1, len(whole))] if number % 2 else whole)
        for _ in range(rng.randint(1, 40)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        with contextlib.suppress(MediaError):
            assert document.rendered(bytes(broken), "broken.pdf").pages


def test_it_can_be_cancelled(tmp_path: Path) -> None:
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        document.load(
            pdf(tmp_path / "long.pdf", 20), "1-16", cancel, lambda done, _: cancel.set() if done else None
        )


def test_pypdfium_is_not_loaded_here() -> None:
    """Only by these tests: the file is opened in another process."""
    assert "pypdfium2" not in Path(document.__file__).read_text("utf-8").split("def _serve")[0]
    assert pypdfium2.PdfDocument is not None
