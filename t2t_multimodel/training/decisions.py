"""Decisions by evaluations on dev: which problems stop early, their shares of the steps, and which checkpoints are the best.

All decisions are functions of the evaluations so far, which every checkpoint holds. So a resumed run decides as an uninterrupted
one. A checkpoint is written before its step is evaluated; a file beside the newest checkpoint records that evaluation.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from t2t_multimodel.config import TrainingConfig
from t2t_multimodel.training.problem_schedule import ProblemSchedule
from t2t_multimodel.utils.files import write_atomically

RECORD_NAME = "evaluations.json"
MEAN = "mean"
LEAST_FACTOR = 0.01  # of an adaptive share, so that a problem that has been learned is still trained sometimes
_KEPT = ("loss", "accuracy", "accuracy_per_sequence")


class Best(NamedTuple):
    """The step and the value of the best evaluation so far."""

    step: int
    value: float


class Decisions:
    """Collects evaluations and makes the decisions that follow from them.

    Args:
        names: the run's problems. A problem that is never evaluated never stops and keeps its share.
        config: of which dev_metric, keep_best, early_stop_patience, early_stop_min_delta, problem_schedule and adaptive_power
            are read.
    """

    def __init__(self, names: Sequence[str], config: TrainingConfig) -> None:
        self._names = tuple(names)
        self._config = config
        self._evaluations: list[tuple[int, dict[str, dict[str, float]]]] = []

    @property
    def text(self) -> str:
        """Returns all evaluations as text, for a checkpoint. Assigning such a text replaces them; "" means none."""
        return json.dumps(self._evaluations) if self._evaluations else ""

    @text.setter
    def text(self, text: str) -> None:
        self._evaluations = [(step, figures) for step, figures in json.loads(text or "[]")]

    def add(self, step: int, metrics: Mapping[str, Mapping[str, float]]) -> list[str]:
        """Adds the metrics of each evaluated problem after `step` steps; returns a line for each problem that they stop."""
        before = self.stopped
        self._evaluations.append((step, {name: {key: row[key] for key in _KEPT} for name, row in metrics.items()}))
        c = self._config
        reason = f"no better dev {c.dev_metric} in {c.early_stop_patience} evaluations"
        return [f"step {step} {name}: {reason}, it is trained no more" for name in self._names if name in self.stopped - before]

    def has(self, step: int) -> bool:
        """Returns whether `step` has been evaluated."""
        return any(number == step for number, _ in self._evaluations)

    @property
    def stopped(self) -> frozenset[str]:
        """Returns the problems whose dev_metric did not improve by early_stop_min_delta in early_stop_patience evaluations.

        A problem that has stopped does not begin again.
        """
        c = self._config
        if not c.early_stop_patience:
            return frozenset()
        return frozenset(n for n in self._names if _has_stopped(self._scores(n), c.early_stop_patience, c.early_stop_min_delta))

    @property
    def finished(self) -> bool:
        """Returns whether every problem has stopped."""
        return len(self.stopped) == len(self._names)

    def schedule(self, plan: ProblemSchedule) -> ProblemSchedule:
        """Returns `plan` without the stopped problems and, if problem_schedule is "adaptive", with adaptive shares.

        An adaptive share is multiplied by (dev loss / dev loss of the first evaluation) ** adaptive_power. This is the relative
        inverse training rate of GradNorm (arXiv 1711.02257, section 3.1), which is larger for problems that learn more slowly.
        GradNorm weights gradients with it; here it decides how often a problem is trained.
        """
        stopped = self.stopped
        if self.finished:
            return plan
        adaptive = self._config.problem_schedule == "adaptive"
        return plan.adjusted([0.0 if name in stopped else self._factor(name) if adaptive else 1.0 for name in self._names])

    def best(self) -> dict[str, Best]:
        """Returns the best evaluations that keep_best asks for, by problem, with the mean over all problems as "mean"."""
        kind = self._config.keep_best
        series = {MEAN: self._mean_scores()} if kind in ("all", "mean") else {}
        if kind in ("all", "problems"):
            series |= {name: self._scores(name) for name in self._names}
        return {name: _best_of(scores) for name, scores in series.items() if scores}

    def is_best(self, step: int) -> bool:
        """Returns whether the checkpoint of `step` is one of the best that are kept."""
        return any(best.step == step for best in self.best().values())

    def _scores(self, name: str) -> list[tuple[int, float]]:
        """Returns (step, score) for each evaluation with a finite score: the dev_metric, negative for the loss."""
        rows = [(step, _score(figures[name], self._config.dev_metric)) for step, figures in self._evaluations if name in figures]
        return [(step, score) for step, score in rows if math.isfinite(score)]

    def _mean_scores(self) -> list[tuple[int, float]]:
        metric = self._config.dev_metric
        sums = [(step, [_score(row, metric) for row in figures.values()]) for step, figures in self._evaluations if figures]
        return [(step, sum(scores) / len(scores)) for step, scores in sums if math.isfinite(sum(scores))]

    def _factor(self, name: str) -> float:
        losses = [figures[name]["loss"] for _, figures in self._evaluations if name in figures]
        losses = [loss for loss in losses if math.isfinite(loss) and loss > 0]
        return max(losses[-1] / losses[0], LEAST_FACTOR) ** self._config.adaptive_power if losses else 1.0


def save_record(output_dir: Path, step: int, evaluations: str) -> None:
    """Writes the evaluations of a run up to `step`, as `Decisions.text` gives them."""
    write_atomically(output_dir / RECORD_NAME, (json.dumps({"step": step, "evaluations": evaluations}) + "\n").encode())


def forget_record(output_dir: Path) -> None:
    """Removes the record of an earlier run, for a run that starts from the beginning in its folder."""
    (output_dir / RECORD_NAME).unlink(missing_ok=True)


def with_record(output_dir: Path, step: int, evaluations: str) -> str:
    """Returns the evaluations of a restored checkpoint, with the evaluation of `step` itself if it was finished after saving.

    A record that is of another step, or does not continue `evaluations`, is ignored.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads((output_dir / RECORD_NAME).read_text(encoding="utf-8"))
        known = json.loads(record["evaluations"])
        if record["step"] == step and known[:-1] == json.loads(evaluations or "[]"):
            return str(record["evaluations"])
    return evaluations


def _score(figures: Mapping[str, float], metric: str) -> float:
    return -figures["loss"] if metric == "loss" else figures[metric]


def _best_of(scores: Sequence[tuple[int, float]]) -> Best:
    """Returns the first evaluation with the highest score."""
    step, score = max(scores, key=lambda row: (row[1], -row[0]))
    return Best(step, abs(score))


def _has_stopped(scores: Sequence[tuple[int, float]], patience: int, min_delta: float) -> bool:
    best, without = -math.inf, 0
    for _, score in scores:
        better = score > best + min_delta
        best, without = (score, 0) if better else (best, without + 1)
        if without >= patience:
            return True
    return False
