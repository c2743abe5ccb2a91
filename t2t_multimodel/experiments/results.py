"""The figures of finished runs. For every run and problem they are those of the evaluation on dev with the lowest loss."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from t2t_multimodel.experiments.claims import claims
from t2t_multimodel.experiments.plan import DECODED_METRICS, Cell, Experiment, Scale
from t2t_multimodel.experiments.runner import RESULT, Task, best_dir, read_json
from t2t_multimodel.experiments.statistics import Mean, mean_of
from t2t_multimodel.utils.json_lines import training_seconds

# By (run, problem), one mapping of figures per seed.
Figures = Mapping[tuple[str, str], Sequence[Mapping[str, float]]]


def result_of(task: Task) -> dict[str, Any]:
    """Returns the figures of a finished run: by problem its steps and its best evaluation, and the training time in seconds."""
    rows = [json.loads(line) for line in (task.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    trained: dict[str, dict[str, float]] = {}
    best: dict[str, dict[str, Any]] = {}
    for row in rows:
        name = row["problem"]
        if row["split"] == "train":
            trained[name] = row
        elif row["split"] == "dev" and "schedule" not in row and (name not in best or row["loss"] < best[name]["loss"]):
            best[name] = row
    kept = ("step", "log_perplexity", "accuracy", "accuracy_top5", "accuracy_per_sequence", "examples")
    problems = {
        name: {key: row[key] for key in kept}
        | _decoded(best_dir(task.folder, name))
        | {key: trained[name][key] for key in ("problem_steps", "problem_examples") if key in trained[name]}
        for name, row in best.items()
    }
    seconds = training_seconds([row for row in rows if "schedule" not in row])
    return {"run": task.run.name, "seed": task.seed, "steps": task.steps, "seconds": seconds, "problems": problems}


def _decoded(folder: Path) -> dict[str, float]:
    """Returns the scores of decoded outputs that --schedule=evaluate wrote to `folder`; {} if it was not run there."""
    path = folder / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    scored = [row for row in rows if "schedule" in row]
    return {key: scored[-1][key] for key in DECODED_METRICS if key in scored[-1]} if scored else {}


def figures_of(tasks: Sequence[Task]) -> dict[tuple[str, str], list[dict[str, float]]]:
    """Returns the figures of finished tasks by (run, problem), in the order of seeds."""
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for task in sorted(tasks, key=lambda task: task.seed):
        result = read_json(task.folder / RESULT)
        for problem, figures in result["problems"].items():
            found.setdefault((task.run.name, problem), []).append(figures)
    return found


def cell_mean(cell: Cell, figures: Figures) -> Mean:
    """Returns a cell's mean over seeds."""
    return mean_of([row[cell.metric] for row in figures[cell.run, cell.problem]])


def as_json(
    scale: Scale, chosen: Sequence[Experiment], tasks: Sequence[Task], sizes: Mapping[str, Any], commit: str
) -> dict[str, Any]:
    """Returns the content of results.json: every figure of every seed, the cells' means and the claims' verdicts."""
    figures = figures_of(tasks)
    return {
        "scale": scale.name,
        "commit": commit,
        "runs": [read_json(task.folder / RESULT) for task in tasks],
        "sizes": sizes,
        "tables": {
            experiment.name: [
                {"row": cell.row, "column": cell.column, "paper": cell.paper, **_plain(cell_mean(cell, figures))}
                for cell in experiment.cells
            ]
            for experiment in chosen
        },
        "claims": [
            {"claim": claim.text, "experiment": claim.experiment, **_plain(claim.test(figures))}
            for claim in claims(scale)
            if claim.experiment in {experiment.name for experiment in chosen}
        ],
    }


def _plain(values: Any) -> dict[str, Any]:
    """Returns a named tuple as a dict, with None in place of NaN, which JSON does not have."""
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values._asdict().items()}


def write_json(path: Path, values: Mapping[str, Any]) -> bytes:
    """Returns `values` as the bytes of a JSON file."""
    return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode()
