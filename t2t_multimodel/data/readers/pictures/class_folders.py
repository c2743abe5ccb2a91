"""Finds the pictures in folders with one folder per class, and names the files that are passed over, so that they are counted."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from t2t_multimodel.data.readers import archives
from t2t_multimodel.utils.errors import DataError

# The suffixes that Pillow has for `read.FORMATS`.
SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .gif .webp .bmp .dib .tif .tiff .avif .avifs .jp2 .j2k .jpc .jpf .jpx .j2c .ppm .pgm"
    " .pbm .pnm .pfm".split()
)
_OF_SYSTEMS = frozenset({"Thumbs.db", "thumbs.db", "desktop.ini", "Desktop.ini", "__MACOSX"})
_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing"})
_SPLIT_KEYS = {"val": "dev", "valid": "dev", "validation": "dev", "training": "train", "testing": "test"}


def is_hidden(name: str) -> bool:
    """Returns whether a path leads to a system's own file, such as .DS_Store, ._a.jpg, Thumbs.db or .ipynb_checkpoints/."""
    return any(part.startswith(".") or part in _OF_SYSTEMS for part in PurePosixPath(name).parts)


def is_picture(name: str) -> bool:
    """Returns whether a file's name has the suffix of a picture format that is read."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def other_kind(name: str) -> str:
    """Returns the name under which a file that is passed over is counted, for example ".heic files"."""
    return f"{PurePosixPath(name).suffix.lower() or 'other'} files"


def of_classes(path: Path) -> dict[str, list[Path]]:
    """Returns the folders of each class in `path` by the class's name, sorted; names that look the same are one class."""
    found: dict[str, tuple[str, list[Path]]] = {}
    for folder in sorted(path.iterdir()):
        if folder.is_dir() and not is_hidden(folder.name):
            found.setdefault(unicodedata.normalize("NFC", folder.name), (folder.name, []))[1].append(folder)
    return dict(found.values())


def pictures_of(folder: Path) -> Iterator[archives.Member]:
    """Yields the pictures in a folder and in the folders below it, linked ones included.

    A link that leads nowhere is a member that cannot be opened.
    """
    return (member for member in archives.Folder(folder).members() if not is_hidden(member.name) and is_picture(member.name))


def passed_over(path: Path) -> Iterator[str]:
    """Yields one name to count by (see `other_kind`) per file below `path` that is neither a picture of a class nor hidden."""
    for member in archives.Folder(path).members():
        if is_hidden(member.name):
            continue
        if not is_picture(member.name):
            yield other_kind(member.name)
        elif "/" not in member.name:
            yield "pictures beside the folders of the classes"


def check_classes(path: Path, place: str) -> None:
    """Raises a DataError if the folders in `path` are splits, which torchvision's layout has, instead of classes."""
    folders = [folder for folders in of_classes(path).values() for folder in folders]
    if not folders or any(folder.name not in _SPLITS for folder in folders):
        return
    if all(of_classes(folder) and not any(is_picture(file.name) for file in folder.iterdir()) for folder in folders):
        keys = ", ".join(f'{_SPLIT_KEYS.get(folder.name, folder.name)} = "{folder}"' for folder in folders)
        whole = f', or root = "{path}"' if "train = " in keys else ""
        raise DataError(f"{place}: {path} holds splits, not classes; write {keys}{whole}")
