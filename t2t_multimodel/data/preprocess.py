"""Turns what a record holds into what a model reads, one example at a time; training and decoding call the same functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import tensorflow as tf

from t2t_multimodel.config import DataConfig
from t2t_multimodel.data.graph.picture_window import window_of_scaled
from t2t_multimodel.data.graph.pictures import stored_pixels
from t2t_multimodel.data.graph.sound_augmentation import augmented_samples, masked
from t2t_multimodel.features import Image
from t2t_multimodel.utils.constants import EOS_ID

CROP_SCALE = 1.2
LOWEST_MEL_HZ = 40.0


def text_ids(ids: tf.Tensor) -> tf.Tensor:
    """Returns int32 [..., L + 1]: `ids`, int64 [..., L] padded with 0, with the end-of-sequence id after each text's last id."""
    lengths = tf.math.count_nonzero(ids, axis=-1, keepdims=True, dtype=tf.int32)
    ends = tf.cast(tf.range(tf.shape(ids)[-1] + 1) == lengths, tf.int32) * EOS_ID
    return tf.pad(tf.cast(ids, tf.int32), [[0, 0]] * (ids.shape.rank - 1) + [[0, 1]]) + ends


def image_pixels(
    content: tf.Tensor,
    feature: Image,
    seed: tf.Tensor | None = None,
    decode: Callable[[tf.Tensor, int], tf.Tensor] = stored_pixels,
) -> tf.Tensor:
    """Returns a picture as float32 [height, width, C] of mean 0 and standard deviation 1.

    The picture is scaled until it covers height x width, and its middle is cut out. With a `seed`, and if the feature asks for
    it, a random part of a slightly larger picture is cut out instead, and half of the pictures are flipped.

    Args:
        content: string [], the bytes of an image file, as a record holds them.
        feature: the size, the channels and the augmentation.
        seed: int32 [2], which alone decides the augmentation; None for no augmentation.
        decode: a function of `content` and the number of channels that returns uint8 [H, W, C]; see data.graph.pictures.
    """
    pixels = decode(content, feature.channels)
    size = tf.cast(tf.shape(pixels)[:2], tf.float64)
    wanted = tf.constant([feature.height, feature.width], tf.float64)
    scale = tf.reduce_max(wanted / size)
    augment = () if seed is None else feature.augment
    crop = "crop" in augment
    seeds = tf.random.experimental.stateless_split([0, 0] if seed is None else seed, 3)
    if crop:
        scale *= tf.cast(tf.random.stateless_uniform([], seeds[0], 1.0, CROP_SCALE), tf.float64)
    # The size stays float64, because a long thin picture would have more columns than an int32 holds.
    scaled = tf.maximum(tf.math.ceil(size * scale - 1e-3), wanted)
    room = scaled - wanted
    place = tf.cast(tf.random.stateless_uniform([2], seeds[1]), tf.float64) * (room + 1.0) if crop else room / 2.0
    x = window_of_scaled(pixels, scaled, tf.floor(tf.minimum(place, room)), (feature.height, feature.width))
    if "flip" in augment:
        x = tf.image.stateless_random_flip_left_right(x, seeds[2])
    return tf.image.per_image_standardization(x)


def log_mel(samples: tf.Tensor, sample_rate: int, config: DataConfig) -> tf.Tensor:
    """Returns log-mel frames, float32 [frames, mel_bins], of float32 [samples].

    Their mean is 0 and their standard deviation is 1 over the utterance.
    """
    frame = int(sample_rate * config.frame_ms / 1000)
    hop = int(sample_rate * config.hop_ms / 1000)
    spectrum = tf.abs(tf.signal.stft(samples, frame, hop, window_fn=lambda _, dtype: _window(frame), pad_end=True))
    return _standardise(tf.math.log(spectrum @ _mel_weights(config.mel_bins, spectrum.shape[-1], sample_rate) + 1e-3))


@lru_cache
def _window(size: int) -> np.ndarray:
    """Returns a Hann window, float32 [size]; it is cached, because computing it per utterance would cost time."""
    with tf.init_scope():
        return tf.signal.hann_window(size).numpy()


@lru_cache
def _mel_weights(mel_bins: int, bins: int, sample_rate: int) -> np.ndarray:
    """Returns the matrix from a spectrum to mel bins, float32 [bins, mel_bins]; it is cached."""
    with tf.init_scope():
        return tf.signal.linear_to_mel_weight_matrix(mel_bins, bins, sample_rate, LOWEST_MEL_HZ, sample_rate / 2).numpy()


def sound(pcm: tf.Tensor, sample_rate: int, audio_input: str, config: DataConfig, seed: tf.Tensor | None = None) -> tf.Tensor:
    """Returns a sound as the model reads it, of mean 0 and standard deviation 1 before masks.

    Args:
        pcm: string [], 16-bit PCM.
        sample_rate: samples per second.
        audio_input: "waveform" or "spectrogram".
        config: the hyperparameters of spectrograms and of augmentation.
        seed: int32 [2], which alone decides the augmentation; None for no augmentation.

    Returns:
        float32 [samples] for "waveform", float32 [frames, mel_bins] for "spectrogram".
    """
    samples = tf.cast(tf.io.decode_raw(pcm, tf.int16), tf.float32) / 32768.0
    if seed is None:
        return sound_features(samples, sample_rate, audio_input, config)
    seeds = tf.random.experimental.stateless_split(seed, 2)
    samples = augmented_samples(samples, int(config.max_seconds * sample_rate), config, seeds[0])
    features = sound_features(samples, sample_rate, audio_input, config)
    masks = config.frequency_masks or config.time_masks
    return masked(features, config, seeds[1]) if masks and audio_input == "spectrogram" else features


def sound_features(samples: tf.Tensor, sample_rate: int, audio_input: str, config: DataConfig) -> tf.Tensor:
    """Returns the same as `sound`, from float32 [samples] between -1 and 1."""
    return _standardise(samples) if audio_input == "waveform" else log_mel(samples, sample_rate, config)


def _standardise(x: tf.Tensor) -> tf.Tensor:
    mean, variance = tf.nn.moments(x, axes=list(range(x.shape.rank)))
    return (x - mean) * tf.math.rsqrt(variance + 1e-6)
