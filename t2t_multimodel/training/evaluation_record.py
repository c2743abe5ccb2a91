"""What evaluations found since the newest checkpoint, which was written before the last of them began."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from t2t_multimodel.utils.files import write_atomically

FILE_NAME = "evaluations.json"


def save_record(output_dir: Path, step: int, evaluations: str) -> None:
    """Keeps the evaluations of a run up to that of `step`, as `training.decisions` has them in a text."""
    write_atomically(output_dir / FILE_NAME, (json.dumps({"step": step, "evaluations": evaluations}) + "\n").encode())


def forget_record(output_dir: Path) -> None:
    """Removes what an earlier run left in a folder where one begins anew."""
    (output_dir / FILE_NAME).unlink(missing_ok=True)


def with_record(output_dir: Path, step: int, evaluations: str) -> str:
    """Returns the evaluations of a restored checkpoint of `step`, with that of `step` if it was finished after the saving.

    A record of another step, or of other evaluations before it, is of no use and is passed over.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads((output_dir / FILE_NAME).read_text(encoding="utf-8"))
        known = json.loads(record["evaluations"])
        if record["step"] == step and known[:-1] == json.loads(evaluations or "[]"):
            return str(record["evaluations"])
    return evaluations
