"""Preprocessed text, pictures and sound agree with Pillow and NumPy, eagerly and inside tf.data."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image as Picture

from t2t_multimodel.config import DataConfig
from t2t_multimodel.data import preprocess
from t2t_multimodel.features import Image

RATE = 8000
CONFIG = DataConfig(mel_bins=6, frame_ms=25.0, hop_ms=10.0)


def photograph(width, height, mode="RGB"):
    """Returns a smooth picture without repetition."""
    y, x = np.mgrid[:height, :width]
    planes = [127 + 120 * np.sin(x / width * 3 + i) * np.cos(y / height * 2 - i) for i in range(3)]
    return Picture.fromarray(np.stack(planes, -1).astype("uint8")).convert(mode)


def png(picture):
    with io.BytesIO() as file:
        picture.save(file, "PNG")
        return file.getvalue()


def pixels(content, feature, seed=None):
    return preprocess.image_pixels(tf.constant(content), feature, None if seed is None else tf.constant([1, seed])).numpy()


def standardised(x):
    x = np.asarray(x, "float64")
    return (x - x.mean()) / max(x.std(), 1 / np.sqrt(x.size))


def samples(length, seed=0):
    return np.random.default_rng(seed).normal(0, 3000, length).astype("<i2")


def test_text_ends_with_the_end_of_sequence_id():
    ids = preprocess.text_ids(tf.constant([7, 5, 300], tf.int64))
    assert ids.dtype == tf.int32
    assert ids.numpy().tolist() == [7, 5, 300, 1]
    assert preprocess.text_ids(tf.constant([], tf.int64)).numpy().tolist() == [1]


def test_an_image_of_the_right_size_is_only_standardised():
    picture = photograph(12, 20)
    np.testing.assert_allclose(pixels(png(picture), Image(20, 12)), standardised(picture), atol=1e-4)


@pytest.mark.parametrize(("width", "height"), [(40, 24), (24, 40), (80, 24), (24, 24)])
def test_the_middle_is_cut_out_of_an_image_that_needs_no_scaling(width, height):
    feature = Image(24, 24)
    picture = photograph(width, height)
    left, top = (width - 24) // 2, (height - 24) // 2
    wanted = standardised(picture.crop((left, top, left + 24, top + 24)))
    np.testing.assert_allclose(pixels(png(picture), feature), wanted, atol=1e-4)


@pytest.mark.parametrize(("width", "height"), [(60, 40), (40, 90), (33, 21), (9, 14)])
def test_an_image_covers_its_place_with_its_aspect_kept(width, height):
    feature = Image(height=16, width=24)
    picture = photograph(width, height)
    scale = max(16 / height, 24 / width)
    size = (round(np.ceil(width * scale - 1e-3)), round(np.ceil(height * scale - 1e-3)))
    left, top = (size[0] - 24) // 2, (size[1] - 16) // 2
    scaled = np.asarray(picture.resize(size, Picture.Resampling.BILINEAR), "float64")
    found = pixels(png(picture), feature)
    assert found.shape == (16, 24, 3)
    np.testing.assert_allclose(found, standardised(scaled[top : top + 16, left : left + 24]), atol=0.06)


def test_images_have_mean_0_and_deviation_1():
    found = pixels(png(photograph(50, 30)), Image(20, 28))
    assert found.dtype == np.float32
    assert found.mean() == pytest.approx(0, abs=1e-5)
    assert found.std() == pytest.approx(1, abs=1e-4)


def test_an_image_of_one_colour_is_finite():
    assert np.all(pixels(png(Picture.new("RGB", (9, 9), "red").convert("L")), Image(9, 9, 1)) == 0)


@pytest.mark.parametrize(("mode", "channels"), [("L", 3), ("RGB", 1), ("RGBA", 3), ("P", 3)])
def test_channels_are_as_the_feature_says(mode, channels):
    assert pixels(png(photograph(10, 10, mode)), Image(10, 10, channels)).shape == (10, 10, channels)


def test_jpeg_is_read():
    picture, file = photograph(20, 20), io.BytesIO()
    picture.save(file, "JPEG", quality=95, subsampling=0)
    np.testing.assert_allclose(pixels(file.getvalue(), Image(20, 20)), standardised(Picture.open(file)), atol=0.1)


@pytest.mark.parametrize("augment", [("flip",), ("crop",), ("crop", "flip")])
def test_augmentation_is_for_training_alone(augment):
    content, feature = png(photograph(30, 30)), Image(16, 16, augment=augment)
    plain = pixels(content, Image(16, 16))
    assert all(np.array_equal(pixels(content, feature), plain) for _ in range(4))
    made = [pixels(content, feature, seed) for seed in range(12)]
    assert any(not np.array_equal(each, plain) for each in made)
    assert all(np.array_equal(pixels(content, feature, seed), made[seed]) for seed in range(12))


def test_training_without_augmentation_changes_nothing():
    content, feature = png(photograph(30, 20)), Image(16, 16)
    assert np.array_equal(pixels(content, feature, seed=3), pixels(content, feature))


def test_half_of_the_images_are_flipped():
    content, feature = png(photograph(16, 16)), Image(16, 16, augment=("flip",))
    plain = pixels(content, Image(16, 16))
    seen = [pixels(content, feature, seed) for seed in range(40)]
    flipped = sum(np.allclose(x, plain[:, ::-1], atol=1e-5) for x in seen)
    assert sum(np.allclose(x, plain, atol=1e-5) for x in seen) == 40 - flipped
    assert 8 < flipped < 32


def test_crops_are_of_other_places_and_sizes():
    content, feature = png(photograph(40, 40)), Image(20, 20, augment=("crop",))
    seen = [pixels(content, feature, seed) for seed in range(12)]
    assert all(x.shape == (20, 20, 3) for x in seen)
    assert len({x.tobytes() for x in seen}) > 8


def test_a_crop_reaches_both_edges(monkeypatch):
    monkeypatch.setattr(preprocess, "CROP_SCALE", 1.0)
    picture = photograph(23, 20)
    feature = Image(20, 20, augment=("crop",))
    tf.random.set_seed(1)
    seen = {np.round(pixels(png(picture), feature, seed), 3).tobytes() for seed in range(40)}
    wanted = {pixels(png(picture.crop((left, 0, left + 20, 20))), Image(20, 20)).round(3).tobytes() for left in range(4)}
    assert seen == wanted


def mel_weights(bins, spectrum, rate, low):
    """Returns the weights of triangular filters evenly spaced on the mel scale; the mean at 0 Hz is left out."""
    mel = lambda hertz: 1127 * np.log1p(np.asarray(hertz) / 700)  # noqa: E731
    edges = np.linspace(mel(low), mel(rate / 2), bins + 2)
    places = mel(np.linspace(0, rate / 2, spectrum))[1:, None]
    rising = (places - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - places) / (edges[2:] - edges[1:-1])
    return np.vstack([np.zeros(bins), np.maximum(0, np.minimum(rising, falling))])


def numpy_log_mel(pcm):
    frame, hop, fft = 200, 80, 256
    x = pcm / 32768.0
    frames = -(-len(x) // hop)
    x = np.pad(x, (0, frame))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)
    spectrum = np.stack([np.abs(np.fft.rfft(x[i * hop : i * hop + frame] * window, fft)) for i in range(frames)])
    logs = np.log(spectrum @ mel_weights(6, fft // 2 + 1, RATE, preprocess.LOWEST_MEL_HZ) + 1e-3)
    return (logs - logs.mean()) / np.sqrt(logs.var() + 1e-6)


@pytest.mark.parametrize("length", [1, 80, 200, 801, 2345])
def test_log_mel_frames_equal_those_of_numpy(length):
    pcm = samples(length)
    found = preprocess.sound(tf.constant(pcm.tobytes()), RATE, "spectrogram", CONFIG)
    assert found.dtype == tf.float32
    assert found.shape == (-(-length // 80), 6)
    np.testing.assert_allclose(found, numpy_log_mel(pcm), atol=2e-3)


def test_a_waveform_is_standardised():
    pcm = samples(1000) + 500
    found = preprocess.sound(tf.constant(pcm.astype("<i2").tobytes()), RATE, "waveform", CONFIG)
    x = pcm / 32768.0
    np.testing.assert_allclose(found, (x - x.mean()) / np.sqrt(x.var() + 1e-6), atol=1e-4)


@pytest.mark.parametrize("kind", ["waveform", "spectrogram"])
def test_silence_is_finite(kind):
    found = preprocess.sound(tf.constant(np.zeros(500, "<i2").tobytes()), RATE, kind, CONFIG)
    assert np.all(np.abs(found) < 1e-3)


def test_loudness_matters_little_to_a_waveform():
    loud, soft = (
        preprocess.sound(tf.constant((samples(900) // d).astype("<i2").tobytes()), RATE, "waveform", CONFIG) for d in (1, 4)
    )
    np.testing.assert_allclose(loud, soft, atol=0.05)


def test_inside_tf_data_is_as_outside():
    content, feature, pcm = png(photograph(30, 20)), Image(16, 12), samples(700).tobytes()

    def both(image, sound):
        return preprocess.image_pixels(image, feature), preprocess.sound(sound, RATE, "spectrogram", CONFIG)

    (inside,) = tf.data.Dataset.from_tensors((content, pcm)).map(both)
    outside = both(tf.constant(content), tf.constant(pcm))
    assert inside[0].shape == (16, 12, 3)
    for a, b in zip(inside, outside, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
