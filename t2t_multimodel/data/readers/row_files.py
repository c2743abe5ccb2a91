"""Reads files that list one example per row: tab-separated columns, CSV, JSON lines, Parquet and Arrow."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

from t2t_multimodel.data.readers import archives, tables
from t2t_multimodel.registry import nearest
from t2t_multimodel.utils.errors import DataError

# Other toolkits' names for the columns and for the keys in JSON, in the order of preference.
OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "path": (
        *("file_name", "filename", "file", "audio_filepath", "audio_path", "audio_file", "audio", "wav_filename", "wav"),
        *("image_path", "image_file", "image_name", "image", "img"),
    ),
    "caption": ("captions", "text", "sentence", "description"),
    "transcript": ("transcription", "text", "sentence", "normalized_text", "raw_transcription"),
    "label": ("class", "class_name", "category"),
    "inputs": ("input", "source", "src"),
    "targets": ("target", "translation", "tgt", "trg"),
}
_DELIMITERS = (",", ";", "\t")
_QUOTES = "a text in quotes ends with a quote before the next column, and a quote inside it is doubled"
_COCO = re.compile(rb'\{\s*"(info|licenses|images|annotations)"')
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which columns of a list are read; picklable.

    Attributes:
        names: the names of the columns, or of the keys in JSON, that every list must have; others are ignored.
        several: whether the last name may have several values: further columns, or a list in JSON.
        optional: names of further columns. Only lists that name their columns can have them.
        called: by our name of a column, its name in the list, or its number from 1. A column that is missing here has
            our name in the list, or one of `OTHER_NAMES`. A name with dots leads into an object of JSON, Parquet or Arrow.
    """

    names: tuple[str, ...]
    several: bool = False
    optional: tuple[str, ...] = ()
    called: Mapping[str, str | int] = dataclasses.field(default_factory=dict)

    @property
    def numbered(self) -> bool:
        """Returns whether the columns have numbers, so that no line names them."""
        return any(isinstance(given, int) for given in self.called.values())

    def described(self) -> str:
        """Returns the needed columns in words, for messages."""
        return " and ".join(map(self._described, self.names))

    def _described(self, name: str) -> str:
        others = ", ".join(OTHER_NAMES.get(name, ()))
        return str(self.called[name]) if name in self.called else f"{name} (or {others})" if others else name


class Row(NamedTuple):
    """A row of a list.

    Attributes:
        number: the number of the line, or of the row in a table.
        origin: the file and the line, for messages.
        values: the values, in the order of the wanted names; empty if there is an error. A value is a str, or an
            `archives.Member` if a table holds the content of a file.
        error: the error of a damaged line.
        more: by name, the values of those optional columns that the list has.
    """

    number: int
    origin: str
    values: list[Any]
    error: DataError | None = None
    more: Mapping[str, Any] = _NOTHING


class _Line(NamedTuple):
    """A line before its columns are known: its number and cells, or its error."""

    number: int
    cells: list[str]
    error: Exception | None = None


class _Picked(NamedTuple):
    """The values of a line: of the needed columns, and of the optional ones by name."""

    values: list[Any]
    more: Mapping[str, Any] = _NOTHING


def rows(member: archives.Member, columns: Columns) -> Iterator[Row]:
    """Yields the rows of a list; empty lines, and a first line that names the columns, are left out.

    Args:
        member: JSON lines if its name ends with `.jsonl` or `.json`, CSV if it ends with `.csv` (all of them also with `.gz`), a
            table if it ends with `.parquet` or `.arrow`, otherwise tab-separated columns. If the first line of columns has the
            names that are needed, it decides which columns are read.
        columns: the columns to read.

    Raises:
        DataError: the file is damaged, or its first line or its table names only some of the columns. A damaged line is a row
            with an error.
    """
    suffixes = PurePosixPath(member.name).suffixes
    if suffixes[-1:] and suffixes[-1] in tables.SUFFIXES:
        yield from _table_rows(member, columns)
        return
    values_of: Callable[[list[str]], _Picked]
    if ".jsonl" in suffixes or ".json" in suffixes:
        if ".json" in suffixes:
            _check_lines_of_json(member)
        lines, values_of = _lines(member, lambda text: [text]), lambda cells: _of_json(cells[0], columns)
    else:
        lines = _csv_lines(member, columns) if ".csv" in suffixes else _lines(member, lambda text: text.split("\t"))
        values_of = _Cells(columns, ".csv" in suffixes)
    first = True
    for line in lines:
        origin = f"line {line.number} of {member.origin}"
        if first and isinstance(values_of, _Cells) and not line.error:
            first = False
            if values_of.read_header(line.cells, origin):
                continue
        try:
            if line.error:
                raise line.error
            picked = values_of(line.cells)
            yield Row(line.number, origin, picked.values, None, picked.more)
        except (DataError, ValueError, RecursionError, csv.Error) as error:
            yield Row(line.number, origin, [], DataError(f"{origin}: {error}"))


