"""Functions for all readers of corpora: finding a corpus and its missing files, reading single files, mixing streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar, Unpack

from t2t_multimodel.data.readers import archives
from t2t_multimodel.problem import Example
from t2t_multimodel.utils.errors import DataError

T = TypeVar("T")


class Missing(NamedTuple):
    """A file that is missing: its name, and where to get it (a URL or a catalogue number)."""

    name: str
    origin: str


def folder_of(corpus: str, tmp_dir: Path) -> Path:
    """Returns the folder of a corpus: `tmp_dir/corpus` if it exists, otherwise `tmp_dir`."""
    own = Path(tmp_dir) / corpus
    return own if own.is_dir() else Path(tmp_dir)


def require(corpus: str, folder: Path, missing: Iterable[Missing]) -> None:
    """Raises a DataError that lists all `missing` files by origin, in one line, if there are any."""
    by_origin: dict[str, list[str]] = {}
    for name, origin in missing:
        by_origin.setdefault(origin, []).append(name)
    if by_origin:
        listed = "; ".join(f"{', '.join(names)} (from {origin})" for origin, names in by_origin.items())
        raise DataError(f"{corpus} is not complete; put into {folder}: {listed}")


def find(folder: Path, relative: str) -> Path | None:
    """Returns the path `folder/relative`; None if there is none.

    Each part of the path is looked for as given, in upper case and in lower case, because old discs differ in case.
    """
    path = folder
    for part in relative.split("/"):
        same = (path / name for name in (part, part.upper(), part.lower()))
        found = next((candidate for candidate in same if candidate.exists()), None)
        if found is None:
            return None
        path = found
    return path


def file_example(file: archives.Member | Callable[[], archives.Member], **answers: Unpack[Example]) -> Example:
    """The content of an image or a recording, or of what opens it, with its answers; an error example where that fails."""
    try:
        member = file if isinstance(file, archives.Member) else file()
        return {"inputs": archives.read(member), "origin": member.origin, **answers}
    except DataError as error:
        return {"error": error}


def round_robin(streams: Iterable[Iterator[T]]) -> Iterator[T]:
    """Yields one item per stream in turn, until all streams have ended.

    Corpora come sorted by class or by source, and records are shuffled in blocks that are far smaller than a corpus.
    """
    running = list(streams)
    while running:
        going = []
        for stream in running:
            for item in stream:
                yield item
                going.append(stream)
                break
        running = going
