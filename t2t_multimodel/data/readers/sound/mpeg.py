"""Reads MP3: finds its frames, checks that all frames its header counts are there, and decodes them with miniaudio.

libsndfile guesses the length of a file without a header from its first frames, and loses the end if the bit rate varies.
"""

from __future__ import annotations

import numpy as np

from t2t_multimodel.utils.errors import DataError

# kbit/s by index, for layer III: first MPEG 1, then MPEG 2 and 2.5.
_BIT_RATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_SAMPLE_RATES = (44100, 48000, 32000)
_RATE_SHIFTS = {3: 0, 2: 1, 0: 2}  # for MPEG 1, 2 and 2.5, by the two bits in the header; 1 is no version
_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"LYRICS200", b"3DI")


def starts_frame(content: bytes, at: int = 0) -> bool:
    """Returns whether the header of an MPEG layer III frame begins at `at`."""
    return at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] & 0xE6 == 0xE2 and _frame_size(content, at) != 0


def tag_end(content: bytes, at: int = 0) -> int:
    """Returns the offset after the ID3v2 tag at `at`; `at` itself if there is no tag."""
    if content[at : at + 3] != b"ID3" or at + 10 > len(content):
        return at
    size = 0
    for byte in content[at + 6 : at + 10]:
        size = size << 7 | byte & 0x7F
    return at + 10 + size + (10 if content[at + 5] & 0x10 else 0)


def read(content: bytes, name: str) -> tuple[np.ndarray, int]:
    """Returns float32 [samples, channels] in [-1, 1], to which the decoder clips, and the samples per second.

    Raises:
        DataError: the last frame is cut, frames are missing, or there are more frames than the header counts.
    """
    import miniaudio

    frames = _whole_frames(content, name)  # the decoder fails on some bytes that may follow the frames
    try:
        sound = miniaudio.mp3_read_f32(frames)
    except miniaudio.DecodeError:
        raise DataError(f"{name} is damaged: its MP3 frames cannot be decoded") from None
    return np.frombuffer(sound.samples, np.float32).reshape(-1, sound.nchannels), sound.sample_rate


def _whole_frames(content: bytes, name: str) -> bytes:
    """Returns the part of `content` between the tags.

    Raises:
        DataError: a frame is cut or missing.
    """
    at = start = tag_end(content)
    promised = _promised_frames(content, at)
    frames = 0
    while starts_frame(content, at):
        size = _frame_size(content, at)
        if size < 0:  # free format: only the decoder knows a frame's size
            return content[start:]
        if at + size > len(content):
            raise DataError(f"{name} is cut short: its last frame lacks {at + size - len(content)} of {size} bytes")
        frames, at = frames + 1, at + size
        at = tag_end(content, at)
    rest = content[at:]
    if rest.strip(b"\0") and not rest.startswith(_TAGS) and not starts_frame(rest.ljust(4, b"\0")):
        raise DataError(f"{name} is damaged or cut short: at byte {at} of {len(content)} stands no MP3 frame")
    if promised is not None and frames - 1 < promised:
        raise DataError(f"{name} is cut short: its header promises {promised} frames, {max(frames - 1, 0)} are there")
    if promised is not None and frames - 1 > promised + 1:
        raise DataError(
            f"{name} has {frames - 1} frames where its header promises {promised}: several files in one; "
            "write it anew: ffmpeg -i IN.mp3 OUT.flac"
        )
    return content[start:at]


def _frame_size(content: bytes, at: int) -> int:
    """Returns the bytes of the frame whose header is at `at`; -1 for a free format, 0 if there is no header."""
    version, rate, bits = content[at + 1] >> 3 & 3, content[at + 2] >> 2 & 3, content[at + 2] >> 4
    if version not in _RATE_SHIFTS or rate == 3 or bits == 15:
        return 0
    if not bits:
        return -1
    per_second = _SAMPLE_RATES[rate] >> _RATE_SHIFTS[version]
    kbits = _BIT_RATES[version != 3][bits]
    return (144 if version == 3 else 72) * kbits * 1000 // per_second + (content[at + 2] >> 1 & 1)


def _promised_frames(content: bytes, at: int) -> int | None:
    """Returns the number of frames in the Xing or Info header of the first frame, without that frame.

    None if there is no such header.
    """
    if not starts_frame(content, at):
        return None
    mono = content[at + 3] >> 6 == 3
    side = (17 if mono else 32) if content[at + 1] >> 3 & 3 == 3 else (9 if mono else 17)
    header = content[at + 4 + side : at + 16 + side]
    if header[:4] not in (b"Xing", b"Info") or len(header) < 12 or not header[7] & 1:
        return None
    return int.from_bytes(header[8:12], "big")
