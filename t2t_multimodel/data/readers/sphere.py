"""NIST SPHERE, the format of the LDC's speech: its header, and files compressed with shorten, which libsndfile does not read."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np

from t2t_multimodel.utils.errors import DataError

PROGRAM = "sph2pipe"
_MAGIC = b"NIST_1A"
_HEADER_BYTES = 1024


def header_number(content: bytes, field: str) -> int | None:
    """An integer of the header; None where there is no such field, or `content` is no SPHERE file."""
    found = re.search(rb"\n" + field.encode() + rb" -i (\d+)", _header(content))
    return int(found.group(1)) if found else None


def is_shortened(content: bytes) -> bool:
    """Whether it is a SPHERE file compressed with shorten."""
    return b"shorten" in _header(content)


def require_program() -> None:
    """Raises DataError unless sph2pipe is on the PATH."""
    if not shutil.which(PROGRAM):
        raise DataError(
            f"the recordings are compressed with shorten, and {PROGRAM}, which reads them, is not on the PATH; get it from "
            "https://www.openslr.org/3/ or https://github.com/burrmill/sph2pipe, build it with: gcc -o sph2pipe *.c -lm"
        )


def expand(path: Path) -> bytes:
    """The WAV file that sph2pipe makes of a shorten-compressed SPHERE file.

    Raises:
        DataError: there is no sph2pipe, it refuses the file, or the samples do not add up to the header's checksum.
    """
    import soundfile

    require_program()
    done = subprocess.run([PROGRAM, "-f", "wav", "-p", str(path)], capture_output=True, check=False)
    if done.returncode or not done.stdout:
        reason = " ".join(done.stderr.decode(errors="replace").split()) or f"exit code {done.returncode}"
        raise DataError(f"{path} is damaged; {PROGRAM} says: {reason}")
    try:
        samples, _ = soundfile.read(io.BytesIO(done.stdout), dtype="int16", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise DataError(f"{path}: what {PROGRAM} makes of it is no WAV file: {error.error_string}") from None
    with path.open("rb") as file:
        check_samples(file.read(_HEADER_BYTES), samples, str(path))
    return done.stdout


def check_samples(content: bytes, samples: np.ndarray, name: str) -> None:
    """Raises DataError if the int16 samples [samples, channels] do not add up to the checksum in the header of `content`, if any.

    What the checksum of several channels, or of samples that are not linear, is taken over differs between files; those pass.
    """
    expected = header_number(content, "sample_checksum")
    if expected is None or samples.dtype != np.int16 or samples.shape[1] != 1 or not _is_linear(content):
        return
    total = int(samples.sum(dtype=np.int64)) % 65536
    if total != expected:
        raise DataError(f"{name} is damaged: its samples add up to {total} modulo 65536, its header says {expected}")


def _header(content: bytes) -> bytes:
    return content[:_HEADER_BYTES] if content.startswith(_MAGIC) else b""


def _is_linear(content: bytes) -> bool:
    coding = re.search(rb"\nsample_coding -s\d+ ([a-z]+)", _header(content))
    return coding is None or coding.group(1) == b"pcm"
