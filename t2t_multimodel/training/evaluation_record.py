"""The record of evaluations beside the newest checkpoint, which is written before its step is evaluated."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from t2t_multimodel.utils.files import write_atomically

FILE_NAME = "evaluations.json"


def save_record(output_dir: Path, step: int, evaluations: str) -> None:
    """Writes the evaluations of a run up to `step`, as the text of `training.decisions`."""
    write_atomically(output_dir / FILE_NAME, (json.dumps({"step": step, "evaluations": evaluations}) + "\n").encode())


def forget_record(output_dir: Path) -> None:
    """Removes the record of an earlier run, for a run that starts from the beginning in its folder."""
    (output_dir / FILE_NAME).unlink(missing_ok=True)


def with_record(output_dir: Path, step: int, evaluations: str) -> str:
    """Returns the evaluations of a restored checkpoint, with the evaluation of `step` itself if it was finished after saving.

    A record that is of another step, or does not continue `evaluations`, is ignored.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads((output_dir / FILE_NAME).read_text(encoding="utf-8"))
        known = json.loads(record["evaluations"])
        if record["step"] == step and known[:-1] == json.loads(evaluations or "[]"):
            return str(record["evaluations"])
    return evaluations
