"""Encodes text as the packed ids of a record, several times as fast as SentencePiece, by looking up the ids of each word."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from functools import cached_property

from t2t_multimodel.data.tf_example import pack
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.features import Text

_KEPT_WORDS = 1 << 17


class PackedText:
    """Encodes text and linearised trees as `Vocabulary.encode_feature` does, and remembers the ids of words.

    No piece of a vocabulary that mm-datagen makes reaches across a blank, so a text's ids are its words' ids in a row. With
    another vocabulary, for which this does not hold, each text is encoded as a whole.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._words: dict[str, bytes] = {}

    @cached_property
    def _symbols(self) -> dict[str, bytes]:
        return {symbol: pack([i]) for symbol, i in self._vocabulary.symbols.items()}

    def encode(self, feature: Text, texts: Sequence[str]) -> list[bytes]:
        """Returns the packed ids of each text, without an end-of-sequence id."""
        if feature.format == "tree":
            return self._joined(texts, None, dict(self._symbols))
        if not self._vocabulary.encodes_words_apart:
            return [pack(ids) for ids in self._vocabulary.encode_batch(texts)]
        if len(self._words) > _KEPT_WORDS:
            self._words.clear()
        return self._joined(texts, " ", self._words)

    def _joined(self, texts: Sequence[str], separator: str | None, packed: dict[str, bytes]) -> list[bytes]:
        of = packed.__getitem__
        joined: list[bytes] = []
        unknown: dict[int, list[str]] = {}
        for place, text in enumerate(texts):
            words = text.split(separator) if text else []
            try:
                joined.append(b"".join(map(of, words)))
            except KeyError:
                joined.append(b"")
                unknown[place] = words
        self._learn(set(itertools.chain.from_iterable(unknown.values())).difference(packed), packed)
        for place, words in unknown.items():
            joined[place] = b"".join(map(of, words))
        return joined

    def _learn(self, words: Iterable[str], packed: dict[str, bytes]) -> None:
        """Adds the packed ids of `words` in one call, which is several times as fast as one call per word."""
        new = list(words)
        for word, ids in zip(new, self._vocabulary.encode_batch(new) if new else (), strict=True):
            packed[word] = pack(ids or self._vocabulary.encode(" ")[:1])
