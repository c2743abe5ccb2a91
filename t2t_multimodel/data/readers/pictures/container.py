"""Reads JPEG and PNG files as sequences of segments and chunks, without decoding the picture."""

from __future__ import annotations

import zlib

JPEG_START = b"\xff\xd8"
PNG_START = b"\x89PNG\r\n\x1a\n"
# The segment for inks stored as Adobe does; its last byte means that the colours are not transformed.
ADOBE = b"\xff\xee\x00\x0eAdobe\0\x64" + bytes(5)
GREY = 0  # PNG's colour type for grey
# An EXIF segment, big-endian, whose only tag (0x0112, one SHORT) is the orientation: the bytes before and after the orientation's
# number.
ORIENTATION = b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"
_BEHIND = bytes(6)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_COMMON_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive, each with Huffman codes


def is_common_jpeg(content: bytes) -> bool:
    """Returns whether a JPEG has 8 bits per sample and Huffman codes, which all decoders read.

    Only some read arithmetic codes.
    """
    at = 2
    while content[at : at + 1] == b"\xff" and at + 5 <= len(content):
        marker = content[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _FRAMES:
            return marker in _COMMON_FRAMES and content[at + 4] == 8
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return False


def with_orientation(content: bytes, orientation: int) -> bytes:
    """Returns a JPEG whose first segment says `orientation`, 1 to 8; the file itself for 1 (upright)."""
    segment = ORIENTATION + bytes([orientation]) + _BEHIND
    if orientation == 1 or content.startswith(segment, len(JPEG_START)):
        return content
    return JPEG_START + segment + content[len(JPEG_START) :]


def png_damage(content: bytes) -> str:
    """Returns what is wrong with the chunks of a PNG, or "".

    Pillow ignores some checksums that TensorFlow requires.
    """
    at = len(PNG_START)
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        kind, checksum = content[at + 4 : at + 8], content[at + 8 + size : at + 12 + size]
        if len(checksum) == 4 and zlib.crc32(content[at + 4 : at + 8 + size]).to_bytes(4, "big") != checksum:
            return f"the chunk {kind.decode('ascii', 'replace')} has a wrong checksum"
        if kind == b"IEND":
            return ""
        at += 12 + size
    return "the end of the PNG file is missing"
