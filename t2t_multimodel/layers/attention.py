"""Multi-head dot-product attention and the attention block (arXiv 1706.05137, section 2.2).

Letters in shapes: B batch, T target length, S source length, D depth, N heads, P depth per head, W rows per sentence in beam
search, R = B * W rows.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from t2t_multimodel.layers.convolution import ConvStep
from t2t_multimodel.layers.dropout import Dropout
from t2t_multimodel.layers.normalization import at_least_float32, dense, softmax
from t2t_multimodel.layers.position import timing_signal
from t2t_multimodel.utils.constants import LOWEST


def causal_mask(length):
    """Returns float32 [1, T, T] for T = `length`: 1 where position t (second axis) may read position s (third axis), s <= t."""
    t = ops.arange(length, dtype="int32")
    return ops.cast(t[None, :, None] >= t[None, None, :], "float32")


class KVCache(NamedTuple):
    """Keys and values that an attention reads.

    For a source: keys [B, N, P, S], laid out for the product with queries, and values [B, N, S, P], from `project`. For earlier
    positions in self-attention: keys and values [B * N, T * W, P], from `init_cache`.
    """

    keys: Any
    values: Any


class AttentionConstants(NamedTuple):
    """Tensors that every decoding step of an AttentionBlock reads; they are computed once per input.

    Attributes:
        steps: the pointwise kernels of the block's convolutions, each [D, D].
        kernel: [D, 3 D], the query, key and value kernels of self-attention.
        source: keys and values of the source.
    """

    steps: tuple[Any, ...]
    kernel: Any
    source: KVCache


def attention_bias(attention_mask):
    """Returns the bias of logits, float32 [B or 1, 1, T or 1, S]: 0 where attention_mask [B or 1, T or 1, S] is 1, or LOWEST."""
    return LOWEST * (1.0 - ops.cast(attention_mask, "float32"))[:, None]


@keras.saving.register_keras_serializable("t2t_multimodel")
class MultiHeadAttention(keras.layers.Layer):
    """Scaled dot-product attention in `num_heads` heads, with projections of queries, keys, values and output (no biases).

    Args:
        num_heads: must divide the depth.
        dropout: rate on the attention weights.

    Call: target [B, T, D], source [B, S, D], attention_mask [B or 1, T or 1, S] (1 where a target position may read a source
    position, else 0); returns [B, T, D]. A target position that may read nothing gets the mean of all values; only padding is
    such a position.

    Raises:
        ValueError: `num_heads` does not divide the depth (when the layer is built).
    """

    def __init__(self, num_heads=8, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.dropout = dropout
        self.drop = Dropout(dropout, name="dropout", dtype=self.dtype_policy)

    def build(self, target_shape, source_shape=None):
        depth = target_shape[-1]
        if depth % self.num_heads:
            raise ValueError(f"num_heads must divide the depth, got {self.num_heads} heads and depth {depth}")
        for name in ("query", "key", "value", "output"):
            weight = self.add_weight(shape=(depth, depth), initializer="glorot_uniform", name=name)
            setattr(self, f"{name}_kernel", weight)
        self.drop.build()

    def call(self, target, source, attention_mask, training=None):
        return self.attend(target, self.project(source), attention_bias(attention_mask), training=training)

    def project(self, source) -> KVCache:
        """Returns the keys and values of source [B, S, D]."""
        keys = self._split(dense(source, self.key_kernel))
        return KVCache(ops.transpose(keys, (0, 2, 3, 1)), self._heads(dense(source, self.value_kernel)))

    def attend(self, target, read: KVCache, bias, training=None):
        """Returns the attention of target [B, T, D] over the keys and values `read`, [B, T, D].

        Args:
            read: from `project`.
            bias: from `attention_bias`.
        """
        depth = target.shape[-1]
        q = self._heads(dense(target, self.query_kernel) * (depth // self.num_heads) ** -0.5)
        weights = softmax(at_least_float32(ops.matmul(q, read.keys)) + bias)
        weights = self.drop(ops.cast(weights, q.dtype), training=training)
        context = ops.matmul(weights, read.values)
        if target.shape[1] != 1:
            context = ops.transpose(context, (0, 2, 1, 3))
        return dense(ops.reshape(context, (-1, ops.shape(target)[1], depth)), self.output_kernel)

    def init_cache(self, rows, length, width=1) -> KVCache:
        """Returns keys and values of zeros, [B * N, T * W, P], for T = `length`, W = `width` and R = `rows`."""
        shape = (rows // width * self.num_heads, length * width, self.key_kernel.shape[0] // self.num_heads)
        return KVCache(*(ops.zeros(shape, dtype=self.compute_dtype) for _ in range(2)))

    def precompute(self):
        """Returns the kernels of query (scaled), key and value side by side, [D, 3 D]; every step reads them."""
        query = ops.convert_to_tensor(self.query_kernel) * (self.query_kernel.shape[0] // self.num_heads) ** -0.5
        return ops.cast(ops.concatenate([query, self.key_kernel, self.value_kernel], axis=1), self.compute_dtype)

    def step(self, x, cache: KVCache, step, kernel):
        """Computes causal self-attention at one position: x [R, D] -> ([R, D], cache).

        The W rows of a sentence share one cache. The mask lets each row read only the keys of the rows that it continues.

        Args:
            step: a DecodeStep.
            kernel: from `precompute`.
        """
        depth, width = x.shape[-1], step.width
        size = depth // self.num_heads
        projected = ops.matmul(x, kernel)
        query, key, value = (self._rows(projected[:, i * depth : (i + 1) * depth], width) for i in range(3))
        # ops.slice_update is slower: without XLA it starts XLA, and under XLA it copies the whole cache
        indices = step.scatter_indices(ops.shape(key)[0])
        keys = ops.scatter_update(cache.keys, indices, ops.reshape(key, (-1, size)))
        values = ops.scatter_update(cache.values, indices, ops.reshape(value, (-1, size)))
        logits = at_least_float32(ops.einsum("bwp,bsp->bws", query, keys))
        weights = ops.cast(softmax(logits + self._bias(step)), x.dtype)
        context = ops.reshape(ops.matmul(weights, values), (-1, self.num_heads, width, size))
        if width > 1:
            context = ops.transpose(context, (0, 2, 1, 3))
        return dense(ops.reshape(context, (-1, depth)), self.output_kernel), KVCache(keys, values)

    def _rows(self, x, width):
        """Returns x [R, D] split into heads, [B * N, W, P]."""
        size = x.shape[-1] // self.num_heads
        x = ops.reshape(x, (-1, width, self.num_heads, size))
        return ops.reshape(x if width == 1 else ops.transpose(x, (0, 2, 1, 3)), (-1, width, size))

    def _bias(self, step):
        """Returns a bias that broadcasts to the logits [B * N, W, T * W]: 0 where a row may read, else LOWEST."""
        bias, width = LOWEST * (1.0 - step.mask()), step.width
        if width == 1:
            return bias
        positions = ops.shape(bias)[-1]
        shape = (ops.shape(bias)[0], self.num_heads, width, positions)
        return ops.reshape(ops.broadcast_to(bias, shape), (-1, width, positions))

    def _split(self, x):
        """Returns x [B, T, D] as [B, T, N, P]."""
        return ops.reshape(x, (-1, ops.shape(x)[1], self.num_heads, x.shape[-1] // self.num_heads))

    def _heads(self, x):
        """Returns x [B, T, D] as [B, N, T, P]."""
        if x.shape[1] == 1:  # a reshape alone is cheaper than a transposition
            return ops.reshape(x, (-1, self.num_heads, 1, x.shape[-1] // self.num_heads))
        return ops.transpose(self._split(x), (0, 2, 1, 3))

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads, "dropout": self.dropout}


@keras.saving.register_keras_serializable("t2t_multimodel")
class AttentionBlock(keras.layers.Layer):
    """The attention block Attention(source, target) of section 2.2.

    The timing signal is added to the target. Two causal convolution steps (kernel 5, dilations 1 and 4) and causal
    self-attention follow. The result attends to the source, whose keys and values come from two different pointwise convolutions.

    Args:
        num_heads: heads of the self-attention and of the source attention.
        dropout: rate on the attention weights of both.

    Call: target [B, T, D], source [B, S, D], source_mask [B, S]; returns [B, T, D], without a residual.
    """

    def __init__(self, num_heads=8, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.dropout = dropout
        for name in ("self_attention", "source_attention"):
            setattr(self, name, MultiHeadAttention(num_heads, dropout, name=name, dtype=self.dtype_policy))

    def build(self, target_shape, source_shape=None):
        self.steps = [
            ConvStep(target_shape[-1], (5,), dilation=dilation, causal=True, name=f"step{i}", dtype=self.dtype_policy)
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

    @property
    def generators(self):
        """Returns the random generators from which `call` draws in training."""
        return [self.self_attention.drop.noise, self.source_attention.drop.noise]

    def precompute(self, source) -> AttentionConstants:
        """Returns the tensors that every step reads, for source [B, S, D]."""
        steps = tuple(step.precompute() for step in self.steps)
        return AttentionConstants(steps, self.self_attention.precompute(), self.source_attention.project(source))

    def init_cache(self, rows, length, width=1) -> KVCache:
        """Returns the empty cache of self-attention for `rows` rows, `width` per sentence, and at most `length` positions."""
        return self.self_attention.init_cache(rows, length, width)

    def step(self, x, cache: KVCache, step, constants: AttentionConstants, bias):
        """Computes one position: x [R, D] -> ([R, D], cache). The W = R / B neighbouring rows of a sentence share its source.

        Args:
            step: a DecodeStep.
            constants: from `precompute`.
            bias: from `attention_bias`.
        """
        depth = x.shape[-1]
        y = x + ops.cast(step.timing(depth), x.dtype)
        for layer, kernel in zip(self.steps, constants.steps, strict=True):
            y = layer.step(y, step, kernel)
        y, cache = self.self_attention.step(y, cache, step, constants.kernel)
        y = ops.reshape(y, (ops.shape(constants.source.keys)[0], -1, depth))
        y = self.source_attention.attend(y, constants.source, bias)
        return ops.reshape(y, (-1, depth)), cache

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads, "dropout": self.dropout}
