"""Reads files that list one example per line: tab-separated columns, CSV, or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from t2t_multimodel.data.readers import archives
from t2t_multimodel.utils.errors import DataError

# Other toolkits' names for the columns and for the keys in JSON, in the order of preference.
OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "path": (
        *("file_name", "filename", "file", "audio_filepath", "audio_path", "audio_file", "audio", "wav_filename", "wav"),
        *("image_path", "image_file", "image_name", "image", "img"),
    ),
    "caption": ("captions", "text", "sentence", "description"),
    "transcript": ("transcription", "text", "sentence", "normalized_text", "raw_transcription"),
    "inputs": ("input", "source", "src"),
    "targets": ("target", "translation", "tgt", "trg"),
}
_DELIMITERS = (",", ";", "\t")


class Row(NamedTuple):
    """A line of a list.

    Attributes:
        number: the number of the line.
        origin: the file and the line, for messages.
        values: the values, in the order of the wanted names; empty if there is an error.
        error: the error of a damaged line.
    """

    number: int
    origin: str
    values: list[str]
    error: DataError | None = None


class _Line(NamedTuple):
    """A line before its columns are known: its number and cells, or its error."""

    number: int
    cells: list[str]
    error: Exception | None = None


def rows(member: archives.Member, names: Sequence[str], several: bool = False) -> Iterator[Row]:
    """Yields the lines of a list; empty lines, and a first line that names the columns, are left out.

    Args:
        member: JSON lines if its name ends with `.jsonl`, CSV if it ends with `.csv` (both also with `.gz`), otherwise
            tab-separated columns. If its first line has `names`, or `OTHER_NAMES` for them, it decides which columns are read.
        names: the names of the columns, or of the keys in JSON; other keys are ignored.
        several: whether the last name may have several values: further columns, or a list in JSON.

    Raises:
        DataError: the file is damaged, or its first line names only some of the columns. A damaged line is a row with an error.
    """
    suffixes = PurePosixPath(member.name).suffixes
    if ".jsonl" in suffixes:
        lines, values_of = _lines(member, lambda text: [text]), _json_values(names, several)
    else:
        lines = _csv_lines(member, names) if ".csv" in suffixes else _lines(member, lambda text: text.split("\t"))
        values_of = _Columns(names, several, ".csv" in suffixes)
    first = True
    for line in lines:
        origin = f"line {line.number} of {member.origin}"
        if first and isinstance(values_of, _Columns) and not line.error:
            first = False
            if values_of.read_header(line.cells, origin):
                continue
        try:
            if line.error:
                raise line.error
            yield Row(line.number, origin, values_of(line.cells))
        except (DataError, ValueError, RecursionError, csv.Error) as error:
            yield Row(line.number, origin, [], DataError(f"{origin}: {error}"))


def _lines(member: archives.Member, cells: Callable[[str], list[str]]) -> Iterator[_Line]:
    for number, line in enumerate(archives.lines(member), 1):
        if line.strip():
            try:
                yield _Line(number, cells(archives.decoded(line, "the line")))
            except DataError as error:
                yield _Line(number, [], error)


def _csv_lines(member: archives.Member, names: Sequence[str]) -> Iterator[_Line]:
    """Yields the records of a CSV file; a quoted cell may contain line breaks."""
    text = _DecodedLines(archives.lines(member))
    reader = csv.reader(text, delimiter=_delimiter(member, names), strict=True)
    while True:
        number = text.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (DataError, csv.Error) as error:
            yield _Line(number, [], error)
            continue
        if any(map(str.strip, cells)):
            yield _Line(number, cells)


class _DecodedLines:
    """Iterates over lines as text, with their ends; after a line that cannot be decoded has raised, the next one can be read."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        return archives.decoded(line, "the line") + "\n"


def _delimiter(member: archives.Member, names: Sequence[str]) -> str:
    """Returns the separator in the first line: a comma or another one, since spreadsheets write their country's separator."""
    first = next((line for line in archives.lines(member) if line.strip()), b"").decode("utf-8", "replace")
    split = {delimiter: first.split(delimiter) for delimiter in _DELIMITERS}
    named = [delimiter for delimiter, cells in split.items() if all(_positions(cells, names))]
    enough = [delimiter for delimiter, cells in split.items() if len(cells) >= len(names)]
    return [*named, *enough, ","][0]


class _Columns:
    """Picks the values of `names` out of a line's cells: all cells in order, or the cells that a header names."""

    def __init__(self, names: Sequence[str], several: bool, is_csv: bool) -> None:
        self._names, self._several = names, several
        self._between = "a comma" if is_csv else "a tab"
        self._hint = "; texts with a comma must be in quotes" if is_csv else "; a list with commas must be called .csv"
        self._header: list[str] = []
        self._chosen: list[int] = []

    def read_header(self, cells: Sequence[str], origin: str) -> bool:
        """Returns whether the cells name the columns.

        Raises:
            DataError: the cells name only some of the columns that are needed.
        """
        found = _positions(cells, self._names)
        if not all(found):
            if found[0] and "path" in self._names:
                needed = " and ".join(f"{name} (or {', '.join(OTHER_NAMES[name])})" for name in self._names)
                raise DataError(f"{origin} names the columns {', '.join(cells)}; expected {needed}")
            return False
        plain = [cell.strip() for cell in cells] == list(self._names)
        if not (plain and self._several):
            self._header = list(cells)
            last = found[-1] if self._several else found[-1][:1]
            self._chosen = [positions[0] for positions in found[:-1]] + last
        return True

    def __call__(self, cells: list[str]) -> list[str]:
        wanted = len(self._header or self._names)
        if len(cells) < wanted or (len(cells) > wanted and (self._header or not self._several)):
            columns = f"{len(cells)} column{'s' * (len(cells) != 1)} instead of {wanted}"
            raise ValueError(f"{columns}: {' and '.join(self._header or self._names)}, with {self._between} between{self._hint}")
        return [cells[i] for i in self._chosen] if self._header else cells


def _positions(cells: Sequence[str], names: Sequence[str]) -> list[list[int]]:
    """Returns, per name, the positions of the cells with that name, or with the first of its other names that occurs."""
    given = [cell.strip().strip('"').lower() for cell in cells]
    found = []
    for name in names:
        known = next((other for other in (name, *OTHER_NAMES.get(name, ())) if other in given), None)
        found.append([i for i, cell in enumerate(given) if cell == known])
    return found


def _json_values(names: Sequence[str], several: bool) -> Callable[[list[str]], list[str]]:
    example = json.dumps(dict.fromkeys(names, "..."))

    def values_of(cells: list[str]) -> list[str]:
        found = json.loads(cells[0])
        keys = [_key(found, name) for name in names] if isinstance(found, dict) else [None]
        if None in keys:
            raise ValueError(f"expected {example}, got {cells[0][:80]}")
        values = [found[key] for key in keys]
        if several and isinstance(values[-1], list):
            values = values[:-1] + values[-1]
        if len(values) < len(names) or not all(isinstance(value, str) for value in values):
            raise ValueError(f"expected texts as in {example}, got {cells[0][:80]}")
        return values

    return values_of


def _key(found: Mapping[str, object], name: str) -> str | None:
    return next((key for key in (name, *OTHER_NAMES.get(name, ())) if key in found), None)
