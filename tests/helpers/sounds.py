"""Makes sound files of many kinds and codings, as programs write them, whole and damaged."""

import io
import struct

import numpy as np
import soundfile

RATE = 8000
TONE = (np.sin(np.arange(RATE // 2) * 0.2) * 8000).astype(np.int16)


def write(samples=TONE, kind="WAV", subtype="PCM_16", rate=RATE, **options):
    """Returns a file that libsndfile writes."""
    with io.BytesIO() as file:
        soundfile.write(file, samples, rate, format=kind, subtype=subtype, **options)
        return file.getvalue()


def wav(pcm=None, size=None, channels=1, rate=RATE, bits=16, tag=1, before=b"", behind=b"", extension=b""):
    """Returns a WAV file that is put together byte by byte.

    Args:
        pcm: the bytes of its samples; None takes TONE.
        size: the bytes of samples that the header promises; None is their real number.
        tag: the format: 1 for integers, 3 for floats, 6 and 7 for A-law and mu-law, 0xFFFE if `extension` has it.
        before, behind: chunks before and after the samples.
        extension: the bytes of the format chunk after the first 16.
    """
    pcm = TONE.astype("<i2").tobytes() if pcm is None else pcm
    frame = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits) + extension
    size = len(pcm) if size is None else size
    body = b"WAVE" + chunk(b"fmt ", form) + before + b"data" + struct.pack("<I", size) + pcm + b"\0" * (len(pcm) % 2) + behind
    return b"RIFF" + struct.pack("<I", min(len(body) - len(pcm) + size, 0xFFFFFFFF)) + body


def extensible(bits, tag=1):
    """Returns the bytes after the first 16 of the format chunk of an EXTENSIBLE WAV file."""
    return struct.pack("<HHIH", 22, bits, 0, tag) + bytes.fromhex("000000001000800000aa00389b71")


def chunk(name, content):
    """Returns a chunk of a WAV file, padded to an even length."""
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def flac_without_length(content):
    """Returns a FLAC file without a length in its header, as programs write it to a pipe."""
    return content[:21] + bytes([content[21] & 0xF0]) + b"\0" * 4 + content[26:]


def mp3_without_header(content):
    """Returns an MP3 file without its first frame, which holds the number of frames and no sound."""
    return content[content.index(content[:2], 4) :]


def quiet_then_loud(rate=16000):
    """Returns two seconds of sound, the first of which takes few bits: a length guessed from the beginning is wrong."""
    return np.concatenate([np.sin(np.arange(rate) * 0.05) * 0.001, np.random.default_rng(0).uniform(-0.5, 0.5, rate)])


def sphere(pcm, header_bytes=1024, coding="pcm", payload=None, checksum=None):
    """Returns a NIST SPHERE file of int16 samples at `RATE` Hz, little-endian."""
    fields = {
        "comment": f"-s{header_bytes // 2} {'x' * (header_bytes // 2)}" if header_bytes > 1024 else "-s1 x",
        "channel_count": "-i 1",
        "sample_count": f"-i {len(pcm)}",
        "sample_rate": f"-i {RATE}",
        "sample_n_bytes": "-i 2",
        "sample_byte_format": "-s2 01",
        "sample_sig_bits": "-i 16",
        "sample_coding": f"-s{len(coding)} {coding}",
        "sample_checksum": f"-i {int(pcm.sum(dtype=np.int64)) % 65536 if checksum is None else checksum}",
    }
    header = f"NIST_1A\n{header_bytes:7}\n" + "".join(f"{key} {value}\n" for key, value in fields.items()) + "end_head\n"
    assert len(header) <= header_bytes
    return header.encode().ljust(header_bytes) + (pcm.astype("<i2").tobytes() if payload is None else payload)


def shortened(pcm, header_bytes=1024, checksum=None):
    """Returns a SPHERE file compressed with shorten, version 2: blocks of differences of the first order."""
    bits = _ulong(5) + _ulong(1) + _ulong(256) + _ulong(0) + _ulong(0) + _ulong(0)  # type, channels, block, LPC, mean, skip
    last = 0
    for start in range(0, len(pcm), 256):
        block = pcm[start : start + 256].astype(int)
        if len(block) < 256:
            bits += _uvar(5, 2) + _ulong(len(block))
        bits += _uvar(1, 2) + _uvar(9, 3)
        for difference in np.diff(block, prepend=last).tolist():
            bits += _uvar(2 * difference if difference >= 0 else -2 * difference - 1, 10)
        last = int(block[-1])
    bits += _uvar(4, 2)
    bits += "0" * (-len(bits) % 32)
    payload = b"ajkg\x02" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    return sphere(pcm, header_bytes, "pcm,embedded-shorten-v2.00", payload, checksum)


def _uvar(value, low_bits):
    """Returns a number as shorten writes it: zeros and a one for its high part, then its low bits."""
    return "0" * (value >> low_bits) + "1" + (f"{value & (1 << low_bits) - 1:0{low_bits}b}" if low_bits else "")


def _ulong(value):
    return _uvar(value.bit_length(), 2) + _uvar(value, value.bit_length())
