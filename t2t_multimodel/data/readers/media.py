"""Reading pictures: what is damaged, cut short or of the wrong kind is a DataError that names it."""

from __future__ import annotations

import io
from typing import Any

from t2t_multimodel.utils.errors import DataError

MAX_PIXELS = 1 << 26
JPEG_QUALITY = 90
_PNG_END = b"IEND\xaeB`\x82"


def check_image(content: bytes, name: str) -> None:
    """Raises DataError unless `content` is a whole JPEG or PNG of at most `MAX_PIXELS` pixels."""
    stored_image(content, name)


def stored_image(content: bytes, name: str, shorter_side: int = 0) -> bytes:
    """`content`, or where its shorter side is longer than `shorter_side` (0: never) the picture scaled down to that.

    A scaled JPEG is a JPEG of quality `JPEG_QUALITY`, a scaled PNG a PNG.

    Raises:
        DataError: `content` is no whole JPEG or PNG of at most `MAX_PIXELS` pixels.
    """
    from PIL import Image

    _check_not_empty(content, name)
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise DataError(f"{name} is {width} x {height} pixels, more than the {MAX_PIXELS} that are read; scale it down")
            factor = shorter_side / min(width, height)
            if 0 < factor < 1:
                return _scaled(image, (max(1, round(width * factor)), max(1, round(height * factor))))
            image.draft(None, (1, 1))  # A JPEG's bits are all read, but its pixels are computed at an eighth of its size.
            image.load()
            if image.format == "PNG" and _PNG_END not in content:
                raise DataError(f"{name} is a truncated image: the end of the PNG file is missing")
            return content
    except (Image.UnidentifiedImageError, Image.DecompressionBombError):
        raise DataError(f"{name} is no JPEG or PNG image, or far too large a one") from None
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes.
        raise DataError(f"{name} is a damaged or truncated image: {error}") from None


def _scaled(image: Any, size: tuple[int, int]) -> bytes:
    from PIL import Image

    kind = image.format
    image.draft(None, (2 * size[0], 2 * size[1]))  # A JPEG is decoded at a half, a quarter or an eighth where that is enough.
    if image.mode not in ("L", "RGB", "CMYK") and (kind == "JPEG" or image.mode == "P"):
        image = image.convert("RGBA" if kind == "PNG" else "RGB")
    with io.BytesIO() as file:
        image.resize(size, Image.Resampling.LANCZOS).save(file, kind, quality=JPEG_QUALITY)
        return file.getvalue()


def _check_not_empty(content: bytes, name: str) -> None:
    if not content:
        raise DataError(f"{name} is empty (0 bytes)")
