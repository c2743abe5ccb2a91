"""Runs TensorFlow's functions eagerly, since tracing takes most of the time of a test that calls each of them a few times."""

import contextlib

import tensorflow as tf

# pytest's filter for the warning that tf.data gives then.
IGNORED = "ignore:Even though the `tf.config.experimental_run_functions_eagerly`:UserWarning"


@contextlib.contextmanager
def untraced():
    """Turns the tracing of functions off inside the context."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)
