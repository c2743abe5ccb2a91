"""The body: encoder, mixer and decoder (arXiv 1706.05137, section 2.4 and figure 3).

Letters in shapes: B batch, S source length, T target length, D depth, W rows per sentence in beam search, R = B * W rows.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from t2t_multimodel.config import ModelConfig
from t2t_multimodel.layers.aligned_reading import AlignedReading
from t2t_multimodel.layers.attention import AttentionBlock, AttentionConstants, KVCache
from t2t_multimodel.layers.convolution import ConvBlock, ConvStep
from t2t_multimodel.layers.mixture_of_experts import MixtureOfExperts
from t2t_multimodel.layers.normalization import LayerNorm, NormConstants
from t2t_multimodel.layers.position import timing_signal
from t2t_multimodel.layers.recompute import recomputed


class MixerConstants(NamedTuple):
    """Tensors that every decoding step of the mixer reads: its attention's and its ConvBlocks'."""

    attention: AttentionConstants
    blocks: tuple[Any, ...]


class DecoderConstants(NamedTuple):
    """Tensors that every decoding step of the decoder reads: those of its ConvBlocks, attentions and normalisations.

    Attributes:
        blocks, attentions: one per layer.
        experts_norm, norm: of the block of experts and of the output, () if there is none.
    """

    blocks: tuple[Any, ...]
    attentions: tuple[AttentionConstants, ...]
    experts_norm: NormConstants | tuple[()]
    norm: NormConstants | tuple[()]


class BodyPart(keras.layers.Layer):
    """A part of the body, made from a ModelConfig.

    Args:
        config: a ModelConfig, or its fields as a dict, which is the form in which `get_config` saves it.
    """

    def __init__(self, config: ModelConfig | dict, **kwargs):
        config = config if isinstance(config, ModelConfig) else ModelConfig(**_tuples(config))
        super().__init__(**{"dtype": config.dtype_policy, **kwargs})
        self.config = config

    def _conv_blocks(self, count, causal):
        c = self.config
        options = (causal, c.dropout, c.dropout_on, c.block_gain)
        return [ConvBlock(*options, name=f"block{i}", dtype=self.dtype_policy) for i in range(1, count + 1)]

    def _attention(self, name):
        if not self.config.attention:
            return AlignedReading(name=name, dtype=self.dtype_policy)
        return AttentionBlock(self.config.num_heads, self.config.attention_dropout, name=name, dtype=self.dtype_policy)

    def run_block(self, block, *tensors, training=None, **options):
        """Returns block(*tensors). In training with `config.recompute` the gradient computes the block's inner values again."""
        if not (self.config.recompute and training):
            return block(*tensors, training=training, **options)
        return recomputed(lambda *values: block(*values, training=True, **options), block.generators, *tensors)

    def _experts(self, count):
        """Returns the ExpertsBlock for a stack of `count` blocks, or None without experts or blocks."""
        return ExpertsBlock(self.config, name="experts") if self.config.num_experts and count else None

    def get_config(self):
        return {**super().get_config(), "config": dict(vars(self.config))}


def _middle(blocks):
    """Returns the number, counted from 1, of the block after which the experts come: the middle one, or the only one."""
    return max(1, len(blocks) // 2)


def _tuples(config):
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}


@keras.saving.register_keras_serializable("t2t_multimodel")
class ExpertsBlock(BodyPart):
    """A residual mixture of experts, LN(x + MoE(x)).

    Call: x [B, L, D], padding_mask [B, L]; returns (y [B, L, D], Routing).
    """

    def build(self, input_shape):
        c = self.config
        options = (c.num_experts, c.moe_hidden_size, c.moe_k, c.moe_noise_floor)
        self.moe = MixtureOfExperts(*options, recompute=c.recompute, name="moe", dtype=self.dtype_policy)
        self.norm = LayerNorm(name="norm", dtype=self.dtype_policy)
        self.moe.build(input_shape)
        self.norm.build(input_shape)

    def call(self, x, padding_mask, training=None):
        y, routing = self.moe(x, padding_mask, training=training)
        return self.norm(x + y), routing

    def step(self, x, padding_mask, step, norm: NormConstants):
        """Computes one position: x [R, D], padding_mask [R] -> [R, D]. step: a DecodeStep; norm: from its `precompute`."""
        return self.norm.step(x + self.moe.step(x, padding_mask, step.overwrites), norm)


@keras.saving.register_keras_serializable("t2t_multimodel")
class Encoder(BodyPart):
    """Encodes an input: the timing signal is added, ConvBlocks follow, with a mixture of experts in the middle.

    Call: x [B, S, D], padding_mask [B, S]; returns (states [B, S, D], zero at padding; Routing or None).
    """

    def build(self, input_shape):
        self.blocks = self._conv_blocks(self.config.encoder_blocks, causal=False)
        self.experts = self._experts(len(self.blocks))
        self.norm = LayerNorm(name="norm", dtype=self.dtype_policy) if self.config.output_norm else None
        for layer in filter(None, (*self.blocks, self.experts, self.norm)):
            layer.build(input_shape)

    def call(self, x, padding_mask, training=None):
        routing = None
        real = ops.expand_dims(padding_mask, -1)
        x = (x + ops.cast(timing_signal(ops.shape(x)[1], x.shape[-1]), x.dtype)) * real
        for i, block in enumerate(self.blocks, start=1):
            x = self.run_block(block, x, padding_mask=padding_mask, training=training)
            if self.experts and i == _middle(self.blocks):
                x, routing = self.experts(x, padding_mask, training=training)
        return (self.norm(x) if self.norm else x) * real, routing


