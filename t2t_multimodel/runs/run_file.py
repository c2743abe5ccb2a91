"""Writes run.toml: the run file (`mm-trainer --config`) that repeats a run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from t2t_multimodel.config import HParams, hparams_sets
from t2t_multimodel.data.problem_file.load import table_of
from t2t_multimodel.problem import Problem
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.files import write_atomically
from t2t_multimodel.version import __version__

NAME = "run.toml"
_HEAD = "# Written by mm-trainer"


@dataclasses.dataclass(frozen=True)
class RunFile:
    """The run.toml of a run.

    Attributes:
        output_dir: the run's folder, in which the file is.
        problems, set_name, hparams, data_dir, strategy, warm_start, usr_dir: as in `train_run`.
    """

    output_dir: Path
    problems: Sequence[Problem]
    set_name: str
    hparams: HParams
    data_dir: Path
    strategy: str
    warm_start: str = ""
    usr_dir: str = ""

    def check(self) -> None:
        """Raises a DataError if a file of that name is there which mm-trainer did not write."""
        path = self.output_dir / NAME
        if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(_HEAD):
            raise DataError(f"{path} is a file of yours, and mm-trainer writes one of that name; rename it")

    def write(self, stop_step: int | None, seconds: float = 0.0, by_clock: bool = False, planned_steps: str = "") -> None:
        """Writes the file.

        Args:
            stop_step: the step at which a run that repeats this one ends; None without one.
            seconds: the time after which it ends; 0 without one.
            by_clock: whether its schedules end with that time.
            planned_steps: the plan that its schedules follow, as text; "" without one.
        """
        write_atomically(self.output_dir / NAME, self.text(stop_step, seconds, by_clock, planned_steps).encode())

    def text(self, stop_step: int | None, seconds: float = 0.0, by_clock: bool = False, planned_steps: str = "") -> str:
        """Returns the text of the file; the arguments are those of `write`."""
        values: dict[str, Any] = {"problems": [problem.name for problem in self.problems], "hparams_set": self.set_name}
        values |= {"data_dir": str(self.data_dir.resolve()), "output_dir": ".", "strategy": self.strategy}
        folders = {"warm_start": self.warm_start, "usr_dir": self.usr_dir}
        values |= {key: str(Path(path).resolve()) for key, path in folders.items() if path}
        values |= {"stop_step": stop_step} if stop_step is not None else {}
        values |= {"train_minutes": seconds / 60} if seconds else {}
        values |= {"train_steps": self.hparams.training.train_steps} if seconds and not by_clock else {}
        values |= {"planned_steps": planned_steps} if planned_steps else {}
        lines = [f"{_HEAD} {__version__}. This repeats the run:", f"# mm-trainer --config={NAME} --output_dir=NEW"]
        lines += _lines(values) + ["", "[hparams]", *_lines(self._changes())]
        for name, table in dict(filter(None, map(table_of, self.problems))).items():
            lines += ["", f"[problem.{name}]", *_lines(table)]
        return "\n".join(lines) + "\n"

    def _changes(self) -> dict[str, Any]:
        """Returns the hyperparameters that differ from the set, or from the defaults if the set is not registered."""
        base = hparams_sets.get(self.set_name)() if self.set_name in hparams_sets else HParams()
        before, now = base.to_dict(), self.hparams.to_dict()
        return {name: value for part in now for name, value in now[part].items() if before[part][name] != value}


def _lines(values: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_toml(value)}" for key, value in values.items()]


def _toml(value: Any) -> str:
    """Returns a value as TOML writes it: a text, a number, true or false, a list, or a table in braces."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # JSON leaves U+007F as it is in a text, which TOML does not.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
