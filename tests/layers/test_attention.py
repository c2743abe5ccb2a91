"""Attention against head-by-head loops, and the positions that a position may read."""

import numpy as np
import numpy_reference as reference
import pytest
from tensors import close, normal, shake

from t2t_multimodel.layers.attention import AttentionBlock, MultiHeadAttention, causal_mask
from t2t_multimodel.testing import run_layer_test


# Keras warns of a softmax over one place, which attention to a single position and a single expert a token are.
def attention(heads=4):
    layer = MultiHeadAttention(heads)
    layer.build((None, None, 8))
    return shake(layer)


def block(heads=2):
    layer = AttentionBlock(heads)
    layer.build((None, None, 8))
    return shake(layer)


@pytest.mark.parametrize("heads", [1, 4, 8])
def test_equals_dot_products_head_by_head(heads):
    layer, target, source = attention(heads), normal(2, 5, 8), normal(2, 7, 8, seed=1)
    mask = np.ones((2, 1, 7), "float32")
    mask[1, :, 4:] = 0
    close(layer(target, source, mask), reference.attention(layer, target.astype("float64"), source, mask), 1e-4)


def test_causal_self_attention_equals_the_masked_loops():
    layer, x = attention(), normal(2, 9, 8)
    wanted = reference.attention(layer, x.astype("float64"), x, np.tril(np.ones((1, 9, 9))))
    close(layer(x, x, causal_mask(9)), wanted, 1e-4)


def test_what_is_masked_has_no_effect_at_all():
    layer, target, source = attention(), normal(2, 5, 8), normal(2, 7, 8, seed=1)
    mask = (np.arange(7) < 4).astype("float32")[None, None, :].repeat(2, axis=0)
    other = np.where(np.arange(7)[None, :, None] < 4, source, 1e4).astype("float32")
    np.testing.assert_array_equal(layer(target, source, mask), layer(target, other, mask))
    close(layer(target, source, mask), layer(target, source[:, :4], mask[:, :, :4]))


def test_a_source_of_padding_alone_gives_the_mean_of_the_values():
    layer, target, source = attention(), normal(1, 3, 8), normal(1, 5, 8, seed=1)
    y = layer(target, source, np.zeros((1, 1, 5), "float32"))
    close(y[0, 0], source[0].mean(axis=0) @ reference.array(layer.value_kernel) @ reference.array(layer.output_kernel), 1e-4)


def test_order_of_the_source_does_not_matter():
    layer, target, source = attention(), normal(2, 5, 8), normal(2, 7, 8, seed=1)
    mask = np.ones((2, 1, 7), "float32")
    close(layer(target, source, mask), layer(target, source[:, ::-1], mask))


def test_attention_is_a_layer():
    inputs = normal(2, 5, 8), normal(2, 7, 8, seed=1), np.ones((2, 1, 7), "float32")
    run_layer_test(lambda: MultiHeadAttention(4, 0.1), inputs, output_shape=(2, 5, 8), trainable_weights=4)


def test_dropout_acts_in_training_alone():
    layer, x, mask = MultiHeadAttention(2, dropout=0.5), normal(2, 5, 8), np.ones((1, 5, 5), "float32")
    close(layer(x, x, mask), layer(x, x, mask))
    assert np.abs(np.asarray(layer(x, x, mask, training=True) - layer(x, x, mask))).max() > 1e-3


def test_heads_that_do_not_divide_the_depth_are_refused():
    with pytest.raises(ValueError, match="got 3 heads and depth 8"):
        MultiHeadAttention(3).build((None, None, 8))


def test_the_causal_mask_lets_a_position_see_itself_and_what_is_before():
    np.testing.assert_array_equal(causal_mask(3)[0], [[1, 0, 0], [1, 1, 0], [1, 1, 1]])


@pytest.mark.parametrize("length", [1, 4, 23])
def test_the_block_equals_section_2_2(length):
    layer, target, source = block(), normal(2, length, 8), normal(2, 7, 8, seed=1)
    mask = np.ones((2, 7), "float32")
    mask[1, 5:] = 0
    close(layer(target, source, mask), reference.attention_block(layer, target.astype("float64"), source, mask), 1e-4)


def test_the_block_has_two_causal_steps_of_kernel_5_with_dilations_1_and_4():
    steps = block().steps
    assert [(step.kernel_size, step.dilation, step.causal) for step in steps] == [((5,), 1, True), ((5,), 4, True)]


def test_the_block_reads_no_later_target():
    layer, target, source = block(), normal(1, 25, 8), normal(1, 7, 8, seed=1)
    later = np.concatenate([target[:, :9], 3 - target[:, 9:]], axis=1)
    mask = np.ones((1, 7), "float32")
    close(layer(later, source, mask)[:, :9], layer(target, source, mask)[:, :9])


def test_the_block_is_a_layer():
    inputs = normal(2, 5, 8), normal(2, 7, 8, seed=1), np.ones((2, 7), "float32")
    run_layer_test(lambda: AttentionBlock(2, 0.1), inputs, output_shape=(2, 5, 8), trainable_weights=16)
