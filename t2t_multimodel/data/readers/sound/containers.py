"""Checks that uncompressed sound in chunks (WAV, RF64, W64, AIFF, AU, CAF) is as long as its header says.

libsndfile reads the rest of a file that was cut short, without an error.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from t2t_multimodel.utils.errors import DataError

# Programs that write to a pipe cannot go back to fill in the length. They leave 0 there, or a number close to the largest of 31
# or 32 bits.
LEAST_PLACEHOLDER = 0x7F000000
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"


class SoundChunk(NamedTuple):
    """The position of the sound in a file, and its length as the header gives it.

    Attributes:
        start: the offset of the first sample.
        size: the bytes of sound, as the header gives them.
        field: the offset of that number in the header.
        form: the struct format of that number.
        extra: the bytes that the number counts besides the sound.
        chunks: the struct format of the sizes of chunks that may follow the sound; "" if any bytes may follow, "-" if none may.
    """

    start: int
    size: int
    field: int
    form: str
    extra: int = 0
    chunks: str = ""


def whole_file(content: bytes, name: str) -> tuple[bytes, bool]:
    """Returns `content`, and whether its header lacks a length; a missing length is filled in, so that readers go to the end.

    Raises:
        DataError: there is less sound than the header says, or bytes that are no chunk follow it, or another header is inside of
            it.
    """
    chunk = _find(content)
    if chunk is None:
        raise DataError(f"{name} is cut short: it ends before its sound")
    there = len(content) - chunk.start
    if _is_placeholder(content, chunk, there):
        if content[:16] in (content[chunk.start : chunk.start + 16], content[-chunk.start :][:16]):
            raise DataError(f"{name} was written to a pipe, and its header stands in it several times; write it to a file")
        patched = bytearray(content)
        struct.pack_into(chunk.form, patched, chunk.field, there + chunk.extra)
        return bytes(patched), True
    if there < chunk.size:
        raise DataError(f"{name} is cut short: its header promises {chunk.size} bytes of sound, {there} are there")
    if chunk.chunks and not _only_chunks(content, chunk):
        raise DataError(
            f"{name} goes on behind the {chunk.size} bytes of sound that its header promises: several files in one, or a header "
            "that was not finished; split it, or write it anew"
        )
    return content, False


def _find(content: bytes) -> SoundChunk | None:
    kind = content[:4]
    if kind in (b"RIFF", b"RIFX", b"RF64"):
        return _riff(content, ">I" if kind == b"RIFX" else "<I")
    if kind == b"riff":
        return _w64(content)
    if kind == b"FORM":
        return _aiff(content)
    if kind == b"caff":
        return _caf(content)
    order = ">" if kind == b".snd" else "<"
    if len(content) < 24:
        return None
    start, size = struct.unpack_from(order + "II", content, 4)
    return SoundChunk(start, size, 8, order + "I", chunks="-") if start <= len(content) else None


def _riff(content: bytes, form: str) -> SoundChunk | None:
    at, long_size = 12, 0
    while at + 8 <= len(content):
        (size,) = struct.unpack_from(form, content, at + 4)
        if content[at : at + 4] == b"ds64" and at + 24 <= len(content):
            long_size = at + 16
        if content[at : at + 4] == b"data":
            if long_size and size == 0xFFFFFFFF:
                return SoundChunk(at + 8, struct.unpack_from("<Q", content, long_size)[0], long_size, "<Q", chunks=form)
            return SoundChunk(at + 8, size, at + 4, form, chunks=form)
        at += 8 + size + size % 2
    return None


def _w64(content: bytes) -> SoundChunk | None:
    at = 40
    while at + 24 <= len(content):
        (size,) = struct.unpack_from("<Q", content, at + 16)
        if content[at : at + 16] == _W64_DATA:
            return SoundChunk(at + 24, max(size - 24, 0), at + 16, "<Q", 24)
        at += max(size + -size % 8, 24)
    return None


def _aiff(content: bytes) -> SoundChunk | None:
    at = 12
    while at + 16 <= len(content):
        (size,) = struct.unpack_from(">I", content, at + 4)
        if content[at : at + 4] == b"SSND":
            return SoundChunk(at + 16, max(size - 8, 0), at + 4, ">I", 8, ">I")
        at += 8 + size + size % 2
    return None


def _caf(content: bytes) -> SoundChunk | None:
    at = 8
    while at + 12 <= len(content):
        (size,) = struct.unpack_from(">q", content, at + 4)
        if content[at : at + 4] == b"data":
            return SoundChunk(at + 16, max(size - 4, 0), at + 4, ">q", 4)
        if size < 0:
            return None
        at += 12 + size
    return None


def _is_placeholder(content: bytes, chunk: SoundChunk, there: int) -> bool:
    if chunk.size >= LEAST_PLACEHOLDER:
        return chunk.size > there
    return chunk.size == 0 and there > 0 and not (chunk.chunks and _only_chunks(content, chunk))


def _only_chunks(content: bytes, chunk: SoundChunk) -> bool:
    """Returns whether only whole chunks, an ID3 tag, or zeros follow the sound."""
    at = chunk.start + chunk.size
    if chunk.chunks != "-":
        at += chunk.size % 2
        while at + 8 <= len(content) and content[at : at + 4].isascii() and content[at : at + 4].decode().isprintable():
            (size,) = struct.unpack_from(chunk.chunks, content, at + 4)
            if content[at : at + 4] in (b"RIFF", b"FORM") or at + 8 + size > len(content):
                break
            at += 8 + size + size % 2
    rest = content[at:]
    return not rest.strip(b"\0") or (len(rest) == 128 and rest.startswith(b"TAG"))
