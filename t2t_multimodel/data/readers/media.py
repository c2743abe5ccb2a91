"""Reading sound and pictures: what is damaged, cut short or of the wrong kind is a DataError that names it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from t2t_multimodel.data.readers import sphere
from t2t_multimodel.utils.errors import DataError

MAX_PIXELS = 1 << 26
# Over two hours at 16 kHz; no recording of a corpus here is so long, but a header may say that it is.
MAX_SAMPLES = 1 << 27
JPEG_QUALITY = 90
_UNKNOWN_SIZE = 0xFFFFFFFF
_PNG_END = b"IEND\xaeB`\x82"


def decode_audio(content: bytes, sample_rate: int, name: str) -> np.ndarray:
    """The samples of a WAV, FLAC, OGG or uncompressed NIST SPHERE file.

    Args:
        content: the encoded file.
        sample_rate: wanted samples a second; other rates are resampled, several channels are averaged.
        name: what messages call it.

    Returns:
        int16 [samples].

    Raises:
        DataError: the file is empty, no sound, cut short or shorten-compressed, has no samples or more than `MAX_SAMPLES`, or not
            those of its header.
    """
    import soundfile

    _check_not_empty(content, name)
    _check_whole_wav(content, name)
    if sphere.is_shortened(content):
        raise DataError(f"{name} is a shorten-compressed SPHERE file; convert it first: sph2pipe -f wav IN.wv1 OUT.wav")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            _check_length(file.frames * max(file.channels, sample_rate / file.samplerate), name)
            samples = file.read(dtype="float64" if file.subtype in ("FLOAT", "DOUBLE") else "int16", always_2d=True)
            rate, promised = file.samplerate, sphere.header_number(content, "sample_count") or file.frames
    except soundfile.LibsndfileError as error:
        raise DataError(f"{name} is damaged or no sound file (WAV, FLAC and SPHERE can be read): {error.error_string}") from None
    if len(samples) < promised:
        raise DataError(f"{name} is cut short: its header promises {promised} samples, {len(samples)} are there")
    if not len(samples):
        raise DataError(f"{name} holds no samples")
    sphere.check_samples(content, samples, name)
    return _as_mono_int16(samples, rate, sample_rate)


def sound_seconds(content: bytes) -> float:
    """How long a whole sound file lasts, by its header."""
    import soundfile

    return float(soundfile.info(io.BytesIO(content)).duration)


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


def _check_length(samples: float, name: str) -> None:
    if samples > MAX_SAMPLES:
        raise DataError(
            f"{name} would have {samples:,.0f} samples, more than the {MAX_SAMPLES:,} that are read; cut it in pieces"
        )


def _check_whole_wav(content: bytes, name: str) -> None:
    """libsndfile reads what there is of a WAV file that was cut, without a word."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return
    at = 12
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        there = len(content) - at - 8
        if content[at : at + 4] == b"data":
            if there < size != _UNKNOWN_SIZE:
                raise DataError(f"{name} is cut short: its header promises {size} bytes of sound, {there} are there")
            return
        at += 8 + size + size % 2
    raise DataError(f"{name} is cut short: a WAV file without its sound")


def _as_mono_int16(samples: np.ndarray, rate: int, wanted_rate: int) -> np.ndarray:
    """[samples, channels], int16 or float64 in [-1, 1], to int16 [samples at the wanted rate]."""
    if samples.dtype == np.int16 and samples.shape[1] == 1 and rate == wanted_rate:
        return samples[:, 0]
    import soxr

    scale = 32768.0 if samples.dtype != np.int16 else 1.0
    mono = np.nan_to_num(samples.astype(np.float64).mean(axis=1) * scale)
    if rate != wanted_rate:
        mono = soxr.resample(mono, rate, wanted_rate)
    return np.clip(np.rint(mono), -32768, 32767).astype(np.int16)
