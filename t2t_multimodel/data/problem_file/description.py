"""The description of one problem's data in a problem file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DEV_FRACTION = 0.05


@dataclasses.dataclass(frozen=True)
class Source:
    """Files of a split that are read together; picklable.

    Attributes:
        paths: pairs of a key, for messages, and a path or a pattern.
        weight: the number of copies of each example of train. 2.5 gives each example two, and half of the examples a third.
        aligned: whether the two paths are the two sides of line-aligned text.
    """

    paths: tuple[tuple[str, str], ...]
    weight: float = 1.0
    aligned: bool = False

    @property
    def name(self) -> str:
        """Returns the paths, for counts."""
        return " and ".join(path for _, path in self.paths)


@dataclasses.dataclass(frozen=True)
class Description:
    """The data of one problem in a problem file; picklable.

    Attributes:
        file: the problem file.
        name: the problem's name.
        kind: a key of `items.READERS`.
        sources: by split, its files; splits without files of their own are missing.
        root: a folder that holds the splits; then `sources` is empty.
        dev_fraction: the fraction of train that becomes dev, if dev has no files.
        max_train_words: train leaves out sentences with more words; 0 leaves none out.
        columns: the names or numbers of the lists' columns, as in `row_files.Columns.called`.
        encoding: the encoding of text files.
        files_in: the folder, relative to a list, that the list's paths are relative to; "" is the list's own.
        sample_rate: the samples per second of segments of recordings.
        class_words: the path of a list with a class and its words per line; "" if there is none.
        folder: the folder that paths are relative to where `tmp_dir` does not have them.
        table: the problem's table in the file.
    """

    file: Path
    name: str
    kind: str
    sources: Mapping[str, tuple[Source, ...]]
    root: str = ""
    dev_fraction: float = 0.0
    max_train_words: int = 0
    columns: Mapping[str, str | int] = dataclasses.field(default_factory=dict)
    encoding: str = "utf-8"
    files_in: str = ""
    sample_rate: int = 16000
    class_words: str = ""
    folder: Path = Path()
    table: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def place(self) -> str:
        """Returns the beginning of messages about this problem."""
        return f"{self.file}, problems.{self.name}"