def _check_lines_of_json(member: archives.Member) -> None:
    """Raises a DataError if the file is one value of JSON rather than an object per line."""
    first = next(archives.lines(member), b"").strip()
    if first.startswith(b"["):
        raise DataError(f"{member.origin} is one list of JSON; expected an object per line, as jq -c '.[]' writes them")
    if _COCO.match(first):
        coco = "the problems image_mscoco_tokens_8k and coco_64 read COCO's own files, in --tmp_dir"
        raise DataError(f"{member.origin} is one object, with keys as COCO's; expected an object per line ({coco})")
    if first == b"{":
        raise DataError(f"{member.origin} is one object over several lines; expected an object per line")


def _lines(member: archives.Member, cells: Callable[[str], list[str]]) -> Iterator[_Line]:
    for number, line in enumerate(archives.lines(member), 1):
        if line.strip():
            try:
                yield _Line(number, cells(archives.decoded(line, "the line")))
            except DataError as error:
                yield _Line(number, [], error)


def _csv_lines(member: archives.Member, columns: Columns) -> Iterator[_Line]:
    """Yields the records of a CSV file; a quoted cell may contain line breaks.

    A quote that is never closed would reach over many lines. Of a damaged record only the first line is lost.
    """
    text = _DecodedLines(archives.lines(member))
    reader = csv.reader(text, delimiter=_delimiter(member, columns), strict=True)
    while True:
        number = text.begin_record()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            text.return_all_but_first()
            yield _Line(number, [], DataError(f"{error}; {_QUOTES}"))
            continue
        except DataError as error:
            open_quote = text.return_all_but_first()
            yield _Line(number, [], DataError(f"a quote is opened and not closed; {_QUOTES}") if open_quote else error)
            continue
        if any(map(str.strip, cells)):
            yield _Line(number, cells)


class _DecodedLines:
    """Iterates over lines as text, with their ends; after a line that cannot be decoded has raised, the next one can be read."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._number = 0
        self._record: list[bytes] = []
        self._returned: list[bytes] = []

    def begin_record(self) -> int:
        """Returns the number of the next line, which begins a record."""
        self._record = []
        return self._number + 1

    def return_all_but_first(self) -> bool:
        """Makes the lines of this record, except its first, be read again; returns whether there are any."""
        again = self._record[1:]
        self._returned += reversed(again)
        self._number -= len(again)
        return bool(again)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.pop() if self._returned else next(self._lines)
        self._record.append(line)
        self._number += 1
        return archives.decoded(line, "the line") + "\n"


def _delimiter(member: archives.Member, columns: Columns) -> str:
    """Returns the separator in the first line: a comma or another one, since spreadsheets write their country's separator."""
    first = next((line for line in archives.lines(member) if line.strip()), b"").decode("utf-8", "replace")
    split = {delimiter: first.split(delimiter) for delimiter in _DELIMITERS}
    named = [delimiter for delimiter, cells in split.items() if all(_positions(cells, columns, columns.names))]
    enough = [delimiter for delimiter, cells in split.items() if len(cells) >= len(columns.names)]
    return [*named, *enough, ","][0]


class _Cells:
    """Picks the wanted values out of a line's cells: all cells in order, or the cells that a header or numbers name."""

    def __init__(self, columns: Columns, is_csv: bool) -> None:
        self._columns = columns
        self._between = "a comma" if is_csv else "a tab"
        self._hint = "; texts with a comma must be in quotes" if is_csv else "; a list with commas must be called .csv"
        self._header: list[str] = []
        self._chosen: list[int] = []
        self._more: dict[str, int] = {}
        if columns.numbered:
            self._more = {name: int(number) - 1 for name, number in columns.called.items()}
            self._chosen = [self._more.pop(name) for name in columns.names]

    def read_header(self, cells: Sequence[str], origin: str) -> bool:
        """Returns whether the cells name the columns.

        Raises:
            DataError: the cells name only some of the columns that are needed.
        """
        columns = self._columns
        if columns.numbered:
            return False
        found = _positions(cells, columns, columns.names)
        if not all(found):
            if columns.called or (found[0] and "path" in columns.names):
                raise DataError(_unnamed(origin, cells, columns))
            return False
        plain = not columns.called and [cell.strip() for cell in cells] == list(columns.names)
        if not (plain and columns.several):
            self._header = list(cells)
            last = found[-1] if columns.several else found[-1][:1]
            self._chosen = [positions[0] for positions in found[:-1]] + last
            more = zip(columns.optional, _positions(cells, columns, columns.optional), strict=True)
            self._more = {name: positions[0] for name, positions in more if positions}
        return True

    def __call__(self, cells: list[str]) -> _Picked:
        columns = self._columns
        if columns.numbered:
            wanted = max(*self._chosen, *self._more.values(), 0) + 1
            if len(cells) < wanted:
                raise ValueError(f"{_counted(cells)}, but columns asks for number {wanted}, with {self._between} between")
        else:
            wanted = len(self._header or columns.names)
            if len(cells) < wanted or (len(cells) > wanted and (self._header or not columns.several)):
                named = " and ".join(self._header or columns.names)
                raise ValueError(f"{_counted(cells)} instead of {wanted}: {named}, with {self._between} between{self._hint}")
        if not self._chosen:
            return _Picked(cells)
        return _Picked([cells[i] for i in self._chosen], {name: cells[i] for name, i in self._more.items()})


