"""Multi-head dot-product attention and the attention block (arXiv 1706.05137, section 2.2).

Letters in shapes: B batch, T target length, S source length, D depth, N heads, P depth of a head.
"""

import keras
from keras import ops

from t2t_multimodel.layers.convolution import ConvStep
from t2t_multimodel.layers.dropout import Dropout
from t2t_multimodel.layers.normalization import dense, softmax
from t2t_multimodel.layers.position import timing_signal

LOWEST = -1e9


def causal_mask(length):
    """float32 [1, length, length]: 1 where position t (row) may look at position s (column), s <= t."""
    t = ops.arange(length)
    return ops.cast(t[None, :, None] >= t[None, None, :], "float32")


@keras.saving.register_keras_serializable("t2t_multimodel")
class MultiHeadAttention(keras.layers.Layer):
    """Scaled dot-product attention in `num_heads` heads, with projections of queries, keys, values and output (no biases).

    Args:
        num_heads: must divide the depth.
        dropout: rate on the attention weights.

    Call: target [B, T, D], source [B, S, D], attention_mask [B or 1, T or 1, S] (1 may be read, 0 may not); returns
    [B, T, D]. A target position that may read nothing gets the mean of all values; its own output is padding.
    """

    def __init__(self, num_heads=8, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.dropout = dropout
        self.drop = Dropout(dropout, name="dropout")

    def build(self, target_shape, source_shape=None):
        depth = target_shape[-1]
        if depth % self.num_heads:
            raise ValueError(f"num_heads must divide the depth, got {self.num_heads} heads and depth {depth}")
        for name in ("query", "key", "value", "output"):
            weight = self.add_weight(shape=(depth, depth), initializer="glorot_uniform", name=name)
            setattr(self, f"{name}_kernel", weight)
        self.drop.build()

    def call(self, target, source, attention_mask, training=None):
        depth = target.shape[-1]
        q = self._heads(dense(target, self.query_kernel) * (depth // self.num_heads) ** -0.5)
        k = self._heads(dense(source, self.key_kernel))
        v = self._heads(dense(source, self.value_kernel))
        logits = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2)))
        logits = logits + LOWEST * (1.0 - ops.cast(attention_mask, logits.dtype))[:, None]
        weights = self.drop(softmax(logits), training=training)
        context = ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3))
        return dense(ops.reshape(context, (-1, ops.shape(target)[1], depth)), self.output_kernel)

    def _heads(self, x):
        """[B, T, D] -> [B, N, T, P]."""
        x = ops.reshape(x, (-1, ops.shape(x)[1], self.num_heads, x.shape[-1] // self.num_heads))
        return ops.transpose(x, (0, 2, 1, 3))

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads, "dropout": self.dropout}


@keras.saving.register_keras_serializable("t2t_multimodel")
class AttentionBlock(keras.layers.Layer):
    """Attention(source, target) of section 2.2.

    target + timing, two causal convolution steps (kernel 5, dilations 1 and 4), causal self-attention, then attention of the
    result over the source, whose keys and values come from two different pointwise convolutions.

    Args:
        num_heads, dropout: of both attentions.

    Call: target [B, T, D], source [B, S, D], source_mask [B, S]; returns [B, T, D], without a residual.
    """

    def __init__(self, num_heads=8, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.dropout = dropout
        self.self_attention = MultiHeadAttention(num_heads, dropout, name="self_attention")
        self.source_attention = MultiHeadAttention(num_heads, dropout, name="source_attention")

    def build(self, target_shape, source_shape=None):
        self.steps = [
            ConvStep(target_shape[-1], (5,), dilation=dilation, causal=True, name=f"step{i}")
            for i, dilation in enumerate((1, 4), start=1)
        ]
        for step in self.steps:
            step.build(target_shape)
        self.self_attention.build(target_shape)
        self.source_attention.build(target_shape)

    def call(self, target, source, source_mask, training=None):
        length = ops.shape(target)[1]
        x = target + ops.cast(timing_signal(length, target.shape[-1]), target.dtype)
        for step in self.steps:
            x = step(x)
        x = self.self_attention(x, x, causal_mask(length), training=training)
        return self.source_attention(x, source, source_mask[:, None, :], training=training)

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads, "dropout": self.dropout}
