"""Layer normalisation, its written-out gradient, and the pointwise product."""

import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf
from tensors import close, gradients, normal

from t2t_multimodel.layers.normalization import LayerNorm, centred_kernel, dense, layer_norm
from t2t_multimodel.testing import run_layer_test

SHAPES = [(3, 8), (2, 5, 8), (2, 3, 4, 8)]


def plain(x, gamma, beta):
    """The same formula, left to automatic differentiation."""
    mean = tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean((x - mean) ** 2, axis=-1, keepdims=True)
    return (x - mean) / tf.sqrt(variance + 1e-6) * gamma + beta


def ours(x, gamma, beta):
    return layer_norm(x, gamma, beta, 1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_value_equals_the_formula(shape):
    x, gamma, beta = 3 + 2 * normal(*shape), normal(8, seed=1), normal(8, seed=2)
    close(ours(x, gamma, beta), reference.layer_norm(x.astype("float64"), gamma, beta))


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_equals_that_of_the_plain_formula(shape):
    arguments = 3 + 2 * normal(*shape), normal(8, seed=1), normal(8, seed=2)
    weights = normal(*shape, seed=3)
    for got, wanted in zip(
        gradients(ours, *arguments, weights=weights), gradients(plain, *arguments, weights=weights), strict=True
    ):
        assert got.shape == wanted.shape
        close(got, wanted, 1e-4)


def test_gradient_equals_numerical_differences():
    x, gamma, beta, weights = normal(2, 3, 6), normal(6, seed=1), normal(6, seed=2), normal(2, 3, 6, seed=3)
    wide = [a.astype("float64") for a in (x, gamma, beta)]
    for place, got in enumerate(gradients(ours, x, gamma, beta, weights=weights)):

        def function(value, place=place):
            return reference.layer_norm(*wide[:place], value, *wide[place + 1 :])

        close(got, reference.numerical_gradient(function, wide[place], weights), 1e-3)


def test_a_constant_row_is_finite_with_a_finite_gradient():
    x = np.full((1, 2, 4), 5.0, "float32")
    close(ours(x, np.ones(4, "float32"), np.zeros(4, "float32")), np.zeros((1, 2, 4)))
    assert all(np.isfinite(g).all() for g in gradients(ours, x, np.ones(4, "float32"), np.zeros(4, "float32")))


def test_scale_and_shift_of_the_input_do_not_matter():
    x, ones, zeros = normal(2, 5, 8), np.ones(8, "float32"), np.zeros(8, "float32")
    close(ours(3 * x + 7, ones, zeros), ours(x, ones, zeros), 1e-4)


def test_the_layer():
    x = normal(2, 5, 8)
    y = run_layer_test(lambda: LayerNorm(1e-3), x, output_shape=(2, 5, 8), weights=2, trainable_weights=2)
    close(y, (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3))


@pytest.mark.parametrize("shape", SHAPES)
def test_dense_is_a_product_over_the_last_axis(shape):
    x, kernel = normal(*shape), normal(8, 5, seed=1)
    close(dense(x, kernel), x.astype("float64") @ kernel)


def test_dense_takes_dimensions_known_only_when_it_runs():
    kernel = tf.constant(normal(8, 5))
    traced = tf.function(lambda x: dense(x, kernel), input_signature=[tf.TensorSpec((None, None, 8))])
    for shape in ((2, 5, 8), (1, 0, 8)):
        close(traced(normal(*shape)), normal(*shape) @ kernel.numpy())


def test_a_centred_kernel_has_rows_of_mean_0_and_the_gradient_of_the_plain_formula():
    kernel, weights = 1 + normal(5, 7), normal(5, 7, seed=1)
    close(centred_kernel(kernel), kernel - kernel.mean(axis=1, keepdims=True))
    (got,) = gradients(centred_kernel, kernel, weights=weights)
    close(got, weights - weights.mean(axis=1, keepdims=True))
