"""Imports TensorFlow without its complaints."""

from __future__ import annotations

import logging
import os

from t2t_multimodel.utils.tensorflow_log import has_nvidia_driver, tensorflow_log_held_back


def quiet_tensorflow() -> None:
    """Imports TensorFlow as the backend of Keras; nothing about missing GPUs or CPU instructions reaches the terminal.

    Call it before anything that imports tensorflow or keras. With an NVIDIA driver on the machine, warnings and errors of the
    import are shown; without one TensorFlow is told not to look for a GPU. Where the import fails, all that it printed is shown.
    """
    gpu = has_nvidia_driver()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if gpu else "3")
    if not gpu:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    with tensorflow_log_held_back():
        import tensorflow as tf

        tf.config.list_physical_devices()
    tf.get_logger().setLevel(logging.ERROR)
