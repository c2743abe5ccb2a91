"""Stores a model's weights in fewer bytes: as float16, or as int8 with a scale per column."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

KINDS = ("float32", "float16", "int8")
_ROUTER = ("/gate", "/noise_kernel")  # a small change of these sends tokens to other experts
_LEAST = 256  # smaller arrays, such as biases and gains, stay as they are
_LARGEST = 127.0


class StoredWeights(tf.Module):
    """The weights of a model in another type, which functions that are traced within `in_use` read.

    float16 rounds every weight. int8 is for matrices alone: an array [..., R, C] gets integers from -127 to 127 and a scale per
    column, [..., 1, C], so that the largest number of a column is exact. Products are computed in the model's own type.

    The routers of experts stay as they are.

    Args:
        variables: the model's Keras variables.
        kind: "float16" or "int8".
    """

    def __init__(self, variables: Sequence[Any], kind: str) -> None:
        super().__init__()
        read = [variable for variable in variables if _is_stored(variable, kind)]
        self._read = lambda: read  # not a list, which would be saved with the module
        self._whole = [variable.value for variable in variables if not _is_stored(variable, kind)]
        values = [tf.convert_to_tensor(variable.value) for variable in read]
        self._scales = [tf.Variable(_scale(value), trainable=False) for value in values] if kind == "int8" else []
        if self._scales:
            values = [tf.round(value / scale) for value, scale in zip(values, self._scales, strict=True)]
        self._stored = [tf.Variable(tf.cast(value, kind), trainable=False) for value in values]

    def all(self) -> list[tf.Variable]:
        """Returns everything that is stored: weights, scales, and the variables that stay as they are."""
        return [*self._stored, *self._scales, *self._whole]

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Makes the model read the stored weights in all that is traced within."""
        values = [tf.cast(each, tf.float32) for each in self._stored]
        if self._scales:
            values = [value * scale for value, scale in zip(values, self._scales, strict=True)]
        with keras.StatelessScope(state_mapping=list(zip(self._read(), values, strict=True))):
            yield


def _is_stored(variable: Any, kind: str) -> bool:
    is_weight = variable.dtype == "float32" and variable.trainable and not variable.path.endswith(_ROUTER)
    return is_weight and (kind == "float16" or (len(variable.shape) > 1 and variable.value.shape.num_elements() >= _LEAST))


def _scale(value: tf.Tensor) -> tf.Tensor:
    """Returns the scale of each column of [..., R, C], [..., 1, C]; a column of zeros has 1."""
    largest = tf.reduce_max(tf.abs(value), axis=-2, keepdims=True)
    return tf.where(largest > 0, largest / _LARGEST, tf.ones_like(largest))
