"""Teacher-forced metrics: sums over batches, and their means."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from t2t_multimodel.utils.constants import NO_LABEL, PAD_ID


class MetricSums(NamedTuple):
    """Sums over the tokens and sequences of batches, float32 scalars; a label counts as a sequence of one token.

    Attributes:
        nats: cross-entropy in nats.
        correct: tokens to which the model gives the highest probability.
        correct_top5: tokens among the five likeliest.
        weight: tokens.
        sequences_correct: sequences with every token correct.
        sequences: sequences.
    """

    nats: tf.Tensor
    correct: tf.Tensor
    correct_top5: tf.Tensor
    weight: tf.Tensor
    sequences_correct: tf.Tensor
    sequences: tf.Tensor


def metric_sums(logits: tf.Tensor, targets: tf.Tensor) -> MetricSums:
    """Returns the sums for logits [B, T, V] and ids int32 [B, T], where id 0 does not count, or [B, classes] and int32 [B].

    A row without a target (only id 0, or NO_LABEL) fills a fixed shape and does not count.
    """
    is_text = targets.shape.rank == 2
    weights = tf.cast(targets != PAD_ID if is_text else targets != NO_LABEL, tf.float32)
    rows = weights[:, 0] if is_text else weights
    targets = tf.maximum(targets, 0)
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    right = tf.cast(tf.argmax(logits, -1, tf.int32) == targets, tf.float32)
    flat, ids = tf.reshape(logits, (-1, logits.shape[-1])), tf.reshape(targets, [-1])
    top5 = tf.reshape(tf.cast(tf.math.in_top_k(ids, flat, min(5, logits.shape[-1])), tf.float32), tf.shape(targets))
    whole = tf.reduce_min(tf.maximum(right, 1.0 - weights), axis=-1) if is_text else right
    nats, right, top5 = (tf.reduce_sum(values * weights) for values in (nats, right, top5))
    return MetricSums(nats, right, top5, tf.reduce_sum(weights), tf.reduce_sum(whole * rows), tf.reduce_sum(rows))


def mean_metrics(sums: MetricSums) -> dict[str, float]:
    """Returns the metrics by name; the losses are in nats per token, the accuracies fractions."""
    nats = float(sums.nats) / float(sums.weight)
    return {
        "loss": nats,
        "log_perplexity": nats,
        "neg_log_perplexity": -nats,
        "accuracy": float(sums.correct) / float(sums.weight),
        "accuracy_top5": float(sums.correct_top5) / float(sums.weight),
        "accuracy_per_sequence": float(sums.sequences_correct) / float(sums.sequences),
        "examples": float(sums.sequences),
    }
