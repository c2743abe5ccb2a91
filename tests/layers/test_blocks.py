"""ConvBlock and ConvRes."""

import numpy as np
import numpy_reference as reference
import pytest
from tensors import close, normal, shake

from t2t_multimodel.layers.convolution import ConvBlock, ConvRes
from t2t_multimodel.testing import run_layer_test


def conv_block(**arguments):
    block = ConvBlock(**arguments)
    block.build((None, None, 8))
    return shake(block)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [1, 6, 37])
def test_conv_block_equals_hidden4_of_the_paper(causal, length):
    block, x = conv_block(causal=causal), normal(2, length, 8)
    close(block(x), reference.conv_block(block, x.astype("float64")), 1e-4)


@pytest.mark.parametrize("dropout_on", ["stream", "branch"])
def test_conv_block_is_a_layer(dropout_on):
    run_layer_test(lambda: ConvBlock(True, 0.2, dropout_on), normal(2, 9, 8), output_shape=(2, 9, 8), trainable_weights=16)


def test_a_causal_block_reads_nothing_later():
    block, x = conv_block(causal=True), normal(1, 30, 8)
    later = np.concatenate([x[:, :11], 2 - x[:, 11:]], axis=1)
    close(block(later)[:, :11], block(x)[:, :11])


def test_a_masked_block_gives_real_positions_what_they_have_alone():
    block, x, mask = conv_block(), normal(2, 30, 8), np.ones((2, 30), "float32")
    mask[:, 11:] = 0
    close(block(x, mask)[:, :11], block(x[:, :11]), 1e-4)


def test_dropout_on_the_stream_drops_from_the_whole_output():
    block, x = conv_block(dropout=0.4), normal(4, 50, 8)
    y, kept = np.asarray(block(x)), np.asarray(block(x, training=True))
    dropped = kept == 0
    assert 0.35 < dropped.mean() < 0.45
    close(kept[~dropped], y[~dropped] / 0.6, 1e-4)


def test_dropout_on_the_branch_leaves_the_skip_alone():
    block, x = conv_block(dropout=0.4, dropout_on="branch"), normal(4, 50, 8)
    y, kept = np.asarray(block(x)), np.asarray(block(x, training=True))
    dropped = kept == x
    assert 0.35 < dropped.mean() < 0.45
    close((kept - x)[~dropped], (y - x)[~dropped] / 0.6, 1e-4)


RES = [((2, 9, 3), (2,), (2, 5, 6)), ((2, 5, 8, 3), (2, 2), (2, 3, 4, 6)), ((1, 7, 4, 3), (2, 1), (1, 4, 4, 6))]


@pytest.mark.parametrize(("shape", "strides", "output_shape"), RES)
@pytest.mark.parametrize("relu", [True, False])
def test_conv_res_equals_the_papers_equation(shape, strides, output_shape, relu):
    x = normal(*shape)
    run_layer_test(lambda: ConvRes(6, strides, relu), x, output_shape=output_shape, trainable_weights=11)
    block = ConvRes(6, strides, relu)
    block.build(shape)
    shake(block)
    close(block(x), reference.conv_res(block, x.astype("float64")), 1e-4)


def test_conv_res_lets_raw_negative_samples_through_both_paths():
    x = -abs(normal(1, 8, 3))
    block = ConvRes(4, (2,), relu=False)
    block.build(x.shape)
    assert not block.step1.relu and not block.shortcut.relu and block.step2.relu


@pytest.mark.parametrize(("shape", "strides"), [((2, 17, 3), (2,)), ((2, 17, 4, 3), (2, 1))])
@pytest.mark.parametrize("real", [9, 10])
def test_a_masked_conv_res_gives_real_positions_what_they_have_alone(shape, strides, real):
    block, x, mask = ConvRes(6, strides), normal(*shape), np.ones(shape[:2], "float32")
    mask[:, real:] = 0
    alone = np.asarray(block(x[:, :real]))
    close(block(x, mask)[:, : alone.shape[1]], alone, 1e-4)
