"""Writes files whole or not at all, and finds files whose names look the same."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from t2t_multimodel.utils.errors import DataError


def write_atomically(path: Path, content: bytes) -> None:
    """Writes `content` to a temporary file beside `path` and renames it, so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def check_writable(folder: Path) -> None:
    """Raises a DataError if no file can be made in `folder`, or in the nearest folder above it that exists.

    Commands call it before work that takes long and whose results go there.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    with naming_full_disk(folder):
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            raise DataError(f"{folder}: {error.strerror}; name a folder that may be written to") from error


@contextlib.contextmanager
def naming_full_disk(place: Path) -> Iterator[None]:
    """Raises the error of a full disk, TensorFlow's too, as an OSError that names `place`, if it names no file."""
    try:
        yield
    except Exception as error:
        if os.strerror(errno.ENOSPC) in str(error) and not getattr(error, "filename", None):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place)) from error
        raise


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Gives the path of a folder to write, which is renamed to `folder` at the end, or removed after an error."""
    temporary = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with naming_full_disk(folder):
            yield temporary
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def look_alike(path: Path) -> Path:
    """Returns `path` if it exists, or else the existing path that differs only in Unicode's composed and decomposed letters.

    macOS and archives made there decompose letters ("e" and an accent); most lists of files compose them ("é").
    """
    if os.path.lexists(path) or str(path).isascii():
        return path
    found = Path(path.anchor)
    for part in path.parts[bool(path.anchor) :]:
        beside = () if part.isascii() or os.path.lexists(found / part) or not found.is_dir() else os.listdir(found)
        found /= next((name for name in beside if composed(name) == composed(part)), part)
    return found if found.exists() else path


def composed(name: str) -> str:
    """Returns a name with its letters composed (Unicode NFC), to compare it with another one."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)
