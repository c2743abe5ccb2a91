"""Depthwise convolutions, pooling and ConvStep against plain loops, and changes of the input that must not reach an output."""

import math

import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf
from tensors import close, gradients, normal, shake

from t2t_multimodel.layers.convolution import ConvStep, depthwise_conv_1d, depthwise_conv_2d, max_pool, subsample
from t2t_multimodel.testing import run_layer_test

CASES = [
    (length, size, dilation, causal)
    for length, size, dilation in [(12, 3, 1), (1, 3, 1), (5, 15, 1), (33, 15, 8), (8, 15, 8), (3, 15, 8), (1, 15, 8), (10, 5, 4)]
    for causal in (False, True)
]


@pytest.mark.parametrize(("length", "size", "dilation", "causal"), CASES)
def test_depthwise_1d_and_its_gradients_equal_plain_loops(length, size, dilation, causal):
    x, kernel, weights = normal(2, length, 3), normal(size, 3, seed=1), normal(2, length, 3, seed=2)
    wide = x.astype("float64")
    close(depthwise_conv_1d(x, kernel, dilation, causal), reference.depthwise_1d(wide, kernel, dilation, causal))

    dx, dkernel = gradients(lambda x, k: depthwise_conv_1d(x, k, dilation, causal), x, kernel, weights=weights)
    # The convolution is bilinear, so its derivative along any direction is the convolution of that direction.
    other, tap = normal(2, length, 3, seed=3), normal(size, 3, seed=4)
    along_x = (weights * reference.depthwise_1d(other.astype("float64"), kernel, dilation, causal)).sum()
    along_kernel = (weights * reference.depthwise_1d(wide, tap, dilation, causal)).sum()
    close((dx * other).sum(), along_x, 1e-3)
    close((dkernel * tap).sum(), along_kernel, 1e-3)


@pytest.mark.parametrize(("dilation", "causal"), [(1, False), (1, True), (4, False), (4, True)])
def test_depthwise_1d_gradient_equals_numerical_differences(dilation, causal):
    x, kernel, weights = normal(1, 7, 2), normal(5, 2, seed=1), normal(1, 7, 2, seed=2)
    dx, dkernel = gradients(lambda x, k: depthwise_conv_1d(x, k, dilation, causal), x, kernel, weights=weights)
    x, kernel = x.astype("float64"), kernel.astype("float64")
    numerical = reference.numerical_gradient
    close(dx, numerical(lambda value: reference.depthwise_1d(value, kernel, dilation, causal), x, weights), 1e-4)
    close(dkernel, numerical(lambda value: reference.depthwise_1d(x, value, dilation, causal), kernel, weights), 1e-4)


@pytest.mark.parametrize("dilation", [1, 8])
def test_depthwise_1d_takes_a_length_known_only_when_it_runs(dilation):
    kernel = normal(15, 3)
    signature = [tf.TensorSpec((None, None, 3))]
    traced = tf.function(lambda x: depthwise_conv_1d(x, kernel, dilation, True), input_signature=signature)
    for length in (1, 7, 8, 21):
        x = normal(2, length, 3)
        close(traced(x), reference.depthwise_1d(x.astype("float64"), kernel, dilation, True))


def test_a_causal_convolution_reads_nothing_later():
    x, kernel = normal(1, 30, 2), normal(15, 2, seed=1)
    later = np.concatenate([x[:, :17], 9 + x[:, 17:]], axis=1)
    for dilation in (1, 8):
        before, after = (np.asarray(depthwise_conv_1d(v, kernel, dilation, True)) for v in (x, later))
        np.testing.assert_array_equal(before[:, :17], after[:, :17])
        assert (before[:, 17:] != after[:, 17:]).any()


@pytest.mark.parametrize("shape", [(2, 6, 8, 3), (1, 5, 7, 2), (2, 1, 4, 2), (1, 9, 1, 1)])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_2d_equals_plain_loops(shape, stride):
    x, kernel = normal(*shape), normal(3, 3, shape[-1], seed=1)
    wanted = reference.depthwise_2d(x.astype("float64"), kernel, stride)
    close(depthwise_conv_2d(x, kernel, stride), wanted)
    other = normal(*shape, seed=2)
    along = reference.depthwise_2d(other.astype("float64"), kernel, stride).sum()
    close((gradients(lambda x: depthwise_conv_2d(x, kernel, stride), x)[0] * other).sum(), along, 1e-3)


