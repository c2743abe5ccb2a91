"""Functions that tests of layers share: random arrays, gradients, comparison."""

import numpy as np


def normal(*shape, seed=0):
    """Returns random normal numbers of a shape, float32."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def shake(layer, seed=1, scale=0.3):
    """Adds normal numbers to every trainable weight, so that none is at a special value as 0 or 1; returns the layer."""
    generator = np.random.default_rng(seed)
    for variable in layer.trainable_weights:
        variable.assign(np.asarray(variable) + scale * generator.normal(size=variable.shape).astype("float32"))
    return layer


def gradients(function, *arrays, weights=None):
    """Returns the gradient of sum(weights * function(*arrays)) with respect to each array, on TensorFlow."""
    import tensorflow as tf

    tensors = [tf.constant(x) for x in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        y = function(*tensors)
        loss = tf.reduce_sum(y if weights is None else y * weights)
    return [gradient.numpy() for gradient in map(tf.convert_to_tensor, tape.gradient(loss, tensors))]


def close(got, wanted, tolerance=1e-5):
    """Asserts that two arrays are equal up to `tolerance`, absolute and relative."""
    np.testing.assert_allclose(np.asarray(got), np.asarray(wanted), rtol=tolerance, atol=tolerance)
