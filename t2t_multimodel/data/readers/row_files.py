"""Files that list examples, one a line: columns with tabs between them, or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from t2t_multimodel.data.readers import archives
from t2t_multimodel.utils.errors import DataError


class Row(NamedTuple):
    """A line: where it stands, its values, or what is wrong with it."""

    origin: str
    values: list[str]
    error: DataError | None = None


def rows(member: archives.Member, names: Sequence[str], several: bool = False) -> Iterator[Row]:
    """The lines of a list; empty ones, and a first line that names the columns, are left out.

    Args:
        member: JSON lines if it is called `.jsonl` (`.jsonl.gz`), otherwise columns.
        names: of the columns or of the keys in JSON; other keys are passed over.
        several: whether the last may have several values: further columns, or a list in JSON.

    Raises:
        DataError: the file is damaged. A single line that is becomes a row with an error.
    """
    read = _json_values if ".jsonl" in PurePosixPath(member.name).suffixes else _columns
    for number, line in enumerate(archives.lines(member), 1):
        origin = f"line {number} of {member.origin}"
        if not line.strip():
            continue
        try:
            values = read(archives.decoded(line, "the line"), names, several)
        except (DataError, ValueError, RecursionError) as error:
            yield Row(origin, [], DataError(f"{origin}: {error}"))
            continue
        if number > 1 or values != list(names):
            yield Row(origin, values)


def _columns(line: str, names: Sequence[str], several: bool) -> list[str]:
    values = line.split("\t")
    if len(values) < len(names) or (len(values) > len(names) and not several):
        raise ValueError(f"{len(values)} columns instead of {len(names)}: {' and '.join(names)}, with a tab between")
    return values


def _json_values(line: str, names: Sequence[str], several: bool) -> list[str]:
    found = json.loads(line)
    example = json.dumps(dict.fromkeys(names, "..."))
    if not isinstance(found, dict) or not all(name in found for name in names):
        raise ValueError(f"expected {example}, got {line[:80]}")
    values = [found[name] for name in names]
    if several and isinstance(values[-1], list):
        values = values[:-1] + values[-1]
    if len(values) < len(names) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"expected texts as in {example}, got {line[:80]}")
    return values
