"""Augments sound in training: speed perturbation, noise, and masks in spectrograms.

Each function changes one sound by a seed, int32 [2], which alone decides the change.
"""

from __future__ import annotations

from fractions import Fraction

import tensorflow as tf

from t2t_multimodel.config import DataConfig

_QUIET = 1e-10  # the power of silence is taken for this
_EDGE = 64  # zeros behind a sound, so that its end does not reach its beginning through the Fourier transform


def augmented_samples(samples: tf.Tensor, most: int, config: DataConfig, seed: tf.Tensor) -> tf.Tensor:
    """Returns float32 [samples] with another speed and noise, as `config` says.

    Args:
        samples: float32 [samples].
        most: the most samples of the result; a sound that is longer, or would become longer, keeps its speed.
        config: the sizes and probabilities.
        seed: int32 [2].
    """
    seeds = tf.random.experimental.stateless_split(seed, 2)
    if config.speed_perturbation:
        samples = perturbed_speed(samples, most, config.speed_perturbation, seeds[0])
    if config.noise_probability:
        samples = with_noise(samples, config.noise_probability, config.noise_snr, seeds[1])
    return samples


def perturbed_speed(samples: tf.Tensor, most: int, change: float, seed: tf.Tensor) -> tf.Tensor:
    """Returns a sound at the speed 1 - change, 1 or 1 + change, each as likely (Ko et al. 2015, Audio Augmentation, section 2).

    The sound is resampled, so that its length and its pitch change: x(t) becomes x(speed * t).
    """
    speeds = [Fraction(1) - _exact(change), Fraction(1), Fraction(1) + _exact(change)]
    drawn = tf.random.stateless_uniform([], seed, 0, 3, tf.int32)
    faster, per = (tf.constant(part)[drawn] for part in zip(*(speed.as_integer_ratio() for speed in speeds), strict=True))
    count = tf.size(samples)
    changed = tf.cast(tf.round(tf.cast(count, tf.float64) * tf.cast(per / faster, tf.float64)), tf.int32)
    same = (faster == per) | (tf.maximum(count, changed) > most) | (changed < 1)
    return tf.cond(same, lambda: samples, lambda: _resampled(samples, faster, per)[:changed])


def _exact(change: float) -> Fraction:
    """Returns `change` as a fraction of small numbers, so that few zeros make a sound's length a multiple of the numerator."""
    return Fraction(change).limit_denominator(1000)


def _resampled(samples: tf.Tensor, faster: tf.Tensor, per: tf.Tensor) -> tf.Tensor:
    """Returns x(t * faster / per), float32, by cutting or extending the spectrum; _EDGE zeros or more are behind the sound."""
    steps = (tf.size(samples) + _EDGE) // faster + 1
    before, after = steps * faster, steps * per
    kept = tf.minimum(before, after) // 2 + 1
    spectrum = tf.signal.rfft(tf.pad(samples, [[0, before - tf.size(samples)]]))[:kept]
    spectrum *= tf.cast(per / faster, tf.complex64)
    return tf.signal.irfft(tf.pad(spectrum, [[0, after // 2 + 1 - kept]]), after[None])


def with_noise(samples: tf.Tensor, probability: float, snr: tuple[int, ...], seed: tf.Tensor) -> tf.Tensor:
    """Returns a sound with white Gaussian noise, with `probability`, otherwise the sound itself.

    Args:
        snr: the least and the largest ratio of the powers of sound and noise in decibels; it is drawn evenly between them.
    """
    seeds = tf.random.experimental.stateless_split(seed, 3)
    ratio = tf.random.stateless_uniform([], seeds[1], float(snr[0]), float(snr[1]))
    power = tf.maximum(tf.reduce_mean(samples**2), _QUIET)
    deviation = tf.sqrt(power * 10.0 ** (-ratio / 10.0))
    chosen = tf.random.stateless_uniform([], seeds[0]) < probability
    return tf.cond(chosen, lambda: samples + deviation * tf.random.stateless_normal(tf.shape(samples), seeds[2]), lambda: samples)


def masked(spectrogram: tf.Tensor, config: DataConfig, seed: tf.Tensor) -> tf.Tensor:
    """Returns a spectrogram, float32 [frames, bins] of mean 0, with SpecAugment's masks of zeros (arXiv 1904.08779, section 2).

    A frequency mask covers f bins from f0 on: f is drawn from 0 to F = frequency_mask_width, f0 from 0 to below bins - f. A time
    mask covers t frames from t0 on: t is drawn from 0 to T, t0 from 0 to below frames - t. T is time_mask_width, at most
    time_mask_fraction of the frames.
    """
    frames, bins = tf.shape(spectrogram)[0], spectrogram.shape[1]
    seeds = tf.random.experimental.stateless_split(seed, 2)
    longest = tf.cast(tf.floor(config.time_mask_fraction * tf.cast(frames, tf.float32)), tf.int32)
    widest = tf.constant(min(config.frequency_mask_width, bins))
    kept = _kept(bins, config.frequency_masks, widest, seeds[0])[None, :]
    kept &= _kept(frames, config.time_masks, tf.minimum(config.time_mask_width, longest), seeds[1])[:, None]
    return tf.where(kept, spectrogram, tf.zeros_like(spectrogram))


def _kept(size: tf.Tensor | int, masks: int, widest: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns bool [size]: False where one of `masks` masks of at most `widest` positions lies."""
    drawn = tf.random.stateless_uniform([2, masks, 1], seed)
    width = tf.cast(tf.floor(drawn[0] * tf.cast(widest + 1, tf.float32)), tf.int32)
    start = tf.cast(tf.floor(drawn[1] * tf.cast(size - width, tf.float32)), tf.int32)
    place = tf.range(size)
    return ~tf.reduce_any((place >= start) & (place < start + width), axis=0)
