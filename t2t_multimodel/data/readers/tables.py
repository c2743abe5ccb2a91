"""Reads Parquet and Arrow files, and datasets that Hugging Face's `datasets` saved on disk, by pyarrow."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from t2t_multimodel.data.readers import archives

SUFFIXES = (".parquet", ".arrow")
_BATCH_ROWS = 256
_ARROW_FILE = b"ARROW1"
_STATE, _SPLITS = "state.json", "dataset_dict.json"


class Table:
    """The rows of a file.

    Attributes:
        names: the names of the columns; the keys of a column of objects are names with dots.
        files: the names of the columns that hold the contents of files.
    """

    def __init__(self, origin: str, schema: Any, batches: Any) -> None:
        """Wraps an open file.

        Args:
            schema: its pyarrow.Schema.
            batches: takes names of whole columns and yields pyarrow.RecordBatch.
        """
        self._origin, self._batches = origin, batches
        self._classes = _classes(schema)
        self._columns = set(schema.names)
        self.names = [name for field in schema for name in _names_in(field, "")]
        self.files = [field.name for field in schema if _holds_files(field.type)]

    def rows(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yields the values of some columns by name: a str, a number, a list, or an `archives.Member` for bytes of a file.

        The number of a class that has a name becomes that name; None is no value.

        Raises:
            DataError: the file is damaged.
        """
        batches = self._batches(sorted({name if name in self._columns else name.partition(".")[0] for name in names}))
        number = 0
        while True:
            with archives.error_context(self._origin):
                batch = next(batches, None)
                found = batch.to_pylist() if batch is not None else []
            if batch is None:
                return
            for row in found:
                number += 1
                yield {name: self._value(_inside(row, name), name, number) for name in names}

    def _value(self, value: Any, name: str, number: int) -> Any:
        if isinstance(value, Mapping) and "bytes" in value:
            if value["bytes"] is None:
                return value.get("path")
            value, name = value["bytes"], value.get("path") or name
        if isinstance(value, bytes):
            return _file(value, name, f"row {number} of {self._origin}, {name}")
        if name in self._classes and isinstance(value, int):
            return self._classes[name][value] if 0 <= value < len(self._classes[name]) else None
        return value


@contextlib.contextmanager
def opened(member: archives.Member) -> Iterator[Table]:
    """Yields the table in a Parquet or Arrow file, and closes the file afterwards.

    Raises:
        DataError: the file is damaged.
    """
    import pyarrow
    import pyarrow.parquet

    with member.open() as file, contextlib.ExitStack() as stack:
        with archives.error_context(member.origin):
            if member.name.endswith(".parquet"):
                parquet = stack.enter_context(pyarrow.parquet.ParquetFile(file))
                schema, batches = parquet.schema_arrow, lambda names: parquet.iter_batches(_BATCH_ROWS, columns=names)
            else:
                schema, batches = _open_arrow(pyarrow, file, stack)
        yield Table(member.origin, schema, batches)


def saved_files(folder: Path) -> list[str]:
    """Returns the names of the files of a dataset that was saved on disk, in order; [] if the folder is none.

    Raises:
        DataError: the folder's description is damaged.
    """
    if not (folder / _STATE).is_file():
        return []
    with archives.error_context(str(folder / _STATE)):
        return [str(entry["filename"]) for entry in json.loads((folder / _STATE).read_text(encoding="utf-8"))["_data_files"]]


def saved_splits(folder: Path) -> list[str]:
    """Returns the names of the splits of a `DatasetDict` that was saved on disk; [] if the folder is none."""
    if not (folder / _SPLITS).is_file():
        return []
    with archives.error_context(str(folder / _SPLITS)):
        return list(map(str, json.loads((folder / _SPLITS).read_text(encoding="utf-8"))["splits"]))


def _open_arrow(pyarrow: Any, file: Any, stack: contextlib.ExitStack) -> tuple[Any, Any]:
    """Returns the schema and the batches of an Arrow stream, which `datasets` writes, or of an Arrow file."""
    start = file.read(len(_ARROW_FILE))
    file.seek(0)
    if start == _ARROW_FILE:
        whole = stack.enter_context(pyarrow.ipc.open_file(file))
        return whole.schema, lambda names: (whole.get_batch(i).select(names) for i in range(whole.num_record_batches))
    stream = stack.enter_context(pyarrow.ipc.open_stream(file))
    return stream.schema, lambda names: (batch.select(names) for batch in stream)


def _holds_files(kind: Any) -> bool:
    import pyarrow

    if pyarrow.types.is_struct(kind):
        return "bytes" in [inner.name for inner in kind]
    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))


def _names_in(field: Any, prefix: str) -> Iterator[str]:
    import pyarrow

    yield prefix + field.name
    if pyarrow.types.is_struct(field.type):
        for inner in field.type:
            yield from _names_in(inner, f"{prefix}{field.name}.")


def _inside(row: Any, name: str) -> Any:
    """Returns the value under a name with dots; None if an object on the way is empty."""
    first, _, rest = (name, "", "") if isinstance(row, Mapping) and name in row else name.partition(".")
    value = row.get(first) if isinstance(row, Mapping) else None
    return _inside(value, rest) if rest else value


def _classes(schema: Any) -> dict[str, list[str]]:
    """Returns the names of the classes by column, as `datasets` notes them in the schema."""
    noted = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(noted)["info"]["features"] if noted else {}
        return {name: feature["names"] for name, feature in features.items() if feature.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _file(content: bytes, name: str, origin: str) -> archives.Member:
    return archives.Member(name, origin, len(content), lambda: io.BytesIO(content))
