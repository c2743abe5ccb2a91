"""Reads NIST SPHERE, the LDC's format for speech: its header, and files compressed with shorten, which libsndfile cannot read."""

from __future__ import annotations

import importlib.util
import io
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from t2t_multimodel.utils.errors import DataError

PROGRAM, PACKAGE = "sph2pipe", "desphere"
_MAGIC = b"NIST_1A"
_USUAL_HEADER_BYTES = 1024


def header_number(content: bytes, field: str) -> int | None:
    """Returns an integer of the header; None if there is no such field, or if `content` is no SPHERE file."""
    found = re.search(rb"\n" + field.encode() + rb" -i (\d+)", _header(content))
    return int(found.group(1)) if found else None


def is_shortened(content: bytes) -> bool:
    """Returns whether `content` is a SPHERE file compressed with shorten."""
    return b"shorten" in _header(content)


def with_short_header(content: bytes) -> bytes:
    """Returns the file with a header of 1,024 bytes, the only length that libsndfile reads.

    Of a longer header, only the fields that describe the sound are kept.
    """
    header = _header(content)
    if len(header) == _USUAL_HEADER_BYTES or not content.startswith(_MAGIC):
        return content
    fields = re.findall(rb"\n((?:channel|sample)_[a-z_]+ -[a-z0-9]+ [^\n]*)(?=\n)", header)
    short = b"NIST_1A\n   1024\n" + b"\n".join([*fields, b"end_head\n"])
    return short.ljust(_USUAL_HEADER_BYTES) + content[len(header) :]


def require_reader() -> None:
    """Raises a DataError unless desphere is installed or sph2pipe is on the PATH."""
    if not importlib.util.find_spec(PACKAGE) and not shutil.which(PROGRAM):
        raise DataError(
            f"the recordings are compressed with shorten; install {PACKAGE}, which reads them (pip install "
            f"'t2t_multimodel[sphere]'), or put {PROGRAM} on the PATH (source: https://www.openslr.org/3/)"
        )


def expand(content: bytes, name: str) -> bytes:
    """Returns a shorten-compressed SPHERE file as a WAV file, converted by desphere or, if that is not installed, by sph2pipe.

    Args:
        content: the SPHERE file.
        name: the file's name in messages.

    Raises:
        DataError: neither program is there, or the file is damaged.
    """
    if importlib.util.find_spec(PACKAGE):
        import desphere

        try:
            return desphere.transcode_bytes(content)
        except Exception as error:
            raise DataError(f"{name} is damaged; {PACKAGE} says: {error}") from None
    if not shutil.which(PROGRAM):
        raise DataError(
            f"{name} is a SPHERE file compressed with shorten; install {PACKAGE} (pip install 't2t_multimodel[sphere]'), "
            f"put {PROGRAM} on the PATH, or convert it: {PROGRAM} -f wav IN.wv1 OUT.wav"
        )
    return _expand_by_program(content, name)


def _expand_by_program(content: bytes, name: str) -> bytes:
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.sph"
        path.write_bytes(content)
        done = subprocess.run([PROGRAM, "-f", "wav", "-p", str(path)], capture_output=True, check=False)
    if done.returncode or not done.stdout:
        reason = " ".join(done.stderr.decode(errors="replace").split()) or f"exit code {done.returncode}"
        raise DataError(f"{name} is damaged; {PROGRAM} says: {reason}")
    try:
        soundfile.info(io.BytesIO(done.stdout))
    except soundfile.LibsndfileError as error:
        raise DataError(f"{name}: what {PROGRAM} makes of it is no WAV file: {error.error_string}") from None
    return done.stdout


def check_samples(content: bytes, samples: np.ndarray, name: str) -> None:
    """Raises a DataError if int16 samples [samples, channels] do not add up to the checksum in the header of `content`.

    Files without a checksum pass. So do files with several channels or with samples that are not linear, because programs differ
    in what they compute their checksum from.
    """
    expected = header_number(content, "sample_checksum")
    if expected is None or samples.dtype != np.int16 or samples.shape[1] != 1 or not _is_linear(content):
        return
    total = int(samples.sum(dtype=np.int64)) % 65536
    if total != expected:
        raise DataError(f"{name} is damaged: its samples add up to {total} modulo 65536, its header says {expected}")


def _header(content: bytes) -> bytes:
    """Returns the header, whose second line gives its length."""
    if not content.startswith(_MAGIC):
        return b""
    length = re.match(rb"NIST_1A\n *(\d+) *\n", content[:16])
    return content[: int(length.group(1)) if length else _USUAL_HEADER_BYTES]


def _is_linear(content: bytes) -> bool:
    coding = re.search(rb"\nsample_coding -s\d+ ([a-z]+)", _header(content))
    return coding is None or coding.group(1) == b"pcm"