@keras.saving.register_keras_serializable("t2t_multimodel")
class Mixer(BodyPart):
    """Mixes the shifted outputs with the encoded input: a residual attention block, then causal ConvBlocks.

    Call: x [B, T, D], source [B, S, D], source_mask [B, S]; returns [B, T, D].
    """

    def build(self, input_shape):
        self.attention = self._attention("attention")
        self.blocks = self._conv_blocks(self.config.mixer_blocks, causal=True)
        for layer in (self.attention, *self.blocks):
            layer.build(input_shape)

    def call(self, x, source, source_mask, training=None):
        x = x + self.run_block(self.attention, x, source, source_mask=source_mask, training=training)
        for block in self.blocks:
            x = self.run_block(block, x, training=training)
        return x

    def precompute(self, source) -> MixerConstants:
        """Returns the tensors that every step reads, for source [B, S, D]."""
        return MixerConstants(self.attention.precompute(source), tuple(block.precompute() for block in self.blocks))

    @property
    def conv_steps(self) -> list[ConvStep]:
        """Returns the mixer's causal convolutions."""
        return [step for layer in (self.attention, *self.blocks) for step in layer.steps]

    def init_cache(self, rows, length, width) -> KVCache:
        """Returns the attention's empty cache for `rows` rows, `width` per sentence, and at most `length` positions."""
        return self.attention.init_cache(rows, length, width)

    def step(self, x, cache: KVCache, step, constants: MixerConstants, bias):
        """Computes one position: x [R, D] -> ([R, D], cache). step: a DecodeStep; constants: from `precompute`."""
        y, cache = self.attention.step(x, cache, step, constants.attention, bias)
        x = x + y
        for block, read in zip(self.blocks, constants.blocks, strict=True):
            x = block.step(x, step, read)
        return x, cache


@keras.saving.register_keras_serializable("t2t_multimodel")
class Decoder(BodyPart):
    """Repeats a causal ConvBlock and a residual attention over the encoded input, with a mixture of experts in the middle.

    Call: x [B, T, D], padding_mask [B, T], source [B, S, D], source_mask [B, S]; returns (states [B, T, D], Routing or None).
    """

    def build(self, input_shape):
        self.blocks = self._conv_blocks(self.config.decoder_blocks, causal=True)
        self.attentions = [self._attention(f"attention{i}") for i in range(1, self.config.decoder_blocks + 1)]
        self.experts = self._experts(len(self.blocks))
        self.norm = LayerNorm(name="norm", dtype=self.dtype_policy) if self.config.output_norm else None
        for layer in filter(None, (*self.blocks, *self.attentions, self.experts, self.norm)):
            layer.build(input_shape)

    def call(self, x, padding_mask, source, source_mask, training=None):
        routing = None
        for i, (block, attention) in enumerate(zip(self.blocks, self.attentions, strict=True), start=1):
            x = self.run_block(block, x, training=training)
            x = x + self.run_block(attention, x, source, source_mask=source_mask, training=training)
            if self.experts and i == _middle(self.blocks):
                x, routing = self.experts(x, padding_mask, training=training)
        return self.norm(x) if self.norm else x, routing

    def precompute(self, source) -> DecoderConstants:
        """Returns the tensors that every step reads, for source [B, S, D]."""
        attentions = tuple(attention.precompute(source) for attention in self.attentions)
        experts_norm = self.experts.norm.precompute() if self.experts else ()
        norm = self.norm.precompute() if self.norm else ()
        return DecoderConstants(tuple(block.precompute() for block in self.blocks), attentions, experts_norm, norm)

    @property
    def conv_steps(self) -> list[ConvStep]:
        """Returns the decoder's causal convolutions."""
        return [step for layer in (*self.blocks, *self.attentions) for step in layer.steps]

    def init_cache(self, rows, length, width) -> tuple[KVCache, ...]:
        """Returns the attentions' empty caches for `rows` rows, `width` per sentence, and at most `length` positions."""
        return tuple(attention.init_cache(rows, length, width) for attention in self.attentions)

    def step(self, x, padding_mask, caches: tuple[KVCache, ...], step, constants: DecoderConstants, bias):
        """Computes one position: x [R, D], padding_mask [R] -> ([R, D], caches). step: a DecodeStep."""
        new_caches = []
        for i, (block, attention) in enumerate(zip(self.blocks, self.attentions, strict=True)):
            x = block.step(x, step, constants.blocks[i])
            y, cache = attention.step(x, caches[i], step, constants.attentions[i], bias)
            new_caches.append(cache)
            x = x + y
            if self.experts and i + 1 == _middle(self.blocks):
                x = self.experts.step(x, padding_mask, step, constants.experts_norm)
        return self.norm.step(x, constants.norm) if self.norm and constants.norm else x, tuple(new_caches)
