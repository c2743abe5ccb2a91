"""Computes a window of a scaled picture, with memory in proportion to the window instead of the whole scaled picture."""

from __future__ import annotations

import tensorflow as tf


def window_of_scaled(pixels: tf.Tensor, scaled: tf.Tensor, top_left: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Returns a window of the picture that results from scaling `pixels`, without scaling the pixels outside the window.

    The values equal the same window of `tf.image.resize(pixels, scaled, antialias=True)`. Besides `pixels` it needs 4 bytes for
    each number of the window [h, w, C], and of the window with its columns not yet scaled, [h, columns, C].

    Args:
        pixels: uint8 [H, W, C].
        scaled: float64 [2], the whole height and width of the picture after scaling, in whole numbers.
        top_left: float64 [2], the window's first row and column in the scaled picture, in whole numbers.
        size: (h, w), the window's height and width.

    Returns:
        float32 [h, w, C].
    """
    stored = tf.cast(tf.shape(pixels)[:2], tf.float64)

    def cut() -> tf.Tensor:
        return tf.cast(tf.slice(pixels, _corner(top_left), [*size, -1]), tf.float32)

    def scale_window() -> tf.Tensor:
        scale = scaled / stored
        reach = tf.maximum(1.0 / scale, 1.0) + 1.0  # the radius of the triangle filter, in source pixels
        first = tf.maximum(tf.floor(top_left / scale - reach), 0)
        last = tf.minimum(tf.math.ceil((top_left + size) / scale + reach), stored)
        source = tf.slice(pixels, _corner(first), tf.concat([tf.cast(last - first, tf.int32), [-1]], axis=0))
        scaled_source = tf.raw_ops.ScaleAndTranslate(
            images=source[None],
            size=size,
            scale=tf.cast(scale, tf.float32),
            translation=tf.cast(first * scale - top_left, tf.float32),
            kernel_type="triangle",
            antialias=True,
        )
        return scaled_source[0]

    # Scaling by 1 changes no value, but takes half of the time of a small picture.
    return tf.cond(tf.reduce_all(scaled == stored), cut, scale_window)


def _corner(place: tf.Tensor) -> tf.Tensor:
    """Returns the position (row, column), float64 [2], as a position (row, column, 0), int32 [3]."""
    return tf.pad(tf.cast(place, tf.int32), [[0, 1]])
