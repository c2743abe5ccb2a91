"""Reads a scored run for its report: the config, metrics.jsonl, and the decoded examples that `score_run` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from t2t_multimodel.evaluation.outputs import Decoded
from t2t_multimodel.problem import Problem, problem_of
from t2t_multimodel.runs.run_config import RunConfig
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.json_lines import newest_by_step, read_json_lines, training_seconds

Row = dict[str, Any]


class Run(NamedTuple):
    """A scored run.

    Attributes:
        config: the run's config.
        problems: the problems that it learned.
        train, dev: by problem, the rows of metrics.jsonl in the order of steps.
        seconds: the time spent in training, over all continuations.
        decoded: by problem, the scored examples of dev.
        attention: by problem, where the model looks in the first examples of dev; [] if that was not written.
    """

    config: RunConfig
    problems: list[Problem]
    train: dict[str, list[Row]]
    dev: dict[str, list[Row]]
    seconds: float
    decoded: dict[str, list[Decoded]]
    attention: dict[str, list[Row]]

    @property
    def step(self) -> int:
        """The step that was scored."""
        return max(rows[-1]["step"] for rows in self.dev.values())

    def scores(self, problem: Problem) -> Row:
        """The newest row of a problem's scores on dev."""
        return self.dev[problem.name][-1]


def read_run(output_dir: Path) -> Run:
    """Reads a run that `score_run` has scored on dev; raises DataError if a file or a score is missing or damaged."""
    config = RunConfig.load(output_dir)
    rows = _json_lines(output_dir / "metrics.jsonl")
    chosen = [problem_of(spec) for spec in config.problems]
    names = [problem.name for problem in chosen]
    train, dev = ({name: _by_step(rows, name, split) for name in names} for split in ("train", "dev"))
    decoded = {name: [Decoded(**row) for row in _json_lines(output_dir / f"decoded-{name}-dev.jsonl")] for name in names}
    looks = {name: output_dir / f"attention-{name}-dev.jsonl" for name in names}
    attention = {name: read_json_lines(path) if path.exists() else [] for name, path in looks.items()}
    unscored = [name for name in names if not dev[name] or not decoded[name]]
    if unscored:
        raise DataError(f"{output_dir} has no scores of {', '.join(unscored)} on dev; run mm-trainer --schedule=evaluate first")
    return Run(config, chosen, train, dev, training_seconds(rows), decoded, attention)


def _by_step(rows: list[Row], problem: str, split: str) -> list[Row]:
    """Returns the newest row per step of a problem's split, in the order of steps."""
    return newest_by_step(row for row in rows if row["problem"] == problem and row["split"] == split)


def _json_lines(path: Path) -> list[Row]:
    try:
        return read_json_lines(path)
    except FileNotFoundError:
        raise DataError(f"there is no {path}; run mm-trainer --schedule=evaluate first") from None