@pytest.mark.parametrize(
    ("shape", "strides"),
    [((2, 7, 3), (2,)), ((2, 8, 3), (2,)), ((2, 5, 6, 2), (2, 2)), ((1, 6, 5, 2), (2, 1)), ((1, 1, 1, 1), (2, 2))],
)
@pytest.mark.parametrize("masked", [False, True])
def test_max_pool_equals_plain_loops(shape, strides, masked):
    x = normal(*shape) - 5  # all negative: padding must never win
    mask = np.ones(shape[:2], "float32")
    if masked:
        mask[0, -(shape[1] // 2) :] = 0
    wanted = reference.max_pool(x, strides, mask if masked else None)
    got = np.asarray(max_pool(x, strides, mask if masked else None))
    assert got.shape == (shape[0], *(math.ceil(s / n) for s, n in zip(shape[1:-1], strides, strict=True)), shape[-1])
    close(got[np.isfinite(wanted)], wanted[np.isfinite(wanted)])


def test_subsample_picks_every_stride_th_position_from_the_first():
    np.testing.assert_array_equal(subsample(np.arange(7)[None, :, None], (2,))[0, :, 0], [0, 2, 4, 6])
    np.testing.assert_array_equal(subsample(np.arange(6).reshape(1, 3, 2, 1), (2, 1))[0, :, :, 0], [[0, 1], [4, 5]])


STEPS = {
    "kernel 3": ({"filters": 6, "kernel_size": (3,)}, (2, 9, 4), (2, 9, 6)),
    "dilated, causal": ({"filters": 4, "kernel_size": (15,), "dilation": 8, "causal": True}, (2, 11, 4), (2, 11, 4)),
    "pointwise, strided": ({"filters": 5, "kernel_size": (1,), "strides": (2,)}, (2, 7, 4), (2, 4, 5)),
    "two axes": ({"filters": 5, "kernel_size": (3, 3)}, (2, 4, 6, 3), (2, 4, 6, 5)),
    "two axes, strided": ({"filters": 5, "kernel_size": (3, 3), "strides": (2, 2), "relu": False}, (2, 5, 6, 3), (2, 3, 3, 5)),
    "pointwise, unequal strides": ({"filters": 5, "kernel_size": (1, 1), "strides": (2, 1)}, (2, 5, 6, 3), (2, 3, 6, 5)),
}


@pytest.mark.parametrize("name", STEPS)
def test_conv_step_equals_its_equation(name):
    arguments, shape, output_shape = STEPS[name]
    x = normal(*shape)
    weights = 3 if max(arguments["kernel_size"]) == 1 else 4
    run_layer_test(lambda: ConvStep(**arguments), x, output_shape=output_shape, weights=weights, trainable_weights=weights)
    step = ConvStep(**arguments)
    step.build(shape)
    shake(step)
    close(step(x), reference.conv_step(step, x.astype("float64")), 1e-4)


def test_without_relu_negative_inputs_count():
    x = -abs(normal(1, 6, 4))
    for relu in (False, True):
        step = ConvStep(4, (3,), relu=relu)
        assert (np.asarray(step(x)) != 0).any() != relu


@pytest.mark.parametrize(("kernel", "shape"), [((3,), (2, 9, 4)), ((15,), (2, 9, 4)), ((3, 3), (2, 9, 5, 4))])
def test_a_masked_conv_step_reads_no_padding(kernel, shape):
    step = ConvStep(4, kernel)
    x, mask = normal(*shape), np.ones(shape[:2], "float32")
    mask[:, 6:] = 0
    close(step(x, mask)[:, :6], step(x[:, :6]))


def test_unequal_strides_with_a_depthwise_kernel_are_refused():
    with pytest.raises(ValueError, match="equal strides"):
        ConvStep(4, (3, 3), strides=(2, 1))
    with pytest.raises(ValueError, match="none on one"):
        ConvStep(4, (3,), strides=(2,))
