"""What a model hands from one decoding step to the next.

Letters in shapes: B sentences, S source length, T target length, D depth, W rows per sentence in beam search, R = B * W rows.
"""

from typing import Any, NamedTuple

from t2t_multimodel.layers.attention import KVCache
from t2t_multimodel.layers.decoding_cache import ConvCache, ConvKernels
from t2t_multimodel.models.blocks import DecoderConstants, MixerConstants


class DecodeConstants(NamedTuple):
    """Tensors that every decoding step reads, made from the weights and the encoded inputs.

    Attributes:
        mixer, decoder: the tensors of these two parts.
        kernels: the depthwise kernels of all causal convolutions, by kind (see layers.decoding_cache).
        commands: [n, D], the command tokens of all target spaces.
        bias: float32 [B, 1, 1, S], 0 where the source may be read, LOWEST at its padding.
    """

    mixer: MixerConstants
    decoder: DecoderConstants
    kernels: tuple[ConvKernels, ...]
    commands: Any
    bias: Any


class DecodingState(NamedTuple):
    """The cache of R rows, W per sentence, that one decoding step hands to the next.

    Attributes:
        mixer, decoder: keys and values of their self-attentions.
        convolutions: inputs of all causal convolutions, by kind.
        beam_indices: int32 [T, B, W], the row of the sentence that holds each earlier position of each row. Keys, values and
            inputs stay in the row that computed them (see layers.decoding_cache).
    """

    mixer: KVCache
    decoder: tuple[KVCache, ...]
    convolutions: tuple[ConvCache, ...]
    beam_indices: Any