def _counted(cells: Sequence[str]) -> str:
    return f"{len(cells)} column{'s' * (len(cells) != 1)}"


def _unnamed(origin: str, given: Sequence[str], columns: Columns) -> str:
    """Returns the message about a list that names its columns, but not all needed ones."""
    missing = [str(name) for name in columns.called.values() if str(name).lower() not in map(_plain, given)]
    hint = nearest(missing[0], list(given)) if missing else ""
    return f"{origin} names the columns {', '.join(given)}; expected {columns.described()}" + (f"; {hint}" if hint else "")


def _plain(cell: str) -> str:
    return cell.strip().strip('"').lower()


def _names_of(columns: Columns, name: str) -> tuple[str, ...]:
    """Returns the names that a column may have in a list, in the order of preference."""
    return (str(columns.called[name]),) if name in columns.called else (name, *OTHER_NAMES.get(name, ()))


def _positions(cells: Sequence[str], columns: Columns, names: Sequence[str]) -> list[list[int]]:
    """Returns, per name, the positions of the cells with that name, or with the first of its other names that occurs."""
    given = list(map(_plain, cells))
    found = []
    for name in names:
        known = next((other.lower() for other in _names_of(columns, name) if other.lower() in given), None)
        found.append([i for i, cell in enumerate(given) if cell == known])
    return found


def _of_json(text: str, columns: Columns) -> _Picked:
    """Returns the values of one object; raises ValueError if it lacks a needed column, or a value is no text."""
    example = json.dumps(dict.fromkeys([str(columns.called.get(name, name)) for name in columns.names], "..."))
    found = json.loads(text)
    flat = _flattened(found) if isinstance(found, dict) else {}
    keys = [_key(flat, columns, name) for name in columns.names]
    if None in keys:
        raise ValueError(f"expected {example}, got {text[:80]}")
    return _picked([flat[str(key)] for key in keys], flat, columns, f"expected texts as in {example}, got {text[:80]}")


def _key(found: Mapping[str, object], columns: Columns, name: str) -> str | None:
    return next((key for key in _names_of(columns, name) if key in found), None)


def _flattened(found: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns an object, with the values of the objects inside it added under names with dots."""
    flat: dict[str, Any] = {}
    for key, value in found.items():
        flat[f"{prefix}{key}"] = value
        if isinstance(value, dict):
            flat |= _flattened(value, f"{prefix}{key}.")
    return flat


def _picked(values: list[Any], flat: Mapping[str, Any], columns: Columns, otherwise: str) -> _Picked:
    """Returns needed and optional values, which must be texts or files; raises ValueError(`otherwise`) if one is neither."""
    if columns.several and isinstance(values[-1], list):
        values = values[:-1] + values[-1]
    if columns.names[-1] == "label" and type(values[-1]) is int:
        values = [*values[:-1], str(values[-1])]
    if len(values) < len(columns.names) or not all(isinstance(value, str | archives.Member) for value in values):
        raise ValueError(otherwise)
    keys = {name: _key(flat, columns, name) for name in columns.optional}
    return _Picked(values, {name: flat[key] for name, key in keys.items() if key is not None and flat[key] is not None})


def _table_rows(member: archives.Member, columns: Columns) -> Iterator[Row]:
    if columns.numbered:
        raise DataError(f"{member.origin}: its columns have names, so columns must name them instead of counting them")
    with tables.opened(member) as table:
        given = dict.fromkeys(table.names)
        keys = {name: _key(given, columns, name) for name in (*columns.names, *columns.optional)}
        if "path" in keys and "path" not in columns.called:  # Where a table has both, paths are those of another machine.
            files = {_plain(name): name for name in table.files}
            keys["path"] = next((files[name] for name in _names_of(columns, "path") if name in files), keys["path"])
        if None in [keys[name] for name in columns.names]:
            raise DataError(_unnamed(member.origin, table.names, columns))
        wanted = [key for key in keys.values() if key is not None]
        for number, found in enumerate(table.rows(wanted), 1):
            origin = f"row {number} of {member.origin}"
            empty = ", ".join(str(keys[name]) for name in columns.names if found[str(keys[name])] is None)
            otherwise = f"expected texts or files, but {empty} is empty" if empty else "expected texts or files"
            try:
                picked = _picked([found[str(keys[name])] for name in columns.names], found, columns, otherwise)
                yield Row(number, origin, picked.values, None, picked.more)
            except ValueError as error:
                yield Row(number, origin, [], DataError(f"{origin}: {error}"))
