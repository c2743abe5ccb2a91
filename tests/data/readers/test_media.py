"""Pictures: what comes out, and what is said of damaged ones."""

import io

import numpy as np
import pytest
import sounds
from PIL import Image

from t2t_multimodel.data.readers import media
from t2t_multimodel.utils.errors import DataError


def picture(kind="JPEG", mode="RGB", size=(48, 32)):
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 4), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels, "CMYK" if mode == "CMYK" else "RGBA").convert(mode).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("PNG", "P")])
def test_whole_images_pass(kind, mode):
    media.check_image(picture(kind, mode), "x")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.9, 0.9999])
def test_an_image_cut_short_is_an_error_naming_it(kind, part):
    content = picture(kind)
    with pytest.raises(DataError, match="photos-train, example 7 is"):
        media.check_image(content[: int(len(content) * part)], "photos-train, example 7")


def test_an_image_of_another_kind_is_an_error():
    with pytest.raises(DataError, match="x is no JPEG or PNG"):
        media.check_image(picture("GIF"), "x")
    with pytest.raises(DataError, match="x is no JPEG or PNG"):
        media.check_image(sounds.write(), "x")


def test_an_image_of_too_many_pixels_is_not_decoded(monkeypatch):
    monkeypatch.setattr(media, "MAX_PIXELS", 1000)
    with pytest.raises(DataError, match="x is 48 x 32 pixels, more than the 1000 that are read"):
        media.check_image(picture(), "x")


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "P"), ("PNG", "RGBA")])
def test_a_large_picture_is_stored_with_the_shorter_side_asked_for(kind, mode):
    picture = Image.linear_gradient("L").resize((200, 120)).convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    stored = media.stored_image(buffer.getvalue(), "x", 60)
    with Image.open(io.BytesIO(stored)) as small:
        assert (small.format, small.size) == (kind, (100, 60))
        wanted = np.asarray(picture.convert("RGB").resize((100, 60), Image.Resampling.LANCZOS), float)
        assert np.abs(np.asarray(small.convert("RGB"), float) - wanted).mean() < 3
    assert media.stored_image(stored, "x", 60) is stored
    assert media.stored_image(buffer.getvalue(), "x", 120) == media.stored_image(buffer.getvalue(), "x") == buffer.getvalue()


def test_a_large_picture_that_is_cut_is_an_error_even_if_it_is_scaled():
    buffer = io.BytesIO()
    Image.linear_gradient("L").save(buffer, "JPEG")
    with pytest.raises(DataError, match="^x is a damaged or truncated image"):
        media.stored_image(buffer.getvalue()[:-200], "x", 20)


@pytest.mark.parametrize("progressive", [False, True])
def test_damage_is_found_in_a_jpeg_as_by_decoding_it_at_its_full_size(progressive):
    buffer, rng = io.BytesIO(), np.random.default_rng(1)
    Image.linear_gradient("L").convert("RGB").save(buffer, "JPEG", progressive=progressive)
    whole, outcomes = buffer.getvalue(), set()
    for _ in range(100):
        content = bytearray(whole[: rng.integers(20, 2 * len(whole))])
        content[rng.integers(len(content))] = rng.integers(256)
        outcomes.add((is_read(lambda c=bytes(content): load(c)), is_read(lambda c=bytes(content): media.check_image(c, "x"))))
    assert outcomes == {(True, True), (False, False)}


def load(content):
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
        image.load()


def is_read(read):
    try:
        read()
    except Exception:  # Pillow's decoders raise nearly anything on damaged bytes.
        return False
    return True
