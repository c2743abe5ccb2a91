"""The language modality net (section 2.5.1)."""

import keras
from keras import ops

from t2t_multimodel.layers.normalization import dense
from t2t_multimodel.modalities.base import Embedded, modalities


@keras.saving.register_keras_serializable("t2t_multimodel")
class LanguageModality(keras.layers.Layer):
    """One embedding table for every language problem, and a linear map back to the vocabulary.

    Args:
        hidden_size: depth D of the body.
        vocab_size: pieces V of the vocabulary.
        scale: whether embeddings are multiplied by sqrt(D).
        tied: whether the embedding table is the output map as well.

    `bottom(ids)` returns an Embedded: ids int32 [B, L], where id 0 is padding and embeds to zero. `top(states)` returns logits
    float32 [B, T, V] for states [B, T, D], or [R, V] for states [R, D].
    """

    def __init__(self, hidden_size, vocab_size, scale=True, tied=False, **kwargs):
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.vocab_size = vocab_size
        self.scale = scale
        self.tied = tied

    def build(self, input_shape=None):
        initializer = keras.initializers.RandomNormal(stddev=self.hidden_size**-0.5)
        shape = (self.vocab_size, self.hidden_size)
        self.table = self.add_weight(shape=shape, initializer=initializer, name="table", autocast=False)
        if not self.tied:
            shape = (self.hidden_size, self.vocab_size)
            self.output_kernel = self.add_weight(shape=shape, initializer="glorot_uniform", name="output")
        self.built = True

    def bottom(self, ids, length=None, training=None):
        mask = ops.cast(ops.not_equal(ids, 0), "float32")
        states = ops.take(self.table, ids, axis=0) * mask[:, :, None]
        states = states * self.hidden_size**0.5 if self.scale else states
        return Embedded(ops.cast(states, self.compute_dtype), mask)

    def positions(self, ids, length=None):
        """Returns the number of positions, int32 scalar, up to the last real one of any row of ids [B, L]."""
        return ops.max(ops.sum(ops.cast(ops.not_equal(ids, 0), "int32"), axis=1))

    def top(self, states, embedded=None, training=None):
        if self.tied and len(states.shape) == 2:  # a few rows are cheaper to transpose than the table
            return ops.cast(ops.transpose(ops.matmul(ops.cast(self.table, states.dtype), ops.transpose(states))), "float32")
        kernel = ops.transpose(self.table) if self.tied else self.output_kernel
        return ops.cast(dense(states, kernel), "float32")

    def get_config(self):
        names = ("hidden_size", "vocab_size", "scale", "tied")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@modalities.registered("language")
def _language(config, size):
    return LanguageModality(
        config.hidden_size, size, config.scale_embeddings, config.tie_embeddings, name="language", dtype=config.dtype_policy
    )
