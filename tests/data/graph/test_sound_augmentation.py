"""Augmentation of sound against the definitions of its papers, computed apart from it."""

import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel.config import DataConfig, HParams
from t2t_multimodel.data import preprocess
from t2t_multimodel.data.graph.sound_augmentation import masked, perturbed_speed, with_noise

RATE = 8000


def tone(hertz, count, speed=1.0):
    return np.sin(2 * np.pi * hertz * speed * np.arange(count) / RATE).astype("float32")


def seeds(count):
    return [tf.constant([7, i]) for i in range(count)]


def test_a_third_is_slower_and_a_third_faster_in_length_and_pitch():
    sound, found = tone(440, 4000), {}
    perturb = tf.function(lambda seed: perturbed_speed(tf.constant(sound), 9000, 0.1, seed))
    for seed in seeds(300):
        changed = perturb(seed).numpy()
        found.setdefault(len(changed), []).append(changed)
    assert sorted(found) == [round(4000 / speed) for speed in (1.1, 1.0, 0.9)]
    assert all(75 < len(each) < 125 for each in found.values())
    np.testing.assert_array_equal(found[4000][0], sound)
    for speed in (0.9, 1.1):  # x(t) has become x(speed * t), apart from the ends, where the tone is cut off
        (first, *_), inner = found[round(4000 / speed)], slice(300, -300)
        np.testing.assert_allclose(first[inner], tone(440, len(first), speed)[inner], atol=0.02)


def test_a_sound_that_would_be_too_long_is_not_slowed_and_one_that_is_too_long_stays():
    for most, lengths in ((4100, {3636, 4000}), (4000, {3636, 4000}), (3999, {4000})):
        assert {len(perturbed_speed(tf.constant(tone(300, 4000)), most, 0.1, seed)) for seed in seeds(30)} == lengths


def test_noise_has_its_probability_and_its_ratio_to_the_sound():
    sound, ratios = tone(440, 20000) * 0.3, []
    add = tf.function(lambda seed: with_noise(tf.constant(sound), 0.5, (5, 25), seed))
    for seed in seeds(200):
        noise = add(seed).numpy() - sound
        if noise.any():
            ratios.append(10 * np.log10((sound**2).mean() / (noise**2).mean()))
            assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.05  # white
    assert 70 < len(ratios) < 130
    assert 4.5 < min(ratios) < 8 and 22 < max(ratios) < 25.5 and abs(np.mean(ratios) - 15) < 2
    assert np.isfinite(with_noise(tf.zeros([50]), 1.0, (0, 0), seeds(1)[0])).all()


def runs(hidden):
    """Returns (start, width) of the only run of True values, or None."""
    places = np.flatnonzero(hidden)
    assert not len(places) or places[-1] - places[0] + 1 == len(places)
    return (int(places[0]), len(places)) if len(places) else None


@pytest.mark.parametrize(("axis", "size", "widest"), [(1, 20, 6), (0, 50, 10)])
def test_a_mask_is_as_specaugment_draws_it(axis, size, widest):
    """Its width is even from 0 to F (or T), its start even from 0 to below size - width."""
    config = DataConfig(
        **({"frequency_masks": 1, "frequency_mask_width": 6} if axis else {"time_masks": 1, "time_mask_width": 40})
    )  # of 50 frames at most a fifth are masked
    spectrogram = np.random.default_rng(0).normal(size=(50, 20)).astype("float32")
    mask, drawn = tf.function(lambda seed: masked(tf.constant(spectrogram), config, seed)), []
    for seed in seeds(600):
        found = mask(seed).numpy()
        hidden = (found == 0).all(axis=1 - axis)
        np.testing.assert_array_equal(found, np.where(np.expand_dims(hidden, 1 - axis), 0, spectrogram))
        drawn.append(runs(hidden) or (None, 0))
    widths = np.array([width for _, width in drawn])
    assert set(widths) == set(range(widest + 1))
    assert np.bincount(widths).min() > 0.5 * 600 / (widest + 1)
    assert all(start is None or start < size - width for start, width in drawn)
    places = [start / (size - width - 1) for start, width in drawn if width]
    assert min(places) == 0 and max(places) == 1 and abs(np.mean(places) - 0.5) < 0.05


def test_several_masks_are_drawn_apart():
    config = DataConfig(frequency_masks=2, frequency_mask_width=3, time_masks=2, time_mask_width=5, time_mask_fraction=1.0)
    found = [masked(tf.ones([40, 30]), config, seed).numpy() for seed in seeds(40)]
    parts = {axis: [np.diff(np.pad((x == 0).all(axis=1 - axis), 1).astype(int)).clip(0).sum() for x in found] for axis in (0, 1)}
    assert max(parts[0]) == max(parts[1]) == 2
    assert not masked(tf.ones([1, 30]), config, seeds(1)[0]).numpy().min() < 0  # a sound of one frame


@pytest.mark.parametrize("kind", ["waveform", "spectrogram"])
def test_nothing_is_changed_unless_it_is_asked_for(kind):
    pcm = tf.constant((tone(440, 2000) * 9000).astype("<i2").tobytes())
    plain = preprocess.sound(pcm, RATE, kind, DataConfig(mel_bins=6))
    np.testing.assert_array_equal(preprocess.sound(pcm, RATE, kind, DataConfig(mel_bins=6), tf.constant([1, 2])), plain)
    for change in (
        {"speed_perturbation": 0.1},
        {"noise_probability": 1.0},
        {"frequency_masks": 2} if kind == "spectrogram" else {},
    ):
        config = DataConfig(mel_bins=6, **change)
        np.testing.assert_array_equal(preprocess.sound(pcm, RATE, kind, config), plain)
        changed = [preprocess.sound(pcm, RATE, kind, config, seed) for seed in seeds(6)]
        assert not change or any(x.shape != plain.shape or np.abs(x - plain).max() > 0.01 for x in changed)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"noise_snr": (30, 10)}, "noise_snr is the least and the largest ratio, got 30:10"),
        ({"time_masks": 1, "audio_input": "waveform"}, "time_masks=1 masks spectrograms; audio_input=waveform has none"),
    ],
)
def test_what_does_not_go_together_is_one_line(values, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        HParams().override(**values)
