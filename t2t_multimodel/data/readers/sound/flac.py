"""Reads FLAC without a number of samples in its header, as programs write it to a pipe; libsndfile cannot read it."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

import numpy as np

from t2t_multimodel.utils.errors import DataError

_MOST_FRAME_BYTES = 1 << 18
_HEADERS_TRIED = 2  # the checksum of a header accepts one in 256 places that look like a header


def has_length(content: bytes) -> bool:
    """Returns whether the header of a FLAC file gives the number of samples."""
    return len(content) < 26 or bool(int.from_bytes(content[21:26], "big") & (1 << 36) - 1)


def read(content: bytes, name: str) -> tuple[np.ndarray, int]:
    """Returns int16 [samples, channels] and the samples per second.

    Raises:
        DataError: no whole frame ends at the end of the file, or the file cannot be decoded.
    """
    import miniaudio

    if not _ends_with_a_frame(content):
        raise DataError(f"{name} is cut short: it ends in the middle of a FLAC frame")
    try:
        sound = miniaudio.flac_read_s16(content)
    except miniaudio.DecodeError:
        raise DataError(f"{name} is damaged: its FLAC frames cannot be decoded") from None
    return np.frombuffer(sound.samples, np.int16).reshape(-1, sound.nchannels), sound.sample_rate


def _ends_with_a_frame(content: bytes) -> bool:
    """Returns whether `content` ends with a whole frame: its last bytes begin like a frame and match a frame's checksum."""
    last = content[-_MOST_FRAME_BYTES:]
    headers = (at for at in _marks(last) if _has_header_at(last, at))
    return any(_crc(last[at:], 16, 0x8005) == 0 for at in itertools.islice(headers, _HEADERS_TRIED))


def _marks(content: bytes) -> Iterator[int]:
    """Yields the offsets at which a frame may begin, the last one first."""
    at = len(content)
    while (at := content.rfind(b"\xff", 0, at)) >= 0:
        if content[at + 1 : at + 2] in (b"\xf8", b"\xf9"):
            yield at


def _has_header_at(content: bytes, at: int) -> bool:
    """Returns whether the bytes after a frame's mark are a header, by the header's own checksum."""
    if at + 16 > len(content):
        return False
    number = content[at + 4]
    length = 5 + (0 if number < 0x80 else 7 - (number ^ 0xFF).bit_length())
    block, rate = content[at + 2] >> 4, content[at + 2] & 15
    length += {6: 1, 7: 2}.get(block, 0) + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    return _crc(content[at : at + length + 1], 8, 0x07) == 0


def _crc(content: bytes, bits: int, polynomial: int) -> int:
    """Returns the cyclic redundancy check of `content`; 0 for bytes that end with their own check."""
    mask, table, value = (1 << bits) - 1, _crc_table(bits, polynomial), 0
    for byte in content:
        value = (value << 8 ^ table[value >> bits - 8 ^ byte]) & mask
    return value


@functools.cache
def _crc_table(bits: int, polynomial: int) -> list[int]:
    table = []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value >> bits - 1 else 0)) & (1 << bits) - 1
        table.append(value)
    return table
