"""Picture files of all kinds: the bytes that a record holds of each, and the messages about damaged ones."""

import io
import os
import warnings

import numpy as np
import pictures
import pytest
import sounds
from PIL import Image

from t2t_multimodel.data.readers.pictures import class_folders, container, read
from t2t_multimodel.data.readers.pictures.read import are_pixels, as_seen, of_array, of_image, stored_picture
from t2t_multimodel.utils.errors import DataError

FILES = pictures.files()
GRADIENT = Image.linear_gradient("L")
JPEG, PNG = pictures.write(GRADIENT.convert("RGB"), "JPEG"), pictures.write(GRADIENT.convert("RGB"), "PNG")
KEPT = ("baseline", "progressive", "grey", "cmyk", "ycck", "exif1<", "exif1>")
KEPT_PNG = ("rgb", "rgb16", "1bit", "4bit", "palette", "grey", "opaque")


def opened(content):
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return image


@pytest.mark.parametrize("name", FILES)
def test_a_record_holds_what_a_person_sees(name):
    stored = stored_picture(FILES[name], name)
    assert opened(stored.content).format == ("JPEG" if name.endswith(".jpg") and "unmarked" not in name else "PNG")
    np.testing.assert_array_equal(pictures.seen(stored.content), pictures.seen(FILES[name]))
    if name.endswith(".png"):
        assert opened(stored.content).mode in ("RGB", "L") or stored.content == FILES[name]


def test_only_what_would_be_shown_differently_is_changed_and_counted():
    kept = {name for name, content in FILES.items() if stored_picture(content, name).content is content}
    assert kept == {f"{name}.jpg" for name in KEPT} | {f"{name}.png" for name in KEPT_PNG}
    changes = {name: stored_picture(content, name).changes for name, content in FILES.items()}
    assert not any(changes[name] for name in kept) and all(changes[name] for name in FILES.keys() - kept)
    assert changes["exif6<.jpg"] == changes["exif6.png"] == ("turned upright (EXIF)",)
    assert changes["grey_transparent.png"] == ("laid over white (transparent)",)
    assert changes["animated.gif"] == ("reduced to the first frame", "converted from GIF to PNG")
    assert changes["exif3.webp"] == ("turned upright (EXIF)", "converted from WEBP to PNG")


def test_a_jpeg_that_is_turned_keeps_its_bytes_behind_one_segment():
    content = FILES["exif6>.jpg"]
    stored = stored_picture(content, "x").content
    assert stored[:2] + stored[38:] == content and stored[31] == 6
    assert stored_picture(stored, "x").content is stored


@pytest.mark.parametrize("most", [200, 1008, 4095, 40_000, 65_535])
def test_grey_of_16_bits_keeps_its_levels(most):
    content, wanted = pictures.deep_grey(most)
    stored = stored_picture(content, "x")
    assert stored.changes == ("brought to 8 bits",)
    assert np.abs(pictures.seen(stored.content) - wanted).max() <= 0.5


@pytest.mark.parametrize("name", [name for name in FILES if name != "1bit_transparent.png"])
def test_a_scaled_picture_is_what_a_person_sees_scaled(name):
    stored = stored_picture(FILES[name], name, 12)
    small, whole = opened(stored.content), Image.fromarray(pictures.seen(FILES[name]))
    assert small.format == ("JPEG" if name.endswith(".jpg") else "PNG") and small.mode in ("L", "RGB")
    wanted = np.asarray(whole.resize(small.size, Image.Resampling.LANCZOS), float)
    assert min(small.size) == 12 and (small.width > small.height) == (whole.width > whole.height)
    assert np.abs(np.asarray(small.convert("RGB"), float) - wanted).mean() < 5
    assert "EXIF" not in str(small.getexif().get(0x0112, ""))
    assert stored_picture(stored.content, "x", 12).content is stored.content


def test_a_picture_that_is_small_enough_is_not_scaled():
    content = FILES["rgb.png"]
    assert stored_picture(content, "x", pictures.HEIGHT).content is content


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM"])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.9])
def test_a_picture_cut_short_is_an_error_naming_it(kind, part):
    content = pictures.write(Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 32, 3), dtype=np.uint8)), kind)
    with pytest.raises(DataError, match="photos-train, example 7 is"):
        stored_picture(content[: int(len(content) * part)], "photos-train, example 7")


def test_the_last_bytes_of_jpeg_and_png_are_missed():
    for content in (JPEG, PNG):
        for shorter_side in (0, 20):
            with pytest.raises(DataError, match="x is a damaged or truncated image"):
                stored_picture(content[:-3], "x", shorter_side)


