"""What the built-in model's package says of itself, in the language of the window."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication


def spoken(text: str) -> str:
    """A sentence of a package's description; other packages' stay as they are."""
    known = (
        QCoreApplication.translate(
            "Nano",
            "The small demonstration model: Phi-4-multimodal's architecture with 6 million parameters.",
        ),
        QCoreApplication.translate(
            "Nano", "It knows about 600 English words and was trained on synthetic speech only."
        ),
        QCoreApplication.translate(
            "Nano",
            "It understands eight kinds of commands and questions about drawn shapes, bars, and 24 words and"
            " numbers in large letters.",
        ),
        QCoreApplication.translate(
            "Nano", "It translates a small phrase book to German, Spanish and Chinese."
        ),
        QCoreApplication.translate("Nano", "It can't summarize or talk about anything else."),
    )
    said = QCoreApplication.translate("Nano", text)
    return said if said in known else text
