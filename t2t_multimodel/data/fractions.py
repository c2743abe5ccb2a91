"""The parts of the problems' training data that a run uses, by the hyperparameter train_fractions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from t2t_multimodel.config import HParams
from t2t_multimodel.data.records import read_manifest
from t2t_multimodel.problem import Problem


def shard_examples(problem: Problem, data_dir: Path | str, hparams: HParams) -> list[int]:
    """Returns how many training examples of each shard are used: its first ones, rounded up.

    mm-datagen shuffles train splits as a whole, so they are a random sample, and a larger fraction holds all of a smaller one.

    Raises:
        ValueError: train_fractions has another form.
    """
    fraction = _fraction(problem.name, hparams.data.train_fractions)
    shards = read_manifest(data_dir, problem.records_name)["splits"]["train"]["shards"]
    # Rounding first keeps 0.1 of 30 examples from being 4.
    return [math.ceil(round(shard["examples"] * fraction, 6)) for shard in shards]


def check_fractions(names: Sequence[str], fractions: str) -> None:
    """Raises ValueError if an item of `fractions` has another form or fits none of the problems `names`."""
    for part, _ in _items(fractions):
        if not any(part in name for name in names):
            raise ValueError(f"train_fractions: no problem's name contains {part!r}; there are: {', '.join(names)}")


def fraction_lines(problems: Sequence[Problem], data_dir: Path, hparams: HParams) -> list[str]:
    """Returns a line for each problem of which only a part is used."""
    lines = []
    for problem in problems:
        used = sum(shard_examples(problem, data_dir, hparams))
        there = read_manifest(data_dir, problem.records_name)["splits"]["train"]["examples"]
        if used < there:
            lines.append(f"{problem.name}: train_fractions uses {used:,} of {there:,} training examples")
    return lines


def _fraction(name: str, fractions: str) -> float:
    """Returns the fraction of a problem: that of the last item whose part its name contains, or 1."""
    return next((value for part, value in reversed(_items(fractions)) if part in name), 1.0)


def _items(fractions: str) -> list[tuple[str, float]]:
    found = []
    for item in fractions.split():
        part, _, value = item.partition(":")
        try:
            fraction = float(value)
        except ValueError:
            fraction = 0.0
        if not part or not 0 < fraction <= 1:
            raise ValueError(f"train_fractions: {item!r} should be a part of a name and a number above 0 up to 1, as parse:0.1")
        found.append((part, fraction))
    return found
