"""Decodes JPEG and PNG files to the pixels a person sees, by TensorFlow alone: for training, decoding and SavedModels."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from t2t_multimodel.data.readers.pictures import container

NEITHER = "a picture must be the bytes of a JPEG or PNG file"
_EXIF_BYTES = 1 << 16  # the largest segment of a JPEG
_PNG_EXIF = r"eXIf(?:II\*\x00|MM\x00\*)"  # the chunk's name and a TIFF header
_ORIENTATION, _SHORT = 0x0112, 3
_BEFORE = len(container.ORIENTATION)


def stored_pixels(content: tf.Tensor, channels: int) -> tf.Tensor:
    """Returns the picture of a record, uint8 [H, W, C], as Pillow shows it.

    `read.stored_picture` leaves one thing to be done here: a JPEG may have to be turned upright.

    Args:
        content: string [], the bytes of an image file, as a record holds them.
        channels: 3 for RGB, 1 for grey.
    """

    pixels = _decoded(content)
    marked = tf.strings.substr(content, 2, _BEFORE) == container.ORIENTATION
    upright = tf.cond(marked, lambda: _turned(pixels, _byte(content, 2 + _BEFORE)), lambda: pixels)
    return _with_channels(upright, channels)


def any_pixels(content: tf.Tensor, channels: int) -> tf.Tensor:
    """Returns the picture of any JPEG or PNG file, uint8 [H, W, C], as Pillow shows it.

    Does in the graph what Pillow does elsewhere before a picture is stored. A picture is turned by its EXIF orientation; a JPEG
    must have EXIF in its first or second segment, where cameras write it. A PNG is laid over white where it is transparent, and
    16-bit grey is scaled by the number of bits that its largest value needs.

    Args:
        content: string [], the bytes of a file.
        channels: 3 for RGB, 1 for grey.

    Raises:
        tf.errors.InvalidArgumentError: `content` is damaged, or neither a JPEG nor a PNG.
    """
    is_png = tf.strings.substr(content, 0, len(container.PNG_START)) == container.PNG_START
    is_jpeg = tf.strings.substr(content, 0, len(container.JPEG_START)) == container.JPEG_START
    with tf.control_dependencies([tf.debugging.Assert(is_png | is_jpeg, [NEITHER])]):
        return _with_channels(tf.cond(is_png, lambda: _any_png(content), lambda: _any_jpeg(content)), channels)


def _with_channels(pixels: tf.Tensor, channels: int) -> tf.Tensor:
    """Returns RGB pixels, uint8 [H, W, 3], as uint8 [H, W, channels]; grey has Pillow's weights and rounding."""
    pixels = tf.ensure_shape(pixels, (None, None, 3))
    if channels == 3:
        return pixels
    if channels != 1:
        raise ValueError(f"a picture has 3 channels, or 1 if it is grey; got {channels}")
    weighted = tf.reduce_sum(tf.cast(pixels, tf.int32) * tf.constant([19595, 38470, 7471]), axis=2, keepdims=True)
    return tf.cast((weighted + 0x8000) // 0x10000, tf.uint8)


def _decoded(content: tf.Tensor) -> tf.Tensor:
    """Returns the RGB pixels, uint8 [H, W, 3], of a JPEG, or of a PNG without its transparency; the operation reads both."""
    # This is the transform that Pillow uses; values of TensorFlow's default differ by up to 3.
    return tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")


def _any_jpeg(content: tf.Tensor) -> tf.Tensor:
    at = _exif(content)
    orientation = tf.cond(at > 0, lambda: _orientation(tf.strings.substr(content, at, _EXIF_BYTES)), lambda: 1)
    return _turned(_decoded(_with_adobe(content)), orientation)


def _with_adobe(content: tf.Tensor) -> tf.Tensor:
    """Returns a JPEG with an Adobe segment if it has four inks (CMYK) and none.

    Pillow always takes inks as inverted, as Adobe stores them; TensorFlow does so only if the segment is there.
    """
    is_cmyk = tf.io.extract_jpeg_shape(content)[2] == 4

    def marked() -> tf.Tensor:
        return tf.strings.regex_full_match(content, r"\C*\x00\x0eAdobe\C*")

    def with_segment() -> tf.Tensor:
        return tf.strings.join([container.JPEG_START, container.ADOBE, _part(content, 2, tf.strings.length(content))])

    unmarked = tf.cond(is_cmyk, lambda: ~marked(), lambda: False)
    return tf.cond(unmarked, with_segment, lambda: content)


def _exif(content: tf.Tensor) -> tf.Tensor:
    """Returns the offset of EXIF's TIFF header in a JPEG; 0 if neither of its first two segments is EXIF."""
    second = 4 + 256 * _byte(content, 4) + _byte(content, 5)
    begins = [_part(content, at, 2) == b"\xff\xe1" for at in (2, second)]
    named = [_part(content, at + 4, 6) == b"Exif\0\0" for at in (2, second)]
    return tf.where(begins[0] & named[0], 12, tf.where(begins[1] & named[1], second + 10, 0))


def _part(content: tf.Tensor, start: tf.Tensor | int, size: tf.Tensor | int) -> tf.Tensor:
    """Returns `size` bytes of a string from `start` on, or fewer at its end."""
    return tf.strings.substr(content, tf.minimum(start, tf.strings.length(content)), size)


def _orientation(exif: tf.Tensor) -> tf.Tensor:
    """Returns the orientation, 1 to 8, that a TIFF header and its directory say; 1 if they say none."""
    tiff = tf.cast(tf.io.decode_raw(exif, tf.uint8), tf.int32)
    big = tf.reduce_all(tiff[:1] == ord("M"))
    directory = _number(tiff, tf.constant(4), 4, big)
    count = _number(tiff, directory, 2, big)
    entries = directory + 2 + 12 * tf.range(tf.clip_by_value(count, 0, tf.size(tiff) // 12))
    tags, kinds, values = (_number(tiff, entries + place, 2, big) for place in (0, 2, 8))
    found = tf.boolean_mask(values, (tags == _ORIENTATION) & (kinds == _SHORT))
    first = tf.concat([found, [1]], axis=0)[0]
    return tf.where((first >= 1) & (first <= 8), first, 1)


def _number(values: tf.Tensor, at: tf.Tensor, size: int, big: tf.Tensor) -> tf.Tensor:
    """Returns the unsigned numbers of `size` bytes at the offsets `at` of int32 [N]; bytes beyond the end count as 0."""
    places = at[..., None] + tf.range(size)
    inside = (places >= 0) & (places < tf.size(values))
    digits = tf.where(inside, tf.gather(values, tf.where(inside, places, 0)), 0)
    order = tf.range(size)
    shifts = 8 * tf.where(big, size - 1 - order, order)
    return tf.reduce_sum(tf.bitwise.left_shift(digits, shifts), axis=-1)


def _byte(content: tf.Tensor, at: int) -> tf.Tensor:
    """Returns one byte of a string, int32 []; 0 beyond its end."""
    return tf.reduce_sum(tf.cast(tf.io.decode_raw(_part(content, at, 1), tf.uint8), tf.int32))


def _turned(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Returns pixels [H, W, C] turned upright from an EXIF orientation."""

    def where(orientations: list[int], change: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tf.Tensor:
        return tf.cond(tf.reduce_any(orientation == orientations), lambda: change(x), lambda: x)

    pixels = where([5, 6, 7, 8], lambda x: tf.transpose(x, (1, 0, 2)), pixels)
    pixels = where([3, 4, 7, 8], lambda x: x[::-1], pixels)
    return where([2, 3, 6, 7], lambda x: x[:, ::-1], pixels)


def _any_png(content: tf.Tensor) -> tf.Tensor:
    bits, colour_type = _byte(content, 24), _byte(content, 25)
    pixels = tf.cond(
        (colour_type == container.GREY) & (bits == 16),
        lambda: _deep_grey(tf.io.decode_png(content, channels=1, dtype=tf.uint16)),
        lambda: _over_white(tf.io.decode_png(content, channels=4), bits),
    )

    def orientation() -> tf.Tensor:
        at = tf.strings.length(tf.strings.regex_replace(content, rf"{_PNG_EXIF}\C*$", "", replace_global=False)) + len("eXIf")
        return _orientation(tf.strings.substr(content, at, _EXIF_BYTES))

    has_exif = tf.strings.regex_full_match(content, rf"\C*{_PNG_EXIF}\C*")
    return _turned(pixels, tf.cond(has_exif, orientation, lambda: 1))


def _deep_grey(values: tf.Tensor) -> tf.Tensor:
    """Returns 16-bit grey, uint16 [H, W, 1], as uint8 [H, W, 3].

    White is the largest number with as many bits as the largest value needs, but with at least 8.
    """
    values = tf.cast(values, tf.int32)
    whites = tf.constant([(1 << bits) - 1 for bits in range(8, 17)])
    white = tf.reduce_min(tf.where(whites >= tf.reduce_max(values), whites, 0xFFFF))
    return tf.tile(tf.cast((values * 255 + white // 2) // white, tf.uint8), (1, 1, 3))


def _over_white(pixels: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Returns RGBA, uint8 [H, W, 4], of a PNG with `bits` bits per sample as RGB over white, uint8 [H, W, 3]."""
    colours, alpha = pixels[..., :3], pixels[..., 3:]
    low, high = tf.reduce_min(alpha), tf.reduce_max(alpha)
    # For an opaque picture of 1, 2 or 4 bits, TensorFlow sets alpha to the largest number of that many bits instead of 255.
    opaque = tf.cast(tf.bitwise.left_shift(1, tf.minimum(bits, 8)) - 1, tf.uint8)

    def laid() -> tf.Tensor:
        share = tf.cast(alpha, tf.uint16)
        return tf.cast((tf.cast(colours, tf.uint16) * share + 255 * (255 - share) + 127) // 255, tf.uint8)

    return tf.cond((low == high) & (low == opaque), lambda: colours, laid)
