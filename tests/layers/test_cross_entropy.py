"""The label-smoothed cross-entropy and its written-out gradient."""

import numpy as np
import pytest
import tensorflow as tf
from tensors import close, gradients, normal

from t2t_multimodel.layers.cross_entropy import smoothed_cross_entropy


def plain(logits, targets, smoothing):
    """The same formula over labels of all ids, left to automatic differentiation."""
    size = logits.shape[-1]
    labels = tf.one_hot(targets, size) * (1 - smoothing) + smoothing / size
    return -tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=-1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(2, 3), (4,)])
def test_value_and_gradient_equal_the_plain_formula(shape, smoothing):
    logits, weights = 4 * normal(*shape, 7), normal(*shape, seed=1)
    targets = np.random.default_rng(2).integers(0, 7, shape).astype("int32")
    close(smoothed_cross_entropy(logits, targets, smoothing), plain(logits, targets, smoothing))
    got, wanted = (
        gradients(lambda x, function=function: function(x, targets, smoothing), logits, weights=weights)[0]
        for function in (smoothed_cross_entropy, plain)
    )
    close(got, wanted)


def test_logits_far_apart_give_finite_losses_and_gradients():
    logits = np.array([[1e4, -1e4, 0.0]], "float32")
    close(smoothed_cross_entropy(logits, np.array([1], "int32"), 0.0), [2e4])
    (gradient,) = gradients(lambda x: smoothed_cross_entropy(x, np.array([1], "int32"), 0.0), logits)
    close(gradient, [[1.0, -1.0, 0.0]])


def test_the_cross_entropy_of_even_logits_is_the_logarithm_of_their_number():
    close(smoothed_cross_entropy(np.zeros((2, 3, 7), "float32"), np.ones((2, 3), "int32"), 0.1), np.full((2, 3), np.log(7)))
