"""Prepares text for training a vocabulary: cuts it to SentencePiece's limit, and chooses the characters that get a piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

# SentencePiece ignores sentences of more than 4,192 bytes.
MAX_SENTENCE_BYTES = 4192
_MAX_UTF8_BYTES = 4
# Scripts with thousands of characters: Han, Hangul's syllables, Yi, Tangut and Khitan, compatibility and supplementary Han.
_LARGE_SCRIPTS = (
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA000, 0xA4CF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0x17000, 0x18D8F)),
    (0x20000, 0x323AF),
)
# The share of all characters of alphabets for which there is a piece; the second is SentencePiece's own share for large scripts.
ALPHABET_COVERAGE, LARGE_SCRIPT_COVERAGE = 0.99999, 0.9995


def sentences(texts: Iterable[str]) -> Iterator[str]:
    """Yields the texts; a text too long for SentencePiece is cut at blanks, and a word only if it is too long itself."""
    for text in texts:
        if len(text) * _MAX_UTF8_BYTES <= MAX_SENTENCE_BYTES or len(text.encode()) <= MAX_SENTENCE_BYTES:
            yield text
        else:
            yield from _parts(text)


def _parts(text: str) -> Iterator[str]:
    part: list[str] = []
    size = 0
    longest = MAX_SENTENCE_BYTES // _MAX_UTF8_BYTES
    for word in text.split(" "):
        for piece in [word[i : i + longest] for i in range(0, len(word), longest)]:
            added = len(piece.encode()) + 1
            if part and size + added > MAX_SENTENCE_BYTES:
                yield " ".join(part)
                part, size = [], 0
            part.append(piece)
            size += added
    if part:
        yield " ".join(part)


def alphabet(texts: Sequence[str], most: int) -> str:
    """Returns the most frequent characters that together make up `ALPHABET_COVERAGE` of all characters outside of large scripts.

    Args:
        texts: all text to train on.
        most: the largest number of characters to return.

    Returns:
        The characters as one string, the most frequent first.
    """
    counts = np.zeros(0x110000, np.int64)
    for start in range(0, len(texts), 4096):
        codes = np.frombuffer("".join(texts[start : start + 4096]).encode("utf-32-le", "replace"), np.uint32)
        found, times = np.unique(codes, return_counts=True)
        counts[found] += times
    counts[ord(" ")] = 0
    for first, last in _LARGE_SCRIPTS:
        counts[first : last + 1] = 0
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    shares = np.cumsum(counts[order]) / max(counts.sum(), 1)
    needed = int(np.searchsorted(shares, ALPHABET_COVERAGE)) + 1
    return "".join(map(chr, order[: min(needed, most)].tolist()))