def test_what_is_no_picture_is_an_error():
    for content in (sounds.write(), b"<html>404</html>", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"):
        with pytest.raises(DataError, match=r"x is no picture that can be read \(JPEG, PNG, GIF"):
            stored_picture(content, "x")


def test_numbers_without_a_white_are_an_error():
    for image in (Image.new("F", (4, 4), 0.5), Image.new("I", (4, 4), 1 << 20)):
        with pytest.raises(DataError, match="^x has pixels of mode '.', .* save it with 8 or 16 bits"):
            stored_picture(pictures.write(image, "TIFF"), "x")


def test_a_png_with_a_wrong_checksum_is_damaged_because_tensorflow_does_not_read_it():
    at = PNG.index(b"IDAT")
    size = int.from_bytes(PNG[at - 4 : at], "big")
    broken = bytearray(PNG)
    broken[at + 4 + size] ^= 1
    with pytest.raises(DataError, match="x is a damaged or truncated image: the chunk IDAT has a wrong checksum"):
        stored_picture(bytes(broken), "x")


def test_a_picture_of_too_many_pixels_is_not_decoded(monkeypatch):
    monkeypatch.setattr(read, "MAX_PIXELS", 1000)
    with pytest.raises(DataError, match="x is 32 x 24 pixels, more than the 500, and 1,000,000 in a row or column"):
        monkeypatch.setattr(read, "MAX_PIXELS", 500)
        stored_picture(FILES["rgb.png"], "x")
    with pytest.raises(DataError, match="x is 1 x 1000001 pixels, more than"):
        monkeypatch.undo()
        stored_picture(pictures.write(Image.new("1", (1, 1_000_001)), "PNG"), "x")


def test_damaged_exif_beside_whole_pixels_changes_nothing_and_warns_of_nothing():
    content = FILES["exif6<.jpg"]
    at = content.index(b"Exif")
    for seed in range(40):
        noise = np.random.default_rng(seed).bytes(24)
        damaged = content[: at + 6] + noise + content[at + 30 :]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            stored = stored_picture(damaged, "x")
        assert not caught and opened(stored.content).size == (pictures.WIDTH, pictures.HEIGHT)


@pytest.mark.parametrize("progressive", [False, True])
def test_damage_is_found_in_a_jpeg_as_by_decoding_it_at_its_full_size(progressive):
    rng, outcomes = np.random.default_rng(1), set()
    whole = pictures.write(GRADIENT.convert("RGB"), "JPEG", progressive=progressive)
    for _ in range(100):
        content = bytearray(whole[: rng.integers(20, 2 * len(whole))])
        content[rng.integers(len(content))] = rng.integers(256)
        outcomes.add((is_read(lambda c=bytes(content): opened(c)), is_read(lambda c=bytes(content): stored_picture(c, "x"))))
    assert outcomes == {(True, True), (False, False)}


def is_read(read_it):
    try:
        read_it()
    except Exception:  # Pillow's decoders raise nearly anything on damaged bytes.
        return False
    return True


def test_only_jpeg_by_huffman_codes_and_of_8_bits_is_common():
    frame = JPEG.index(b"\xff\xc0")
    assert container.is_common_jpeg(JPEG)
    assert not container.is_common_jpeg(JPEG[:frame] + b"\xff\xc9" + JPEG[frame + 2 :])
    assert not container.is_common_jpeg(JPEG[: frame + 4] + b"\x0c" + JPEG[frame + 5 :])
    assert not any(container.is_common_jpeg(JPEG[:cut]) for cut in range(frame)) and not container.is_common_jpeg(os.urandom(9))


def test_files_are_pictures_by_the_names_that_pillow_has_for_the_formats():
    named = {suffix for suffix, kind in Image.registered_extensions().items() if kind in {*read.FORMATS, "MPO", "DIB"}}
    assert class_folders.SUFFIXES == named


def test_images_of_pillow_and_arrays_are_what_a_person_sees():
    for name, content in FILES.items():
        with Image.open(io.BytesIO(content)) as image:
            np.testing.assert_array_equal(pictures.seen(of_image(image, name).content), pictures.seen(content), name)
    rgba = np.dstack([pictures.RGB, pictures.ALPHA])
    np.testing.assert_array_equal(pictures.seen(of_array(rgba, "x").content), pictures.seen(FILES["transparent.png"]))
    for array in (pictures.RGB[..., 0], pictures.RGB[..., :1], pictures.RGB[..., :1].repeat(3, -1)):
        np.testing.assert_array_equal(pictures.seen(of_array(array, "x").content)[..., 0], pictures.RGB[..., 0])
    assert pictures.seen(of_array(pictures.RGB[:1], "x").content).shape == (1, pictures.WIDTH, 3)
    for wrong in (pictures.RGB[None], pictures.RGB[:0], pictures.RGB.astype(float), np.zeros((4, 4, 5), np.uint8)):
        assert not are_pixels(wrong)


def test_an_image_of_pillow_is_left_as_it_is():
    image = Image.open(io.BytesIO(FILES["exif6<.jpg"]))
    seen, changes = as_seen(image, "x")
    assert seen.size == (pictures.HEIGHT, pictures.WIDTH) and changes == ("turned upright (EXIF)",)
    assert image.size == (pictures.WIDTH, pictures.HEIGHT) and image.getexif()[0x0112] == 6


def test_the_most_pixels_may_be_fewer_than_those_that_are_read():
    assert stored_picture(FILES["rgb.png"], "x", max_pixels=32 * 24)
    with pytest.raises(DataError, match="x is 32 x 24 pixels, more than the 700, and"):
        stored_picture(FILES["rgb.png"], "x", max_pixels=700)
