"""Means of training metrics over the last steps, which are written between evaluations."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from t2t_multimodel.training.metrics_writer import MetricsWriter
from t2t_multimodel.training.steps import StepResult


class RunningMeans:
    """Collects each problem's training metrics and writes their means at every flush.

    Args:
        step: the number of steps done before.
    """

    def __init__(self, step: int) -> None:
        self._rows: dict[str, list[list[float]]] = {}
        self._shares: dict[str, list[np.ndarray]] = {}
        self._since = time.monotonic()
        self._step = step

    def add(self, problem: str, result: StepResult) -> None:
        """Adds the result of a step of `problem`."""
        figures = (
            result.loss,
            result.gradient_norm,
            result.tokens,
            result.load_cv,
            result.importance_cv,
            result.dropped_fraction,
        )
        self._rows.setdefault(problem, []).append([float(figure) for figure in figures])
        self._shares.setdefault(problem, []).append(np.asarray(result.expert_load))

    def flush(self, step: int, rate: float, trained: Mapping[str, Mapping[str, int]], writer: MetricsWriter) -> None:
        """Writes the means since the last flush, and begins new ones.

        Args:
            step: the number of steps done.
            rate: the learning rate of the last step.
            trained: by problem, values that are written as they are: what it was trained on so far.
            writer: writes the means.
        """
        seconds = max(time.monotonic() - self._since, 1e-9)
        tokens = sum(row[2] for rows in self._rows.values() for row in rows)
        speed = {"target_tokens_per_second": tokens / seconds, "steps_per_second": (step - self._step) / seconds}
        shares = {problem: np.mean(each, axis=0) for problem, each in self._shares.items()}
        for problem, rows in self._rows.items():
            loss, norm, _, load_cv, importance_cv, dropped = np.mean(rows, axis=0)
            metrics = {"loss": loss, "gradient_norm": norm, "learning_rate": rate, **trained[problem], **speed}
            health = {"expert_load_cv": load_cv, "expert_importance_cv": importance_cv, "expert_dropped_fraction": dropped}
            few = shares[problem].ravel() if shares[problem].size <= 64 else []
            loads = {f"expert_load/{i}": float(share) for i, share in enumerate(few)}
            writer.write(step, problem, "train", {name: float(value) for name, value in (metrics | health | loads).items()})
        writer.write_expert_load(step, {problem: values for problem, values in shares.items() if values.size})
        self._rows, self._shares, self._since, self._step = {}, {}, time.monotonic(), step
