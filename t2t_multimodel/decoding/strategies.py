"""Strategies that choose tokens by their log-probabilities: greedy choice, sampling, beam search.

Letters in shapes: B sentences, W rows per sentence, V vocabulary size, T most tokens, n outputs per sentence.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import tensorflow as tf

from t2t_multimodel.utils.constants import EOS_ID, LOWEST


class Hypotheses(NamedTuple):
    """The outputs of each sentence, the best first.

    Attributes:
        ids: int32 [B, n, T], padded with 0; an output ends with EOS unless it was cut at its limit.
        scores: float32 [B, n].
    """

    ids: Any
    scores: Any


class Sequences(NamedTuple):
    """One unfinished output per sentence.

    Attributes:
        ids: int32 [B, T], padded with 0.
        last: int32 [B, 1], the newest token.
        scores: float32 [B], the sum of the log-probabilities of its tokens.
        done: bool [B].
    """

    ids: Any
    last: Any
    scores: Any
    done: Any


@dataclasses.dataclass(frozen=True)
class Greedy:
    """Chooses the likeliest token at each position. The score is the output's log-probability."""

    @property
    def width(self) -> int:
        """Returns the number W of rows per sentence."""
        return 1

    def start(self, sentences: Any, length: Any, limits: Any) -> Sequences:
        """Returns the sequences before the first token.

        Args:
            sentences: int32 scalar, B.
            length: int32 scalar, T.
            limits: int32 [B], the most tokens of each output, EOS included.
        """
        ids = tf.zeros(tf.stack([sentences, length]), tf.int32)
        return Sequences(ids, ids[:, :1], tf.zeros_like(limits, tf.float32), limits < 1)

    def advance(self, old: Sequences, log_probs: Any, position: Any, limits: Any) -> tuple[Sequences, Any]:
        """Returns the sequences with one more token each, and the parents of the rows.

        The parents, int32 [B, W], are the rows of the same sentence that the rows continue; None means that each row continues
        itself.

        Args:
            log_probs: float32 [B, W, V], the log-probabilities at `position`.
            position: int32 scalar.
            limits: as in `start`.
        """
        log_probs = log_probs[:, 0]
        tokens = tf.where(old.done, 0, self._choose(log_probs, position))
        gained = tf.gather(log_probs, tokens, batch_dims=1)
        scores = old.scores + tf.where(old.done, tf.zeros_like(gained), gained)
        done = old.done | (tokens == EOS_ID) | (position + 1 >= limits)
        return Sequences(_write(old.ids, tokens, position), tokens[:, None], scores, done), None

    def result(self, sequences: Sequences, limits: Any) -> Hypotheses:
        """Returns the outputs."""
        return Hypotheses(sequences.ids[:, None], sequences.scores[:, None])

    def _choose(self, log_probs: Any, position: Any) -> Any:
        return tf.argmax(log_probs, axis=-1, output_type=tf.int32)


