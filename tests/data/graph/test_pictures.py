"""TensorFlow decodes pictures to Pillow's pixels: those of records, and any JPEG or PNG in a graph."""

import io

import numpy as np
import pictures
import pytest
import tensorflow as tf
from PIL import Image

from t2t_multimodel.data.graph.picture_window import window_of_scaled
from t2t_multimodel.data.graph.pictures import NEITHER, any_pixels, stored_pixels
from t2t_multimodel.data.readers.pictures.read import stored_picture

FILES = pictures.files()
IN_GRAPH = [name for name in FILES if name.endswith((".jpg", ".png"))]
any_of_rgb = tf.function(lambda content: any_pixels(content, 3), input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


@pytest.mark.parametrize("name", FILES)
def test_a_stored_picture_is_decoded_to_what_a_person_sees(name):
    content = tf.constant(stored_picture(FILES[name], name).content)
    for channels, mode in ((3, "RGB"), (1, "L")):
        found = stored_pixels(content, channels)
        assert found.dtype == tf.uint8
        # The two libraries round CMYK differently, and nothing else.
        assert np.abs(found.numpy().astype(int) - pictures.seen(FILES[name], mode)).max() <= ("cmyk" in name or "ycck" in name)


@pytest.mark.parametrize("name", IN_GRAPH)
def test_any_jpeg_or_png_is_decoded_so_in_a_graph(name):
    wanted = pictures.seen(FILES[name])
    assert np.abs(any_of_rgb(FILES[name]).numpy().astype(int) - wanted).max() <= ("cmyk" in name or "ycck" in name)


def test_grey_of_16_bits_is_the_same_in_a_graph_and_in_a_record():
    for most in (200, 1008, 65_535):
        content, _ = pictures.deep_grey(most)
        np.testing.assert_array_equal(any_of_rgb(content), stored_pixels(tf.constant(stored_picture(content, "x").content), 3))


def test_exif_without_an_orientation_or_damaged_is_upright():
    content, rng = FILES["exif6<.jpg"], np.random.default_rng(0)
    tiff = content.index(b"Exif") + 6
    upright = any_of_rgb(FILES["exif1<.jpg"]).numpy()
    for orientation in (0, 9, 300):
        np.testing.assert_array_equal(any_of_rgb(pictures.with_exif(orientation)), upright)
    for _ in range(60):
        damaged = bytearray(content)
        for place in rng.integers(tiff, tiff + 30, 3):
            damaged[place] = rng.integers(256)
        assert any_of_rgb(bytes(damaged)).shape[2] == 3


def test_other_formats_are_refused_in_one_sentence():
    for content in (FILES["a.gif"], FILES["a.webp"], FILES["a.bmp"], b"", b"text"):
        with pytest.raises(tf.errors.InvalidArgumentError, match=NEITHER):
            any_of_rgb(content)
    with pytest.raises(ValueError, match="a picture has 3 channels, or 1 if it is grey; got 4"):
        any_pixels(tf.constant(FILES["rgb.png"]), 4)


@pytest.mark.parametrize("stored", [(1, 1), (2, 150), (150, 2), (40, 61), (200, 133), (7, 300)])
@pytest.mark.parametrize("size", [(8, 8), (31, 20), (40, 61)])
def test_a_window_is_that_of_the_whole_picture_scaled(stored, size):
    rng = np.random.default_rng(3)
    small = Image.fromarray(rng.integers(0, 255, (4, 5, 3), dtype=np.uint8))
    pixels = np.asarray(small.resize(stored[::-1], Image.Resampling.BICUBIC))
    scale = max(size[0] / stored[0], size[1] / stored[1]) * 1.1
    scaled = np.maximum(np.ceil(np.array(stored) * scale), size)
    whole = tf.image.resize(tf.constant(pixels, tf.float32), scaled.astype(int), antialias=True)
    for place in (0.0, 0.37, 1.0):
        top, left = np.floor((scaled - size) * place)
        found = window_of_scaled(tf.constant(pixels), tf.constant(scaled), tf.constant([top, left], tf.float64), size)
        wanted = whole[int(top) : int(top) + size[0], int(left) : int(left) + size[1]]
        np.testing.assert_allclose(found, wanted, atol=0.02)


def test_the_numbers_of_a_window_follow_from_it_and_not_from_the_whole_scaled_picture():
    """Scaled as a whole, this picture would have 10^11 numbers."""
    pixels = tf.tile(tf.constant(np.arange(256, dtype=np.uint8)[None, :, None]), (1, 2000, 3))
    scaled = tf.constant([224.0, 512_000 * 224.0], tf.float64)
    for left, wanted in ((0.0, 0.0), (100.5 * 224, 100.0), (511_000.0 * 224, (511_000 % 256))):
        found = window_of_scaled(pixels, scaled, tf.constant([0.0, np.floor(left)], tf.float64), (224, 224))
        assert found.shape == (224, 224, 3) and abs(float(tf.reduce_mean(found[:, :100])) - wanted) < 1


def test_a_long_thin_png_is_read_within_memory_of_its_own_size():
    from t2t_multimodel.data.preprocess import image_pixels
    from t2t_multimodel.features import Image as ImageFeature

    with io.BytesIO() as file:
        Image.effect_noise((1000, 999), 60).resize((999_999, 1)).save(file, "PNG")
        content = stored_picture(file.getvalue(), "x").content
    assert image_pixels(tf.constant(content), ImageFeature(224, 224)).shape == (224, 224, 3)
