"""Computes the log-probabilities of given outputs (forced decoding)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import tensorflow as tf

from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.features import Batch, Label
from t2t_multimodel.model_protocol import DecodableModel
from t2t_multimodel.registry import unknown
from t2t_multimodel.utils.constants import PAD_ID
from t2t_multimodel.utils.errors import DataError


class PairScore(NamedTuple):
    """The probability of an output, given its input.

    Attributes:
        log_prob: the natural logarithm of the probability of the whole output, the end of a text included.
        token_log_probs: its parts, one per token; of a class the one.
        tokens: the tokens as text; the end of a text is "". A class has none.
    """

    log_prob: float
    token_log_probs: list[float]
    tokens: list[str]


def class_ids(feature: Label, names: Sequence[str]) -> list[int]:
    """Returns the indices of classes; DataError names one that is none, and the nearest."""
    for name in names:
        if name not in feature.classes:
            raise DataError(unknown("class", name, list(feature.classes))[:300])
    return [feature.classes.index(name) for name in names]


def scores(
    model: DecodableModel, problem: str, batch: Batch, ids: Sequence[int | list[int]], vocabulary: Vocabulary
) -> list[PairScore]:
    """Returns the scores of a batch's outputs.

    Args:
        batch: prepared inputs.
        ids: an index of a class per input, or the ids of a text with EOS.
    """
    classes = isinstance(ids[0], int)
    longest = 1 if classes else max(len(cast(list[int], row)) for row in ids)
    padded = np.array([[row] if isinstance(row, int) else row + [PAD_ID] * (longest - len(row)) for row in ids], np.int32)
    targets = padded[:, 0] if classes else padded
    logits = model.logits(cast(Batch, {**batch, "targets": tf.constant(targets)}), problem)
    picked = tf.gather(
        tf.nn.log_softmax(tf.cast(logits, tf.float32)), tf.constant(targets)[..., None], axis=-1, batch_dims=targets.ndim
    )
    found = []
    for row, values in zip(ids, picked.numpy().reshape(len(ids), longest).tolist(), strict=True):
        of_text = [] if isinstance(row, int) else row
        own = values[: len(of_text) or 1]
        tokens = [vocabulary.piece(i).decode("utf-8", "replace") for i in of_text]
        found.append(PairScore(sum(own), own, tokens))
    return found
