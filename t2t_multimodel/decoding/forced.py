"""Computes the log-probabilities of given outputs (forced decoding), and where the model looks while it writes them.

Letters in shapes: B inputs, n outputs per input, T tokens of an output, S positions of an encoded input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.decoding.encoding import Source
from t2t_multimodel.features import Batch, Label
from t2t_multimodel.model_protocol import DecodableModel
from t2t_multimodel.registry import unknown
from t2t_multimodel.utils.constants import LOWEST, PAD_ID
from t2t_multimodel.utils.errors import DataError


class Attention(NamedTuple):
    """Where a model looks while it writes an output.

    Attributes:
        weights: float32 [T, S], how much each token reads each position of the encoded input; a row sums to 1, or to 0 where a
            model without attention has no position left. They are those of the decoder's last attention over the input, the mean
            over its heads.
        shape: (height, width) of positions that are a grid, row by row (of a picture, or of frames and frequency bins of a
            sound), otherwise None.
    """

    weights: np.ndarray
    shape: tuple[int, int] | None


class PairScore(NamedTuple):
    """The probability of an output, given its input.

    Attributes:
        log_prob: the natural logarithm of the probability of the whole output, the end of a text included.
        token_log_probs: its parts, one per token; of a class the one.
        tokens: the tokens as text; the end of a text is "". A class has none.
        attention: where the model looks, if it was asked for. A class has none.
    """

    log_prob: float
    token_log_probs: list[float]
    tokens: list[str]
    attention: Attention | None = None


def class_ids(feature: Label, names: Sequence[str]) -> list[int]:
    """Returns the indices of classes; DataError names one that is none, and the nearest."""
    for name in names:
        if name not in feature.classes:
            raise DataError(unknown("class", name, list(feature.classes))[:300])
    return [feature.classes.index(name) for name in names]


def pieces(ids: Sequence[int], vocabulary: Vocabulary) -> list[str]:
    """Returns the tokens of a text as texts; the end of the text is ""."""
    return [vocabulary.piece(i).decode("utf-8", "replace") for i in ids]


def class_scores(logits: np.ndarray, ids: Sequence[int]) -> list[PairScore]:
    """Returns the score of one class per input, from logits [B, classes]."""
    log_probs = tf.nn.log_softmax(tf.cast(logits, tf.float32)).numpy()
    return [PairScore(value, [value], []) for value in (float(row[i]) for row, i in zip(log_probs, ids, strict=True))]


def text_scores(
    model: DecodableModel,
    problem: str,
    batch: Batch,
    outputs: Sequence[Sequence[Sequence[int]]],
    vocabulary: Vocabulary,
    attention: bool = False,
) -> list[list[PairScore]]:
    """Returns the scores of texts, by one pass over whole outputs; padding has no probability, as in the search.

    Args:
        batch: prepared inputs.
        outputs: for each input as many outputs n as for the others, each the ids of a text with EOS.
        attention: whether PairScores have it.
    """
    count, longest = len(outputs[0]), max(len(ids) for row in outputs for ids in row)
    padded = np.array([[*ids, *[PAD_ID] * (longest - len(ids))] for row in outputs for ids in row], np.int32)
    encoded = model.encode(batch["inputs"], batch.get("inputs_length"), problem)
    source = Source(*(tf.repeat(value, count, axis=0) for value in (encoded.states, encoded.mask)))
    weights = None
    if attention:
        logits, weights = model.decode_with_attention(source, tf.constant(padded), problem)
    else:
        logits = model.decode(source, tf.constant(padded), problem)
    log_probs = tf.nn.log_softmax(tf.where(tf.range(logits.shape[-1]) == PAD_ID, LOWEST, logits))
    picked = tf.gather(log_probs, padded, axis=-1, batch_dims=2).numpy()
    real = tf.reduce_sum(tf.cast(source.mask, tf.int32), axis=1).numpy()
    width = int(encoded.shape[1]) if encoded.shape else 0
    found = []
    for i, ids in enumerate(ids for row in outputs for ids in row):
        own = picked[i, : len(ids)].tolist()
        shape = (int(real[i]) // width, width) if width else None
        looks = None if weights is None else Attention(weights[i, : len(ids), : real[i]].numpy(), shape)
        found.append(PairScore(sum(own), own, pieces(ids, vocabulary), looks))
    return [found[start : start + count] for start in range(0, len(found), count)]
