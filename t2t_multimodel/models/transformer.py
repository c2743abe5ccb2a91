"""A plain Transformer (Vaswani et al. 2017, arXiv 1706.03762) to compare the MultiModel with.

The modality nets, command tokens and loss are the MultiModel's. The body is an encoder and a decoder of attention and
feed-forward layers, each normalised at its input (pre-norm, arXiv 2002.04745).

Letters in shapes: B batch, S source length, T target length, L either of the two, D depth, W rows per sentence in beam search,
R = B * W rows.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from t2t_multimodel.layers.attention import KVCache, MultiHeadAttention, SelfAttentionKernels, causal_mask
from t2t_multimodel.layers.dropout import Dropout
from t2t_multimodel.layers.normalization import LayerNorm, dense
from t2t_multimodel.layers.position import timing_signal
from t2t_multimodel.layers.replicas import draws_over
from t2t_multimodel.models.blocks import BodyPart
from t2t_multimodel.models.multimodel import MultiModel


class BlockConstants(NamedTuple):
    """Tensors that every decoding step of a decoder block reads.

    Attributes:
        self_attention: the kernels of self-attention.
        source_query, source_output: [D, D], the query kernel (scaled) and the output kernel of the attention over the source.
        source: keys and values of the source.
    """

    self_attention: SelfAttentionKernels
    source_query: Any
    source_output: Any
    source: KVCache


@keras.saving.register_keras_serializable("t2t_multimodel")
class Dense(keras.layers.Dense):
    """keras.layers.Dense for x [B, L, D] or [R, D], whose bias has the right gradient in bfloat16 as well.

    Keras adds a bias by TensorFlow's bias_add. Its gradient on a CPU is a running sum in the type of x, which stays at 256 in
    bfloat16. The gradient of a broadcast addition is summed in float32.
    """

    def call(self, inputs, training=None):
        x = dense(inputs, self.kernel)
        return self.activation(x + ops.reshape(ops.cast(self.bias, x.dtype), (*[1] * (len(x.shape) - 1), -1)))


@keras.saving.register_keras_serializable("t2t_multimodel")
class TransformerBlock(BodyPart):
    """Self-attention, attention over a source where there is one, and a feed-forward layer, each with a residual.

    Args:
        config: the model's hyperparameters.
        decodes: whether the block has attention over a source.

    Call: x [B, L, D], readable [B or 1, L or 1, L] (1 where a position may read another, else 0) and, with `decodes`, source
    [B, S, D] and source_mask [B, S]; returns [B, L, D].
    """

    def __init__(self, config, decodes=False, **kwargs):
        super().__init__(config, **kwargs)
        self.decodes = decodes

    def build(self, input_shape):
        c, same = self.config, {"dtype": self.dtype_policy}
        names = ("self_attention", "source_attention") if self.decodes else ("self_attention",)
        self.attentions = [MultiHeadAttention(c.num_heads, c.attention_dropout, name=name, **same) for name in names]
        self.norms = [LayerNorm(name=f"norm_{name}", **same) for name in (*names, "feed_forward")]
        self.hidden = Dense(c.feed_forward_size or 4 * c.hidden_size, activation="relu", name="hidden", **same)
        self.output_layer = Dense(c.hidden_size, name="output", **same)
        self.drops = [Dropout(c.dropout, name=f"drop_{name}", **same) for name in (*names, "feed_forward")]
        layers: list[keras.layers.Layer] = [*self.attentions, *self.norms, self.hidden]
        for layer in layers:
            layer.build(input_shape)
        self.output_layer.build((*input_shape[:-1], self.hidden.units))
        for drop in self.drops:
            drop.build()

    def call(self, x, source=None, readable=None, source_mask=None, training=None):
        y = self.norms[0](x)
        x = x + self.drops[0](self.attentions[0](y, y, readable, training=training), training=training)
        if self.decodes:
            with draws_over("target", "source"):
                y = self.attentions[1](self.norms[1](x), source, source_mask[:, None, :], training=training, collected=True)
            x = x + self.drops[1](y, training=training)
        return x + self.drops[-1](self._feed_forward(x), training=training)

    def _feed_forward(self, x):
        return self.output_layer(self.hidden(self.norms[-1](x)))

    @property
    def generators(self):
        """Returns the random generators from which `call` draws in training."""
        return [*(attention.drop.noise for attention in self.attentions), *(drop.noise for drop in self.drops)]

    def precompute(self, source) -> BlockConstants:
        """Returns the tensors that every step reads, for source [B, S, D]."""
        attention = self.attentions[1]
        kernels = attention.scaled_query_kernel(), attention.output_kernel
        query, output = (ops.cast(kernel, self.compute_dtype) for kernel in kernels)
        return BlockConstants(self.attentions[0].precompute(), query, output, attention.project(source))

    def step(self, x, cache: KVCache, step, constants: BlockConstants, bias):
        """Computes one position: x [R, D] -> ([R, D], cache). step: a DecodeStep."""
        y, cache = self.attentions[0].step(self.norms[0](x), cache, step, constants.self_attention)
        x = x + y
        kernels = constants.source_query, constants.source_output
        x = x + self.attentions[1].attend_step(self.norms[1](x), constants.source, bias, step.width, *kernels)
        return x + self._feed_forward(x), cache

    def get_config(self):
        return {**super().get_config(), "decodes": self.decodes}


@keras.saving.register_keras_serializable("t2t_multimodel")
class TransformerEncoder(BodyPart):
    """Encodes an input: the timing signal is added, blocks and a last normalisation follow.

    Call: x [B, S, D], padding_mask [B, S]; returns (states [B, S, D], zero at padding; None in place of a Routing).
    """

    def build(self, input_shape):
        count = self.config.encoder_blocks
        self.blocks = [TransformerBlock(self.config, name=f"block{i}") for i in range(1, count + 1)]
        self.norm = LayerNorm(name="norm", dtype=self.dtype_policy)
        for block in self.blocks:
            block.build(input_shape)
        self.norm.build(input_shape)

    def call(self, x, padding_mask, training=None):
        x = x + ops.cast(timing_signal(ops.shape(x)[1], x.shape[-1]), x.dtype)
        readable = padding_mask[:, None, :]
        for block in self.blocks:
            x = self.run_block(block, x, readable=readable, training=training)
        return self.norm(x) * ops.expand_dims(padding_mask, -1), None


@keras.saving.register_keras_serializable("t2t_multimodel")
class TimingMixer(BodyPart):
    """Adds the timing signal to the shifted outputs, in place of the MultiModel's mixer. It does not read the source.

    Call: x [B, T, D], source, source_mask; returns [B, T, D].
    """

    conv_steps: tuple[()] = ()

    def call(self, x, source, source_mask, training=None):
        return x + ops.cast(timing_signal(ops.shape(x)[1], x.shape[-1]), x.dtype)

    def precompute(self, source):
        """Returns an empty tuple: a step does not read the source."""
        return ()

    def init_cache(self, rows, length, width):
        """Returns an empty cache: a step does not depend on earlier steps."""
        return ()

    def step(self, x, cache, step, constants, bias):
        """Computes one position: x [R, D] -> ([R, D], cache). step: a DecodeStep."""
        return x + ops.cast(step.timing(x.shape[-1]), x.dtype), cache


@keras.saving.register_keras_serializable("t2t_multimodel")
class TransformerDecoder(BodyPart):
    """Decodes with blocks of causal self-attention and attention over the source, and a last normalisation.

    Call: x [B, T, D], padding_mask [B, T], source [B, S, D], source_mask [B, S]; returns (states [B, T, D], None).
    """

    conv_steps: tuple[()] = ()

    def build(self, input_shape):
        count = self.config.decoder_blocks
        self.blocks = [TransformerBlock(self.config, decodes=True, name=f"block{i}") for i in range(1, count + 1)]
        self.norm = LayerNorm(name="norm", dtype=self.dtype_policy)
        for block in self.blocks:
            block.build(input_shape)
        self.norm.build(input_shape)

    def call(self, x, padding_mask, source, source_mask, training=None):
        readable = causal_mask(ops.shape(x)[1])
        for block in self.blocks:
            x = self.run_block(block, x, source, readable=readable, source_mask=source_mask, training=training)
        return self.norm(x), None

    def precompute(self, source) -> tuple[BlockConstants, ...]:
        """Returns the tensors that every step reads, for source [B, S, D]."""
        return tuple(block.precompute(source) for block in self.blocks)

    def init_cache(self, rows, length, width) -> tuple[KVCache, ...]:
        """Returns the blocks' empty caches for `rows` rows, `width` per sentence, and at most `length` positions."""
        return tuple(block.attentions[0].init_cache(rows, length, width) for block in self.blocks)

    def step(self, x, padding_mask, caches: tuple[KVCache, ...], step, constants: tuple[BlockConstants, ...], bias):
        """Computes one position: x [R, D], padding_mask [R] -> ([R, D], caches). step: a DecodeStep."""
        new_caches = []
        for block, cache, read in zip(self.blocks, caches, constants, strict=True):
            x, cache = block.step(x, cache, step, read, bias)
            new_caches.append(cache)
        return self.norm(x), tuple(new_caches)


@keras.saving.register_keras_serializable("t2t_multimodel")
class Transformer(MultiModel):
    """The MultiModel's modality nets around the Transformer's encoder and decoder; arguments and calls are the MultiModel's.

    Of `config` it reads hidden_size, num_heads, encoder_blocks, decoder_blocks, feed_forward_size, dropout, attention_dropout and
    the fields of embeddings and modality nets.
    """

    def make_body(self, decodes):
        parts = (TimingMixer(self.config, name="mixer"), TransformerDecoder(self.config, name="decoder"))
        return TransformerEncoder(self.config, name="encoder"), *(parts if decodes else (None, None))
