"""Folders with a folder of pictures per class: which files are pictures, and which are passed over and counted."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from t2t_multimodel.data.readers import archives
from t2t_multimodel.utils.errors import DataError

# What Pillow calls the formats of `read.FORMATS`, in the names of files.
SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .gif .webp .bmp .dib .tif .tiff .avif .avifs .jp2 .j2k .jpc .jpf .jpx .j2c .ppm .pgm"
    " .pbm .pnm .pfm".split()
)
_OF_SYSTEMS = frozenset({"Thumbs.db", "thumbs.db", "desktop.ini", "Desktop.ini", "__MACOSX"})
_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing"})
_SPLIT_KEYS = {"val": "dev", "valid": "dev", "validation": "dev", "training": "train", "testing": "test"}


def is_hidden(name: str) -> bool:
    """Whether a path leads to what systems keep beside one's files: .DS_Store, ._a.jpg, Thumbs.db, .ipynb_checkpoints/."""
    return any(part.startswith(".") or part in _OF_SYSTEMS for part in PurePosixPath(name).parts)


def is_picture(name: str) -> bool:
    """Whether a file's name is that of a picture of a format that is read."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def other_kind(name: str) -> str:
    """What files that are passed over are counted by: ".heic files"."""
    return f"{PurePosixPath(name).suffix.lower() or 'other'} files"


def of_classes(path: Path) -> dict[str, list[Path]]:
    """The folders of each class in `path`, by the class's name, sorted; names that look the same are one class."""
    found: dict[str, tuple[str, list[Path]]] = {}
    for folder in sorted(path.iterdir()):
        if folder.is_dir() and not is_hidden(folder.name):
            found.setdefault(unicodedata.normalize("NFC", folder.name), (folder.name, []))[1].append(folder)
    return dict(found.values())


def pictures_of(folder: Path) -> Iterator[archives.Member]:
    """The pictures in a folder and those below it, linked ones included; a dead link is a member that cannot be opened."""
    return (member for member in archives.Folder(folder).members() if not is_hidden(member.name) and is_picture(member.name))


def passed_over(path: Path) -> Iterator[str]:
    """What each file below `path` is that is neither a picture of a class nor hidden: see `other_kind`."""
    for member in archives.Folder(path).members():
        if is_hidden(member.name):
            continue
        if not is_picture(member.name):
            yield other_kind(member.name)
        elif "/" not in member.name:
            yield "pictures beside the folders of the classes"


def check_classes(path: Path, place: str) -> None:
    """Raises DataError where the folders in `path` are splits, as torchvision has them, and not classes."""
    folders = [folder for folders in of_classes(path).values() for folder in folders]
    if not folders or any(folder.name not in _SPLITS for folder in folders):
        return
    if all(of_classes(folder) and not any(is_picture(file.name) for file in folder.iterdir()) for folder in folders):
        keys = ", ".join(f'{_SPLIT_KEYS.get(folder.name, folder.name)} = "{folder}"' for folder in folders)
        raise DataError(f"{place}: {path} holds splits, not classes; write {keys}")
