"""Multi-head dot-product attention and the attention block (arXiv 1706.05137, section 2.2).

Letters in shapes: B batch, T target length, S source length, D depth, N heads, P depth per head, W rows per sentence in beam
search, R = B * W rows.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from t2t_multimodel.layers.attention_weights import collect_weights
from t2t_multimodel.layers.convolution import ConvStep, ConvStepConstants
from t2t_multimodel.layers.dropout import Dropout
from t2t_multimodel.layers.normalization import at_least_float32, dense, softmax
from t2t_multimodel.layers.position import timing_signal
from t2t_multimodel.layers.replicas import draws_over
from t2t_multimodel.utils.constants import LOWEST


def causal_mask(length):
    """Returns float32 [1, T, T] for T = `length`: 1 where position t (second axis) may read position s (third axis), s <= t."""
    t = ops.arange(length, dtype="int32")
    return ops.cast(t[None, :, None] >= t[None, None, :], "float32")


class KVCache(NamedTuple):
    """Keys and values that an attention reads.

    For a source: keys [B, N, P, S], laid out for the product with queries, and values [B, N, S, P], from `project`. For earlier
    positions in self-attention: keys and values [B * N * T * W, P], from `init_cache`.
    """

    keys: Any
    values: Any


class SelfAttentionKernels(NamedTuple):
    """Kernels of self-attention at one position.

    Attributes:
        projection: [D, 3 D], the query (scaled), key and value kernels side by side.
        output: [D, D].
    """

    projection: Any
    output: Any


class AttentionConstants(NamedTuple):
    """Tensors that every decoding step of an AttentionBlock reads; they are computed once per input.

    Attributes:
        steps: those of the block's convolutions.
        self_attention: the kernels of self-attention.
        source_query, source_output: [D, D], the query kernel (scaled) and the output kernel of the attention over the source.
        source: keys and values of the source.
    """

    steps: tuple[ConvStepConstants, ...]
    self_attention: SelfAttentionKernels
    source_query: Any
    source_output: Any
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
    position, else 0), collected (see `attend`); returns [B, T, D]. A target position that may read nothing gets the mean of all
    values; only padding is such a position.

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

    def call(self, target, source, attention_mask, training=None, collected=False):
        return self.attend(target, self.project(source), attention_bias(attention_mask), training=training, collected=collected)

    def project(self, source) -> KVCache:
        """Returns the keys and values of source [B, S, D]."""
        keys = self._split(dense(source, self.key_kernel))
        return KVCache(ops.transpose(keys, (0, 2, 3, 1)), self._heads(dense(source, self.value_kernel)))

    def attend(self, target, read: KVCache, bias, training=None, collected=False):
        """Returns the attention of target [B, T, D] over the keys and values `read`, [B, T, D].

        Args:
            read: from `project`.
            bias: from `attention_bias`.
            collected: whether the weights are given to `collect_weights`.
        """
        depth = target.shape[-1]
        q = self._heads(dense(target, self.query_kernel) * (depth // self.num_heads) ** -0.5)
        weights = softmax(at_least_float32(ops.matmul(q, read.keys)) + bias)
        if collected:
            collect_weights(lambda: weights)
        weights = self.drop(ops.cast(weights, q.dtype), training=training)
        context = ops.matmul(weights, read.values)
        if target.shape[1] != 1:
            context = ops.transpose(context, (0, 2, 1, 3))
        return dense(ops.reshape(context, (-1, ops.shape(target)[1], depth)), self.output_kernel)

    def init_cache(self, rows, length, width=1) -> KVCache:
        """Returns keys and values of zeros, [B * N * T * W, P], for T = `length`, W = `width` and R = `rows`."""
        shape = (rows * self.num_heads * length, self.key_kernel.shape[0] // self.num_heads)
        return KVCache(*(ops.zeros(shape, dtype=self.compute_dtype) for _ in range(2)))

    def precompute(self) -> SelfAttentionKernels:
        """Returns the kernels that every step of self-attention reads."""
        kernels = ops.concatenate([self.scaled_query_kernel(), self.key_kernel, self.value_kernel], axis=1)
        return SelfAttentionKernels(*(ops.cast(each, self.compute_dtype) for each in (kernels, self.output_kernel)))

    def scaled_query_kernel(self):
        """Returns the query kernel [D, D] divided by the square root of the depth per head."""
        return ops.convert_to_tensor(self.query_kernel) * (self.query_kernel.shape[0] // self.num_heads) ** -0.5

    def step(self, x, cache: KVCache, step, kernels: SelfAttentionKernels):
        """Computes causal self-attention at one position: x [R, D] -> ([R, D], cache).

        The W rows of a sentence share one cache. The mask lets each row read only the keys of the rows that it continues.

        Args:
            step: a DecodeStep.
            kernels: from `precompute`.
        """
        depth, width = x.shape[-1], step.width
        size = depth // self.num_heads
        query, key, value = (self._rows(each, width) for each in ops.split(ops.matmul(x, kernels.projection), 3, axis=1))
        rows = step.rows(key)
        new = (ops.reshape(each, (-1, size)) for each in (key, value))
        cache = KVCache(*(step.write(kept, rows, each) for kept, each in zip(cache, new, strict=True)))
        keys, values = (ops.reshape(kept, (-1, step.entries, size)) for kept in cache)
        logits = at_least_float32(ops.einsum("bwp,bsp->bws", query, keys))
        weights = ops.cast(softmax(logits + step.bias(self.num_heads)), x.dtype)
        context = ops.matmul(weights, values)
        if width > 1:
            context = ops.transpose(ops.reshape(context, (-1, self.num_heads, width, size)), (0, 2, 1, 3))
        return ops.matmul(ops.reshape(context, (-1, depth)), kernels.output), cache

    def attend_step(self, x, read: KVCache, bias, width: int, query_kernel, output_kernel):
        """Returns the attention of x [R, D] over the keys and values `read`, [R, D], for W = `width` rows per sentence.

        Args:
            read: from `project`.
            bias: from `attention_bias`.
            query_kernel: from `scaled_query_kernel`.
            output_kernel: the output kernel.
        """
        depth = x.shape[-1]
        size = depth // self.num_heads
        query = ops.matmul(x, query_kernel)
        if width == 1:  # a reshape alone is cheaper than a transposition
            query = ops.reshape(query, (-1, self.num_heads, 1, size))
        else:
            query = ops.transpose(ops.reshape(query, (-1, width, self.num_heads, size)), (0, 2, 1, 3))
        weights = ops.cast(softmax(at_least_float32(ops.matmul(query, read.keys)) + bias), x.dtype)
        context = ops.matmul(weights, read.values)
        if width > 1:
            context = ops.transpose(context, (0, 2, 1, 3))
        return ops.matmul(ops.reshape(context, (-1, depth)), output_kernel)

    def _rows(self, x, width):
        """Returns x [R, D] split into heads, [B * N, W, P]."""
        size = x.shape[-1] // self.num_heads
        x = ops.reshape(x, (-1, width, self.num_heads, size))
        return ops.reshape(x if width == 1 else ops.transpose(x, (0, 2, 1, 3)), (-1, width, size))

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
        with draws_over("target", "source"):
            return self.source_attention(x, source, source_mask[:, None, :], training=training, collected=True)

    @property
    def generators(self):
        """Returns the random generators from which `call` draws in training."""
        return [self.self_attention.drop.noise, self.source_attention.drop.noise]

    def precompute(self, source) -> AttentionConstants:
        """Returns the tensors that every step reads, for source [B, S, D]."""
        steps, attention = tuple(step.precompute() for step in self.steps), self.source_attention
        kernels = attention.scaled_query_kernel(), attention.output_kernel
        query, output = (ops.cast(kernel, self.compute_dtype) for kernel in kernels)
        return AttentionConstants(steps, self.self_attention.precompute(), query, output, attention.project(source))

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
        y = x + ops.cast(step.timing(x.shape[-1]), x.dtype)
        for layer, read in zip(self.steps, constants.steps, strict=True):
            y = layer.step(y, step, read)
        y, cache = self.self_attention.step(y, cache, step, constants.self_attention)
        kernels = constants.source_query, constants.source_output
        return self.source_attention.attend_step(y, constants.source, bias, step.width, *kernels), cache

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads, "dropout": self.dropout}
