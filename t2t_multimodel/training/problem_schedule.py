"""The schedule of problems: it chooses the problems that each step trains.

The choice depends on the seed, the step and the decisions of evaluations (training/decisions.py) alone. A resumed run therefore
trains the same problems as an uninterrupted one.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np


class ProblemSchedule:
    """Chooses one or more problems for each step.

    Args:
        names: the problems' names.
        sizes: their numbers of training examples.
        kind: "uniform", "proportional", "temperature", "round_robin", "adaptive" (which begins as "uniform"), or
            "worker_per_problem", where a problem's next step begins when its last one has ended (training/async_trainer.py).
        temperature: with "temperature", a probability is proportional to size ** (1 / temperature).
        weights: "part_of_a_name:factor ...", factors on the probabilities; not with "round_robin" and "worker_per_problem",
            which have no probabilities.
        seed: seed of the choice.

    Raises:
        ValueError: `weights` name no problem, are no positive numbers, or are given without probabilities; or `temperature` is
            not above 0.
    """

    def __init__(
        self, names: Sequence[str], sizes: Sequence[int], kind: str, temperature: float = 1.0, weights: str = "", seed: int = 0
    ) -> None:
        if kind in ("round_robin", "worker_per_problem") and weights:
            raise ValueError(f"problem_weights have no meaning with problem_schedule={kind}")
        if kind == "temperature" and not temperature > 0:
            raise ValueError(f"temperature should be above 0, got {temperature}")
        inverse = 1.0 / temperature if kind == "temperature" else 0.0
        exponent = {"proportional": 1.0, "temperature": inverse}.get(kind, 0.0)
        rates = np.asarray(sizes, np.float64) ** exponent * _factors(names, weights)
        self.probabilities = rates / rates.sum()
        self._kind = kind
        self._seed = seed
        self._names = tuple(names)

    def adjusted(self, factors: Sequence[float]) -> ProblemSchedule:
        """Returns the schedule with each problem's probability multiplied by its factor; 0 leaves the problem out.

        Raises:
            ValueError: no factor is above 0.
        """
        if not any(factor > 0 for factor in factors):
            raise ValueError(f"one factor at least should be above 0, got {list(factors)}")
        other = copy.copy(self)
        left = [i for i, factor in enumerate(factors) if factor]
        other._names = tuple(self._names[i] for i in left)
        rates = (self.probabilities * factors)[left]
        other.probabilities = rates / rates.sum()
        return other

    def at(self, step: int) -> str:
        """Returns the problem of step `step`, counted from 0, in a schedule of one problem per step."""
        return self.draw(step, 1)[0]

    def draw(self, step: int, count: int) -> list[str]:
        """Returns the `count` problems of step `step`, counted from 0.

        They are a systematic sample: one random number places `count` marks at equal distances. Each problem comes as often as
        its probability says. A problem with a probability of at most 1 / count comes at most once per step.
        """
        if self._kind == "round_robin":
            return [self._names[i % len(self._names)] for i in range(step * count, (step + 1) * count)]
        first = np.random.Generator(np.random.Philox(key=self._seed, counter=step)).random()
        marks = (first + np.arange(count)) / count
        indices = np.searchsorted(np.cumsum(self.probabilities), marks, side="right")
        return [self._names[min(int(i), len(self._names) - 1)] for i in indices]


def _factors(names: Sequence[str], weights: str) -> np.ndarray:
    factors = np.ones(len(names))
    for item in weights.split():
        part, _, value = item.partition(":")
        matching = [i for i, name in enumerate(names) if part in name]
        if not matching:
            raise ValueError(f"problem_weights: no problem's name contains {part!r}; there are: {', '.join(names)}")
        try:
            factor = float(value)
        except ValueError:
            factor = 0.0
        if not part or not 0 < factor < float("inf"):
            raise ValueError(f"problem_weights: {item!r} should be a part of a name and a positive number, as caption:2")
        factors[matching] *= factor
    return factors
