"""A window of a scaled picture, in memory that follows from the window and not from the whole scaled picture."""

from __future__ import annotations

import tensorflow as tf


def window_of_scaled(pixels: tf.Tensor, scaled: tf.Tensor, top_left: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Returns what lies in a window of the picture that has been scaled, without scaling the rest.

    The values are those of `tf.image.resize(pixels, scaled, antialias=True)`, cut out. Besides `pixels` it takes 4 bytes for each
    number of [size[0], the window's columns before it is scaled, C], and for those of the window.

    Args:
        pixels: uint8 [H, W, C].
        scaled: float64 [2], the whole size of the picture after scaling, in whole numbers.
        top_left: float64 [2], where the window begins in it, in whole numbers.
        size: height and width of the window.

    Returns:
        float32 [size[0], size[1], C].
    """
    stored = tf.cast(tf.shape(pixels)[:2], tf.float64)

    def cut() -> tf.Tensor:
        return tf.cast(tf.slice(pixels, _corner(top_left), [*size, -1]), tf.float32)

    def scale_window() -> tf.Tensor:
        scale = scaled / stored
        reach = tf.maximum(1.0 / scale, 1.0) + 1.0  # of the triangle by which pixels are weighted
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

    # To scale by 1 changes nothing, and took half of the time of a small picture.
    return tf.cond(tf.reduce_all(scaled == stored), cut, scale_window)


def _corner(place: tf.Tensor) -> tf.Tensor:
    """Row and column, float64 [2], as the place of a first channel, int32 [3]."""
    return tf.pad(tf.cast(place, tf.int32), [[0, 1]])
