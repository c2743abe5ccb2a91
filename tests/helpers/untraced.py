"""TensorFlow's functions run eagerly: tracing takes most of the time of a test that calls each of them a few times."""

import contextlib

import tensorflow as tf

# What tf.data says of it, for a mark of pytest.
IGNORED = "ignore:Even though the `tf.config.experimental_run_functions_eagerly`:UserWarning"


@contextlib.contextmanager
def untraced():
    """Functions are not traced in the block."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)
