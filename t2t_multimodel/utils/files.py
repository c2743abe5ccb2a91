"""Writes files whole or not at all, and finds files whose names look the same."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from pathlib import Path


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
