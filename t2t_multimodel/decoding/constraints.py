"""A constraint on outputs: only tokens that can still lead to a parse tree over exactly the input's words are allowed.

Letters in shapes: R rows (unfinished outputs), V vocabulary size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from t2t_multimodel.utils.constants import EOS_ID

MAX_DEPTH = 100


class TreeState(NamedTuple):
    """The unfinished trees of R rows.

    Attributes:
        labels: int32 [R, MAX_DEPTH], the labels of the open brackets, outermost first.
        depth: int32 [R], the number of open brackets.
        words: int32 [R], the number of words that still need a tag.
        empty: bool [R], whether the innermost bracket is still empty.
    """

    labels: Any
    depth: Any
    words: Any
    empty: Any


class WellFormedTrees:
    """Allows the tokens of linearised trees (see data.trees) with one tag per word and one root.

    Every bracket is closed by its own label, and no bracket is empty.

    Args:
        symbols: the vocabulary's tree symbols and their ids.
        size: the vocabulary's size V.
    """

    def __init__(self, symbols: Mapping[str, int], size: int) -> None:
        labels = sorted({s[1:] for s in symbols if s.startswith("(")} & {s[1:] for s in symbols if s.startswith(")")})
        opened, closed, tags = np.full(size, -1, np.int32), np.full(size, -1, np.int32), np.zeros(size, bool)
        for symbol, i in symbols.items():
            if symbol[0] not in "()":
                tags[i] = True
            elif symbol[1:] in labels:
                (opened if symbol[0] == "(" else closed)[i] = labels.index(symbol[1:])
        self._opened, self._closed, self._tags = opened, closed, tags
        # A vocabulary that was made without a treebank has no tree symbols.
        self.possible = bool(tags.any() and (opened >= 0).any())

    @staticmethod
    def shortest(words: np.ndarray) -> np.ndarray:
        """Returns the fewest tokens of a tree over `words` words: a tag per word, a pair of brackets, EOS."""
        return words + 3

    def start(self, words: Any) -> TreeState:
        """Returns the state before the first token of trees over `words` words, int32 [R]."""
        zeros = tf.zeros_like(words)
        return TreeState(tf.zeros(tf.stack([tf.shape(words)[0], MAX_DEPTH]), tf.int32), zeros, words, zeros > 0)

    def allowed(self, state: TreeState, remaining: Any) -> Any:
        """Returns bool [R, V]: the tokens after which the tree can still be finished.

        If the first step has at least `shortest` tokens remaining, every step has an allowed token.

        Args:
            remaining: int32 [R], the number of tokens that may still be written, EOS included.
        """
        depth, words = state.depth, state.words
        inside = depth > 0
        top = tf.gather(state.labels, tf.maximum(depth - 1, 0), batch_dims=1)
        may_tag = (words > 0) & (inside | (words == 1))
        may_open = (words > 0) & (depth < MAX_DEPTH) & (words + depth + 3 <= remaining)
        may_close = inside & ~state.empty & ((depth > 1) | (words == 0))
        may_end = ~inside & (words == 0)
        return (
            (may_tag[:, None] & self._tags)
            | (may_open[:, None] & (self._opened >= 0))
            | (may_close[:, None] & (self._closed == top[:, None]))
            | (may_end[:, None] & (tf.range(len(self._tags)) == EOS_ID))
        )

    def advance(self, state: TreeState, tokens: Any) -> TreeState:
        """Returns the state after `tokens`, int32 [R]."""
        opened, tagged = tf.gather(self._opened, tokens), tf.gather(self._tags, tokens)
        opens, closes = opened >= 0, tf.gather(self._closed, tokens) >= 0
        here = tf.range(MAX_DEPTH) == state.depth[:, None]
        labels = tf.where(opens[:, None] & here, opened[:, None], state.labels)
        depth = state.depth + tf.cast(opens, tf.int32) - tf.cast(closes, tf.int32)
        words = state.words - tf.cast(tagged, tf.int32)
        return TreeState(labels, depth, words, opens | (state.empty & ~tagged & ~closes))
