"""Imports TensorFlow without the messages that it prints at each start."""

from __future__ import annotations

import logging
import os

from t2t_multimodel.utils.allocator import keep_freed_memory
from t2t_multimodel.utils.tensorflow_log import has_nvidia_driver, tensorflow_log_held_back


def quiet_tensorflow(onednn: bool = True) -> None:
    """Imports TensorFlow as the backend of Keras, without its lines on missing GPUs and CPU instructions.

    Call it before anything that imports tensorflow or keras. If the machine has an NVIDIA driver, warnings and errors of the
    import are shown; otherwise TensorFlow is told not to look for a GPU. If the import fails, everything it printed is shown.

    The process keeps the memory that it frees (see utils.allocator).

    Args:
        onednn: whether TensorFlow uses oneDNN's kernels if TF_ENABLE_ONEDNN_OPTS does not say so; by itself it uses them only
            where it finds AVX-512 with VNNI. Training is faster with them. They prepare each small product anew, so that a
            decoding step of one sentence takes half the time without them.
    """
    keep_freed_memory()
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", str(int(onednn)))
    gpu = has_nvidia_driver()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if gpu else "3")
    if not gpu:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    with tensorflow_log_held_back():
        import tensorflow as tf

        tf.config.list_physical_devices()
    tf.get_logger().setLevel(logging.ERROR)
