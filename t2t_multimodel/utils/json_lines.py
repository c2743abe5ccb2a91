"""Reads and writes files with one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from t2t_multimodel.utils.errors import DataError

# Besides a line feed, str.splitlines and some readers of JSON lines end a line at these, and JSON does not escape them.
_LINE_ENDS = {ord(character): f"\\u{ord(character):04x}" for character in "\x85\u2028\u2029"}


def json_line(row: Mapping[str, Any]) -> str:
    """Returns `row` as one line of JSON with a line feed.

    Letters are not escaped, so that people can read them. Escaped are all characters that some reader takes for the end of a
    line, and single surrogates, which UTF-8 cannot hold.
    """
    text = json.dumps(row, ensure_ascii=False)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = json.dumps(row)
    return text.translate(_LINE_ENDS) + "\n"


def complete_lines(content: bytes) -> list[bytes]:
    """Returns the lines of a file, each with its line feed. A last line without one was cut off and is left out."""
    return [line + b"\n" for line in content.split(b"\n")[:-1]]


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Returns the objects of a file's complete lines.

    Raises:
        DataError: a line holds no JSON object; the message names it.
        FileNotFoundError: there is no file.
    """
    rows = []
    for number, line in enumerate(complete_lines(path.read_bytes()), start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number} is damaged: {error}") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number} is damaged: expected a JSON object")
        rows.append(row)
    return rows


def json_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Returns `rows` as the content of a file, a line per row."""
    return "".join(map(json_line, rows)).encode()


def newest_by_step(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Merges the rows of metrics.jsonl of one problem and split into one row per step, in the order of steps.

    If a step has several rows, a later row's figures replace an earlier one's, and those of --schedule=evaluate the trainer's.
    """
    found: dict[int, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: "schedule" in row):
        found[row["step"]] = found.get(row["step"], {}) | row
    return [found[step] for step in sorted(found)]


def training_seconds(rows: Sequence[Mapping[str, Any]]) -> float:
    """Returns the seconds that a run took: the last training time of each continuation, added up, from rows of metrics.jsonl.

    A continuation's clock starts at 0 again.
    """
    times = [row["time"] for row in rows if row["split"] == "train"]
    return sum((time for time, following in pairwise([*times, 0.0]) if following < time), start=0.0)
