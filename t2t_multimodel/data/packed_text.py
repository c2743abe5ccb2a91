"""Text to the packed ids that a record holds, several times as fast as SentencePiece alone: a word's ids are looked up."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from t2t_multimodel.data.example_message import pack
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.features import Text

_KEPT_WORDS = 1 << 17


class PackedText:
    """Encodes text and linearised trees like `vocabulary.encode_feature`, and remembers the words it has met.

    No piece of a vocabulary reaches across a blank, so a text's ids are its words' ids in a row.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._words: dict[str, bytes] = {}
        self._symbols = {symbol: pack([i]) for symbol, i in vocabulary.symbols.items()}

    def encode(self, feature: Text, texts: Sequence[str]) -> list[bytes]:
        """The packed ids of each text, without an end-of-sequence id."""
        if feature.format == "tree":
            return self._joined([text.split() for text in texts], dict(self._symbols))
        if len(self._words) > _KEPT_WORDS:
            self._words.clear()
        return self._joined([text.split(" ") if text else [] for text in texts], self._words)

    def _joined(self, rows: list[list[str]], packed: dict[str, bytes]) -> list[bytes]:
        new = sorted(set(itertools.chain.from_iterable(rows)).difference(packed))
        for word, ids in zip(new, self._vocabulary.encode_batch(new), strict=True):
            packed[word] = pack(ids or self._vocabulary.encode(" ")[:1])
        of = packed.__getitem__
        return [b"".join(map(of, row)) for row in rows]
