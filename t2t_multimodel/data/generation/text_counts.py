"""Counts how well a vocabulary fits text: words, tokens, tokens that are single bytes, and characters without a piece."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from t2t_multimodel.data.tf_example import unpack
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.features import Text

# Counts for the text of one side of a split: words (for trees symbols), tokens, tokens that are single bytes or unknown, and
# characters (for trees symbols) without a piece.
COUNTS = ("words", "tokens", "byte_tokens", "unknown")


class TextCounter:
    """Computes the counts named in `COUNTS` for encoded text."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    @cached_property
    def _is_byte(self) -> np.ndarray:
        """Returns bool [vocabulary size]: whether an id is a byte's id or unknown."""
        return np.array([self._vocabulary.is_fallback(i) for i in range(self._vocabulary.size)])

    @cached_property
    def _begins_character(self) -> np.ndarray:
        """Returns bool [vocabulary size]: whether a byte's id begins a character in UTF-8; True for the unknown id."""
        first = [self._vocabulary.piece(i)[:1] if byte else b"\x80" for i, byte in enumerate(self._is_byte)]
        return np.array([not 0x80 <= (byte or b"?")[0] < 0xC0 for byte in first])

    @cached_property
    def _is_symbol(self) -> np.ndarray:
        """Returns bool [vocabulary size]: whether an id is a tree symbol's id."""
        return np.isin(np.arange(self._vocabulary.size), list(self._vocabulary.symbols.values()))

    def count(self, feature: Text, texts: Sequence[str], packed: Sequence[bytes]) -> dict[str, int]:
        """Returns the counts of `texts`, whose packed ids are `packed`."""
        times = np.bincount(unpack(b"".join(packed)), minlength=self._vocabulary.size)
        words = " ".join(texts).count(" ") + bool(texts)
        if feature.format == "tree":
            unknown = words - int(times[self._is_symbol].sum())
        else:
            unknown = int(times[self._begins_character].sum())
        return dict(zip(COUNTS, (words, int(times.sum()), int(times[self._is_byte].sum()), unknown), strict=True))


def rates(counts: dict[str, int]) -> tuple[float, float]:
    """Returns the number of tokens per word, and the share of tokens that are single bytes or unknown."""
    return counts["tokens"] / max(counts["words"], 1), counts["byte_tokens"] / max(counts["tokens"], 1)
