"""The timing signal."""

import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf
from tensors import close

from t2t_multimodel.layers.position import timing_signal


@pytest.mark.parametrize(("length", "depth"), [(1, 2), (7, 16), (40, 6)])
def test_equals_the_papers_formula(length, depth):
    close(timing_signal(length, depth), reference.timing_signal(length, depth))


def test_starts_at_position_0_with_sine_and_cosine_interleaved():
    signal = np.asarray(timing_signal(2, 8))
    close(signal[0], [0, 1] * 4)
    close(signal[1, :2], [np.sin(1), np.cos(1)])


def test_a_longer_signal_starts_with_the_shorter_one():
    np.testing.assert_array_equal(timing_signal(30, 8)[:12], timing_signal(12, 8))


def test_the_length_may_be_a_tensor():
    traced = tf.function(lambda n: timing_signal(n, 8), input_signature=[tf.TensorSpec((), tf.int32)])
    close(traced(5), timing_signal(5, 8))


def test_an_odd_depth_is_refused():
    with pytest.raises(ValueError, match="even depth, got 7"):
        timing_signal(3, 7)
