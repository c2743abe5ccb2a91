"""Noise in the tokens that a decoder reads in training (Xie et al. 2017, arXiv 1703.02573)."""

import keras
from keras import ops

from t2t_multimodel.layers.dropout import RandomRate
from t2t_multimodel.utils.constants import PAD_ID


@keras.saving.register_keras_serializable("t2t_multimodel")
class TokenNoise(RandomRate):
    """Replaces a fraction `rate` of tokens in training, each by the token at the same position of a random row of the batch.

    A decoder then learns from its input what it could otherwise guess from the tokens before. The row may be the token's own.
    Where the batch is divided among replicas, the rows are those of the token's replica.

    Args:
        rate: probability that a token is replaced, 0 <= rate < 1.
        first: the smallest id that replaces and is replaced, so that padding and the end of a text stay.
        seed: initial value of the random state; None takes it from Keras's global seed.

    Call: ids int32 [B, T]; returns the same shape and type.

    Raises:
        ValueError: `rate` is outside [0, 1).
    """

    def __init__(self, rate, first=0, seed=None, **kwargs):
        super().__init__(rate, seed, **kwargs)
        self.first = first

    def call(self, ids, training=None):
        if not (training and self.noise):
            return ids
        # A number below the rate is itself uniform there, and says which row the token comes from.
        drawn = self.draw(ops.shape(ids)) / self.rate
        rows = ops.maximum(
            ops.sum(ops.cast(ops.not_equal(ids[:, 0], PAD_ID), "int32")), 1
        )  # rows that fill a fixed shape are the last
        donors = ops.minimum(ops.cast(drawn * ops.cast(rows, "float32"), "int32"), rows - 1)
        others = ops.take_along_axis(ids, donors, axis=0)
        replaced = (drawn < 1.0) & (ids >= self.first) & (others >= self.first)
        return ops.where(replaced, others, ids)

    def get_config(self):
        return {**super().get_config(), "first": self.first}
