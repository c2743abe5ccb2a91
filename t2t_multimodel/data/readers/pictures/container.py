"""JPEG and PNG files as sequences of segments and chunks: what they say of the picture, without decoding it."""

from __future__ import annotations

import zlib

JPEG_START = b"\xff\xd8"
PNG_START = b"\x89PNG\r\n\x1a\n"
# The segment that says how inks are stored; its last byte says that no colours are to be transformed.
ADOBE = b"\xff\xee\x00\x0eAdobe\0\x64" + bytes(5)
GREY = 0  # a colour type of PNG
# An EXIF segment, big-endian, whose only tag (0x0112, one SHORT) is the orientation: what stands before its number and behind it.
ORIENTATION = b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"
_BEHIND = bytes(6)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_COMMON_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive, by Huffman codes


def is_common_jpeg(content: bytes) -> bool:
    """Whether a JPEG has 8 bits a sample and Huffman codes: what every decoder reads. Arithmetic codes are read by some alone."""
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
    """Returns a JPEG with `orientation`, 1 to 8, in its first segment; the file itself where that is 1, upright."""
    segment = ORIENTATION + bytes([orientation]) + _BEHIND
    if orientation == 1 or content.startswith(segment, len(JPEG_START)):
        return content
    return JPEG_START + segment + content[len(JPEG_START) :]


def png_damage(content: bytes) -> str:
    """Returns what is wrong with the chunks of a PNG, or "": Pillow does without some checksums that TensorFlow insists on."""
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
