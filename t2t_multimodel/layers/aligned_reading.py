"""ByteNet's aligned reading of a source (Kalchbrenner et al. 2016, arXiv 1610.10099, section 3): position t reads source state t.

Letters in shapes: B batch, T target length, S source length, D depth, W rows per sentence, R = B * W rows.
"""

import keras
from keras import ops

from t2t_multimodel.layers.attention_weights import collect_weights
from t2t_multimodel.layers.convolution import ConvStep
from t2t_multimodel.utils.constants import LOWEST


@keras.saving.register_keras_serializable("t2t_multimodel")
class AlignedReading(keras.layers.Layer):
    """Reads source state t at target position t: the layer in place of an AttentionBlock in a decoder without attention.

    Target position t gets a pointwise ConvStep of source state t, or zeros beyond the source's end. The layer does not read the
    target: the causal ConvBlocks around it do.

    Call: target [B, T, D], source [B, S, D], source_mask [B, S]; returns [B, T, D], without a residual.
    """

    # Callers ask an AttentionBlock for both; this layer has no causal convolution and draws no random number.
    steps: tuple[ConvStep, ...] = ()
    generators: tuple[()] = ()

    def build(self, target_shape, source_shape=None):
        self.read = ConvStep(target_shape[-1], (1,), name="read", dtype=self.dtype_policy)
        self.read.build(target_shape)

    def call(self, target, source, source_mask, training=None):
        length = ops.shape(target)[1]
        collect_weights(lambda: _diagonal(source_mask, length))
        values = self.read(source) * ops.cast(source_mask, self.compute_dtype)[..., None]
        return ops.pad(values, [[0, 0], [0, length], [0, 0]])[:, :length]

    def precompute(self, source):
        """Returns the states [B, S, D] that every step reads, for source [B, S, D]."""
        return self.read(source)

    def init_cache(self, rows, length, width=1):
        """Returns an empty cache: a step does not depend on earlier steps."""
        return ()

    def step(self, x, cache, step, values, bias):
        """Computes one position: x [R, D] -> ([R, D], cache).

        Args:
            step: a DecodeStep.
            values: from `precompute`.
            bias: float32 [B, 1, 1, S], 0 where the source may be read, else LOWEST.
        """
        length = ops.shape(values)[1]
        index = ops.minimum(step.position, length - 1)
        readable = ops.logical_and(step.position < length, ops.take(bias[:, 0, 0], index, axis=1) > LOWEST / 2)
        read = ops.take(values, index, axis=1) * ops.cast(readable, values.dtype)[:, None]
        return (read if step.width == 1 else ops.repeat(read, step.width, axis=0)), cache


def _diagonal(source_mask, length):
    """Returns weights float32 [B, 1, T, S] with which target position t reads source position t alone, for T = `length`."""
    mask = ops.cast(source_mask, "float32")
    return (ops.eye(length, ops.shape(mask)[1]) * mask[:, None, :])[:, None]
