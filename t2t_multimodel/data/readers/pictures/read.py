"""Turns picture files into the JPEG or PNG that a record holds, so that a model reads what a person sees in the file.

Pillow decides what a person sees. `data/graph/pictures.py` decodes the files made here to the same pixels.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from t2t_multimodel.data.readers.pictures import container
from t2t_multimodel.utils.errors import DataError

MAX_PIXELS = 1 << 26
MAX_SIDE = 1_000_000  # TensorFlow's limit for a PNG
JPEG_QUALITY = 90
# Only the first of several frames is read. Formats that Pillow reads with other programs (EPS), or that hold no photographs, are
# not in the list.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
READ = "JPEG, PNG, GIF, WebP, BMP, TIFF, AVIF, JPEG 2000, PPM"
TURNED, OVER_WHITE = "turned upright (EXIF)", "laid over white (transparent)"
DEEP, FIRST_FRAME = "brought to 8 bits", "reduced to the first frame"


class StoredPicture(NamedTuple):
    """The JPEG or PNG file that a record holds, and the changes made to the file that it comes from."""

    content: bytes
    changes: tuple[str, ...] = ()


def stored_picture(content: bytes, name: str, shorter_side: int = 0, max_pixels: int | None = None) -> StoredPicture:
    """Returns a picture file as a record holds it.

    An upright JPEG, and an opaque PNG of 8 bits or less, are kept as they are. A JPEG that has to be turned gets a first segment
    that says so. All other pictures become a PNG of what a person sees.

    Args:
        content: the file, in one of `FORMATS`.
        name: the file's name in messages.
        shorter_side: pixels; if the picture's shorter side has more, it is scaled down to this number. A JPEG becomes a JPEG of
            quality `JPEG_QUALITY`, any other picture a PNG. 0 scales nothing.
        max_pixels: the most pixels of a picture that is decoded; None means `MAX_PIXELS`.

    Raises:
        DataError: the file is empty, damaged, cut short, of another format, or has more than `max_pixels` pixels or more than
            `MAX_SIDE` in a row or column.
    """
    from PIL import Image

    if not content:
        raise DataError(f"{name} is empty (0 bytes)")
    try:
        with _quiet(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _check_size(image.size, name, max_pixels)
            return _stored(image, content, name, shorter_side)
    except (Image.UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"{name} is no picture that can be read ({READ}), or far too large a one") from None
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise almost any exception on damaged bytes.
        raise DataError(f"{name} is a damaged or truncated image: {error}") from None


def as_stored(raw: bytes | StoredPicture, name: str) -> StoredPicture:
    """Returns `raw` itself if it is a StoredPicture, otherwise the picture of a file's bytes.

    Raises the errors of `stored_picture`.
    """
    return raw if isinstance(raw, StoredPicture) else stored_picture(raw, name)


def as_seen(image: Any, name: str) -> tuple[Any, tuple[str, ...]]:
    """Returns a Pillow image of mode "L" or "RGB" as a viewer shows it, and the changes made to it.

    It is turned upright and laid over white. 16-bit grey is scaled by the number of bits that its largest value needs: otherwise
    the values of a 10-bit camera would become 4 levels of grey.

    Raises:
        DataError: the pixels have more than 16 bits, for which no value is known to be white.
    """
    from PIL import Image

    image.load()  # Some formats know their orientation only after loading.
    changes = [FIRST_FRAME] * _is_animation(image)
    if (orientation := _orientation(image)) > 1:
        image = image.transpose(_turn(orientation))
        changes.append(TURNED)
    if image.mode == "F" or image.mode.startswith("I"):
        return _of_8_bits(image, name), (*changes, DEEP)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getextrema()[3][0] < 255:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            changes.append(OVER_WHITE)
    return image.convert("L" if image.mode in ("1", "L") else "RGB"), tuple(changes)


def of_image(image: Any, name: str) -> StoredPicture:
    """Returns a Pillow image as the PNG of what a person sees.

    Raises:
        DataError: the image is too large, or `as_seen` refuses it.
    """
    _check_size(image.size, name)
    seen, changes = as_seen(image, name)
    return StoredPicture(_encoded(seen, "PNG"), changes)


def are_pixels(array: np.ndarray) -> bool:
    """Returns whether an array holds a picture: uint8 or uint16 [H, W], or uint8 [H, W, C] with 1 to 4 channels.

    The channels are grey, grey and alpha, RGB, or RGBA.
    """
    if array.dtype == np.uint16:
        return array.ndim == 2 and array.size > 0
    return array.dtype == np.uint8 and array.size > 0 and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] <= 4))


def of_array(array: np.ndarray, name: str) -> StoredPicture:
    """Returns an array that satisfies `are_pixels` as a PNG.

    Raises:
        DataError: the picture is too large.
    """
    from PIL import Image

    flat = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    return of_image(Image.fromarray(np.ascontiguousarray(flat)), name)


def _stored(image: Any, content: bytes, name: str, shorter_side: int) -> StoredPicture:
    is_jpeg = content[:2] == container.JPEG_START
    factor = shorter_side / min(image.size)
    if 0 < factor < 1:
        # A JPEG is decoded at a half, a quarter or an eighth of its size if that is enough.
        image.draft(None, tuple(2 * max(1, round(side * factor)) for side in image.size))
        width, height = image.size
        seen, changes = as_seen(image, name)
        _check_whole(image, content, name)
        factor = shorter_side / min(width, height)
        size = tuple(max(1, round(side * factor)) for side in seen.size)
        return StoredPicture(_encoded(seen.resize(size, _lanczos()), "JPEG" if is_jpeg else "PNG"), changes)
    if is_jpeg and container.is_common_jpeg(content) and (image.mode != "CMYK" or "adobe" in image.info):
        image.draft(None, (1, 1))  # All bits of a JPEG are read, but its pixels are computed at an eighth of its size.
        image.load()
        orientation = _orientation(image)
        return StoredPicture(container.with_orientation(content, orientation), (TURNED,) * (orientation > 1))
    seen, changes = as_seen(image, name)
    _check_whole(image, content, name)
    if image.format != "PNG":
        changes = (*changes, f"converted from {image.format} to PNG")
    return StoredPicture(_encoded(seen, "PNG"), changes) if changes else StoredPicture(content)


def _check_size(size: tuple[int, int], name: str, max_pixels: int | None = None) -> None:
    width, height = size
    most = MAX_PIXELS if max_pixels is None else max_pixels
    if width * height > most or max(size) > MAX_SIDE:
        limit = f"the {most:,}, and {MAX_SIDE:,} in a row or column, that are read"
        raise DataError(f"{name} is {width} x {height} pixels, more than {limit}; scale it down")


def _check_whole(image: Any, content: bytes, name: str) -> None:
    if image.format == "PNG" and (wrong := container.png_damage(content)):
        raise DataError(f"{name} is a damaged or truncated image: {wrong}")


def _encoded(image: Any, kind: str) -> bytes:
    with io.BytesIO() as file:
        image.save(file, kind, quality=JPEG_QUALITY)
        return file.getvalue()


def _of_8_bits(image: Any, name: str) -> Any:
    from PIL import Image

    values = np.asarray(image)
    low, high = values.min(), values.max()
    if image.mode == "F" or low < 0 or high > 0xFFFF:
        raise DataError(f"{name} has pixels of mode {image.mode!r}, {low:g} to {high:g}; save it with 8 or 16 bits")
    white = (1 << max(8, int(high).bit_length())) - 1
    return Image.fromarray(((values.astype(np.int32) * 255 + white // 2) // white).astype(np.uint8))


def _is_animation(image: Any) -> bool:
    """Returns whether there are more frames; the further pictures of a camera's file (MPO) are no frames."""
    return image.format != "MPO" and bool(getattr(image, "is_animated", False))


def _orientation(image: Any) -> int:
    """Returns the EXIF orientation from 1 (upright) to 8; 1 if there is none or EXIF is damaged, as viewers do."""
    from PIL import ExifTags

    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow raises almost any exception on damaged EXIF, while the pixels may be whole.
        return 1
    return found if found in range(1, 9) else 1


def _turn(orientation: int) -> Any:
    from PIL.Image import Transpose

    return {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }[orientation]


def _lanczos() -> Any:
    from PIL import Image

    return Image.Resampling.LANCZOS


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences Pillow's warnings about metadata; the warning about too many pixels becomes an error."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
