"""Encoder, mixer and decoder against the sums of their parts, and what may change their outputs."""

import numpy as np
import numpy_reference as reference
import pytest
from tensors import close, normal, shake
from tiny import CONFIG

from t2t_multimodel.config import ModelConfig
from t2t_multimodel.models.blocks import Decoder, Encoder, ExpertsBlock, Mixer
from t2t_multimodel.testing import run_layer_test

D = 16


def config(**changes):
    return ModelConfig(**{**CONFIG, **changes})


def built(kind, **changes):
    part = kind(config(**changes))
    part.build((None, None, D))
    return shake(part, scale=0.1)


def masks(*shapes):
    return [np.ones(shape, "float32") for shape in shapes]


def experts_block(block, x, routing):
    """LN(x + MoE(x)) with the experts that `routing` chose."""
    y = reference.mixture_of_experts(block.moe, x.reshape(-1, D), np.asarray(routing.experts), np.asarray(routing.gates))
    return reference.layer_norm(x + y.reshape(x.shape), reference.array(block.norm.gamma), reference.array(block.norm.beta))


@pytest.mark.parametrize(("blocks", "middle"), [(1, 1), (2, 1), (6, 3)])
def test_the_encoder_is_timing_and_blocks_with_experts_in_the_middle(blocks, middle):
    encoder, x, (mask,) = built(Encoder, encoder_blocks=blocks), normal(2, 7, D), masks((2, 7))
    states, routing = encoder(x, mask)
    h = x + reference.timing_signal(7, D)
    for i, block in enumerate(encoder.blocks, start=1):
        h = reference.conv_block(block, h)
        if i == middle:
            h = experts_block(encoder.experts, h, routing)
    close(states, h, 1e-3)


def test_the_mixer_is_residual_attention_and_causal_blocks():
    mixer, x, source = built(Mixer, mixer_blocks=2), normal(2, 6, D), normal(2, 7, D, seed=1)
    (mask,) = masks((2, 7))
    mask[1, 4:] = 0
    h = x + reference.attention_block(mixer.attention, x.astype("float64"), source, mask)
    for block in mixer.blocks:
        h = reference.conv_block(block, h)
    assert all(block.causal for block in mixer.blocks) and len(mixer.blocks) == 2
    close(mixer(x, source, mask), h, 1e-3)


@pytest.mark.parametrize(("blocks", "middle"), [(1, 1), (2, 1), (4, 2)])
def test_the_decoder_is_blocks_and_residual_attention_with_experts_in_the_middle(blocks, middle):
    decoder, x, source = built(Decoder, decoder_blocks=blocks), normal(2, 6, D), normal(2, 7, D, seed=1)
    mask, source_mask = masks((2, 6), (2, 7))
    states, routing = decoder(x, mask, source, source_mask)
    h = x.astype("float64")
    for i, (block, attention) in enumerate(zip(decoder.blocks, decoder.attentions, strict=True), start=1):
        h = reference.conv_block(block, h)
        h = h + reference.attention_block(attention, h, source, source_mask)
        if i == middle:
            h = experts_block(decoder.experts, h, routing)
    assert all(block.causal for block in decoder.blocks)
    close(states, h, 1e-3)


def test_padding_of_the_encoder_changes_no_real_position_and_is_zero():
    encoder, x, (mask,) = built(Encoder), normal(1, 40, D), masks((1, 40))
    mask[:, 9:] = 0
    states, routing = encoder(x, mask)
    alone, alone_routing = encoder(x[:, :9], mask[:, :9])
    close(states[:, :9], alone, 1e-4)
    assert not np.any(states[:, 9:])
    close(routing.load, alone_routing.load)
    close(routing.importance, alone_routing.importance)


def test_output_norm_normalises_what_encoder_and_decoder_return():
    encoder, x, (mask,) = Encoder(config(output_norm=True)), normal(2, 7, D), masks((2, 7))
    states = np.asarray(encoder(x, mask)[0])
    close(states.mean(axis=-1), np.zeros((2, 7)), 1e-4)
    close(states.std(axis=-1), np.ones((2, 7)), 1e-3)
    decoder = Decoder(config(output_norm=True))
    close(np.std(decoder(x, mask, x, mask)[0], axis=-1), np.ones((2, 7)), 1e-3)


def test_without_experts_there_is_no_routing():
    x, (mask,) = normal(2, 7, D), masks((2, 7))
    assert Encoder(config(num_experts=0))(x, mask)[1] is None
    assert Decoder(config(num_experts=0))(x, mask, x, mask)[1] is None


def test_without_blocks_no_experts_are_built():
    assert not built(Encoder, encoder_blocks=0).variables
    assert not built(Decoder, decoder_blocks=0).variables


PARTS = {
    "experts": (ExpertsBlock, (normal(2, 7, D), np.ones((2, 7), "float32"))),
    "encoder": (Encoder, (normal(2, 7, D), np.ones((2, 7), "float32"))),
    "mixer": (Mixer, (normal(2, 6, D), normal(2, 7, D, seed=1), np.ones((2, 7), "float32"))),
    "decoder": (
        Decoder,
        (normal(2, 6, D), np.ones((2, 6), "float32"), normal(2, 7, D, seed=1), np.ones((2, 7), "float32")),
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_each_part_is_a_layer(name):
    kind, inputs = PARTS[name]
    run_layer_test(lambda: kind(config(dropout=0.1)), inputs, output_shape=inputs[0].shape)


def test_a_part_without_experts_is_a_layer():
    kind, inputs = PARTS["encoder"]
    run_layer_test(lambda: kind(config(num_experts=0, output_norm=True)), inputs, output_shape=inputs[0].shape, symbolic=False)
