"""Traced functions are freed with their graphs, and other graphs keep their custom gradients."""

import gc
import weakref

import numpy as np
import tensorflow as tf
from keras import ops
from tensorflow.python.framework.ops import gradient_registry

from t2t_multimodel.tf_internals import traced


def doubled_gradient(x):
    """Returns x, whose gradient is written out, twice the right one."""

    @ops.custom_gradient
    def identity(x):
        return ops.convert_to_tensor(x), lambda *args, upstream=None: 2 * (args[0] if upstream is None else upstream)

    return identity(x)


def slope(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.cond(tf.reduce_sum(x) > 0, lambda: doubled_gradient(x), lambda: 3 * doubled_gradient(x))
        total = tf.reduce_sum(doubled_gradient(y))
    return tape.gradient(total, x)


def test_a_function_that_is_dropped_frees_its_graph():
    names = set(gradient_registry.list())
    function = traced(slope, input_signature=[tf.TensorSpec([None])])
    np.testing.assert_array_equal(function(tf.constant([1.0, 2.0])), [4.0, 4.0])
    np.testing.assert_array_equal(function(tf.constant([-1.0])), [12.0])
    graph = weakref.ref(function.get_concrete_function().graph)
    del function
    gc.collect()
    assert graph() is None
    assert set(gradient_registry.list()) == names


def test_a_graph_that_is_built_meanwhile_keeps_its_gradients():
    other = tf.Graph()
    with other.as_default():
        x = tf.constant([1.0])

    def meanwhile(y):
        with other.as_default():
            meanwhile.result = doubled_gradient(x)
        return slope(y)

    traced(meanwhile, input_signature=[tf.TensorSpec([None])]).get_concrete_function()
    with other.as_default():
        assert tf.gradients(meanwhile.result, x)[0] is not None
