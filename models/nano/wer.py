"""Word errors."""

from __future__ import annotations


def word_errors(wanted: str, heard: str) -> int:
    """Substitutions, deletions and insertions of words (Levenshtein distance)."""
    a, b = wanted.split(), heard.split()
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        left, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            left, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, left + (x != y))
    return row[-1]