@dataclasses.dataclass(frozen=True)
class Sampling(Greedy):
    """Draws each token at random. The score is the output's log-probability under the model at temperature 1, with no token cut.

    Args:
        temperature: divides the logits; above 0.
        top_k: draws from the k likeliest tokens only; 0 draws from all.
        top_p: draws from the likeliest tokens that together have this probability (arXiv 1904.09751); 1 draws from all.
        seed: seed of the draws; the same seed and batch give the same outputs.

    Raises:
        ValueError: an argument is out of its range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be 0 (all) or more, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must lie above 0 and up to 1, got {self.top_p}")

    def _choose(self, log_probs: Any, position: Any) -> Any:
        logits = log_probs / self.temperature
        if self.top_k:
            kept = min(self.top_k, logits.shape[-1])
            logits = tf.where(logits < tf.math.top_k(logits, kept)[0][:, -1:], LOWEST, logits)
        if self.top_p < 1:
            ordered = tf.sort(logits, direction="DESCENDING")
            before = tf.cumsum(tf.nn.softmax(ordered), axis=-1, exclusive=True)
            least = tf.reduce_min(tf.where(before < self.top_p, ordered, float("inf")), axis=-1, keepdims=True)
            logits = tf.where(logits < least, LOWEST, logits)
        # Random integers, and floats computed exactly from them, are the same under XLA; floats drawn under XLA are not.
        bits = tf.random.stateless_uniform(tf.shape(logits), tf.stack([self.seed, position]), None, None, tf.uint32)
        uniform = (tf.cast(tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32)), tf.float32) + 0.5) * 2.0**-23
        return tf.argmax(logits - tf.math.log(-tf.math.log(uniform)), axis=-1, output_type=tf.int32)


class Beams(NamedTuple):
    """The unfinished beams of B sentences, and their best finished outputs.

    Attributes:
        ids: int32 [B, W, T], the unfinished beams.
        last: int32 [B, W], their newest tokens.
        log_probs: float32 [B, W], their log-probabilities.
        ended_ids: int32 [B, W, T], the best outputs that have ended.
        ended_scores: float32 [B, W], their scores; LOWEST where there is none.
        done: bool [B].
    """

    ids: Any
    last: Any
    log_probs: Any
    ended_ids: Any
    ended_scores: Any
    done: Any


@dataclasses.dataclass(frozen=True)
class BeamSearch:
    """Beam search with the length penalty ((5 + length) / 6) ** alpha (arXiv 1609.08144, section 7), as in tensor2tensor.

    The score of an output is its log-probability divided by the penalty of its length, EOS included. A sentence is done when none
    of its beams can reach the n_best outputs that have ended, or at its limit. Outputs cut at the limit come after all others.

    Args:
        size: beams W per sentence.
        alpha: exponent of the penalty: 0 prefers short outputs, 1 long ones.
        n_best: outputs n per sentence, at most `size`.

    Raises:
        ValueError: `n_best` is not between 1 and `size`.
    """

    size: int = 4
    alpha: float = 0.6
    n_best: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.n_best <= self.size:
            raise ValueError(f"n_best must lie between 1 and the beam size {self.size}, got {self.n_best}")

    @property
    def width(self) -> int:
        """Returns the number W of rows per sentence."""
        return self.size

    def start(self, sentences: Any, length: Any, limits: Any) -> Beams:
        """Returns the beams before the first token; see Greedy.

        Only the first beam of each sentence is possible, since the beams would all continue in the same way.
        """
        ids = tf.zeros(tf.stack([sentences, self.size, length]), tf.int32)
        impossible = tf.zeros_like(ids[:, :, 0], tf.float32) + LOWEST
        log_probs = tf.concat([tf.zeros_like(impossible[:, :1]), impossible[:, 1:]], axis=1)
        return Beams(ids, ids[:, :, 0], log_probs, ids, impossible, limits < 1)

    def advance(self, old: Beams, log_probs: Any, position: Any, limits: Any) -> tuple[Beams, Any]:
        """Returns the beams with one more token each, and their parents; see Greedy.

        The 2 W likeliest continuations are examined: at least W of them do not end.
        """
        totals, parents, tokens = _likeliest(old.log_probs[:, :, None] + log_probs, 2 * self.size)
        ids = _write(tf.gather(old.ids, parents, batch_dims=1), tokens, position)
        ends = tokens == EOS_ID
        scores = tf.where(ends, totals / self._penalty(position + 1), LOWEST)
        ended_ids, ended_scores = tf.concat([old.ended_ids, ids], 1), tf.concat([old.ended_scores, scores], 1)
        ended_scores, best = tf.math.top_k(ended_scores, self.size)
        log_probs, going = tf.math.top_k(tf.where(ends, LOWEST, totals), self.size)
        ids, tokens, parents = (tf.gather(values, going, batch_dims=1) for values in (ids, tokens, parents))
        hopeless = ended_scores[:, self.n_best - 1] >= log_probs[:, 0] / self._penalty(limits)
        done = old.done | hopeless | (position + 1 >= limits)
        new = Beams(ids, tokens, log_probs, tf.gather(ended_ids, best, batch_dims=1), ended_scores, done)
        return Beams(*(_unless(old.done, value, kept) for value, kept in zip(new, old, strict=True))), parents

    def result(self, beams: Beams, limits: Any) -> Hypotheses:
        """Returns the outputs: those that ended by score, then those that were cut."""
        cut_scores = beams.log_probs / self._penalty(limits)[:, None]
        ids, scores = tf.concat([beams.ended_ids, beams.ids], 1), tf.concat([beams.ended_scores, cut_scores], 1)
        ranks = tf.concat([beams.ended_scores, cut_scores + LOWEST / 2], 1)
        best = tf.math.top_k(ranks, self.n_best)[1]
        return Hypotheses(tf.gather(ids, best, batch_dims=1), tf.gather(scores, best, batch_dims=1))

    def _penalty(self, length: Any) -> Any:
        return ((5.0 + tf.cast(length, tf.float32)) / 6.0) ** self.alpha


Strategy = Greedy | BeamSearch
_GROUP = 64


def _likeliest(totals: Any, count: int) -> tuple[Any, Any, Any]:
    """Returns the `count` largest of totals [B, W, V], with their rows and tokens, each [B, count]."""
    size, width = totals.shape[-1], totals.shape[1]
    values, tokens = _top_k(totals, min(count, size))  # per row first: sorting all rows together takes longer
    kept = values.shape[-1]
    values, index = tf.math.top_k(tf.reshape(values, (-1, width * kept)), min(count, width * kept))
    return values, index // kept, tf.gather(tf.reshape(tokens, (-1, width * kept)), index, batch_dims=1)


def _top_k(values: Any, count: int) -> tuple[Any, Any]:
    """Returns tf.math.top_k(values, count) of values [B, W, V], several times as fast for a large V.

    The last axis is cut into groups. The `count` largest values lie in the `count` groups with the largest maxima. Of equal ones
    the first are taken, as by tf.math.top_k.
    """
    size = values.shape[-1]
    if size % _GROUP or size < 4 * count * _GROUP:
        return tf.math.top_k(values, count)
    groups = tf.reshape(values, tf.concat([tf.shape(values)[:2], [size // _GROUP, _GROUP]], 0))
    chosen = tf.sort(tf.math.top_k(tf.reduce_max(groups, axis=-1), count)[1])
    candidates = tf.reshape(tf.gather(groups, chosen, batch_dims=2), tf.concat([tf.shape(values)[:2], [count * _GROUP]], 0))
    found, places = tf.math.top_k(candidates, count)
    return found, tf.gather(chosen, places // _GROUP, batch_dims=2) * _GROUP + places % _GROUP


def _write(ids: Any, tokens: Any, position: Any) -> Any:
    """Returns ids [..., T] with `tokens` [...] written at `position`."""
    return tf.where(tf.range(tf.shape(ids)[-1]) == position, tokens[..., None], ids)


def _unless(done: Any, value: Any, kept: Any) -> Any:
    """Returns `kept` [B, ...] where done [B] is True, else `value` [B, ...]."""
    return tf.where(tf.reshape(done, tf.concat([tf.shape(done), tf.ones(len(value.shape) - 1, tf.int32)], 0)), kept, value)
