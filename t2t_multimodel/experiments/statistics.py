"""Means over seeds with their intervals, and paired tests (scipy)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy import stats

LEVEL = 0.95


class Mean(NamedTuple):
    """A mean over seeds and half the width of its 95% interval by Student's t; NaN for fewer than two seeds."""

    value: float
    half_width: float
    seeds: int


def mean_of(values: Sequence[float]) -> Mean:
    """Returns the mean of `values`, one per seed."""
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return Mean(mean, math.nan, count)
    return Mean(mean, float(stats.t.ppf((1 + LEVEL) / 2, count - 1) * stats.sem(values)), count)


class Verdict(NamedTuple):
    """A test's verdict on a claim: "holds", "refuted" or "undecided", the test's name, and its p-value (NaN: too few seeds)."""

    verdict: str
    test: str
    p: float


def better(first: Sequence[float], second: Sequence[float]) -> Verdict:
    """Tests whether `first` is above `second`, seed by seed: two-sided paired t-test at 5%."""
    name = "paired t-test, two-sided, 5%"
    differences = [a - b for a, b in zip(first, second, strict=True)]
    if len(differences) < 2:
        return Verdict("undecided", name, math.nan)
    if len(set(differences)) == 1:  # without spread the test's statistic is infinite, or undefined for equal values
        sign = differences[0]
        return Verdict("holds" if sign > 0 else "refuted" if sign < 0 else "undecided", name, 0.0 if sign else 1.0)
    p = float(stats.ttest_rel(first, second).pvalue)
    if p >= 1 - LEVEL:
        return Verdict("undecided", name, p)
    return Verdict("holds" if math.fsum(differences) > 0 else "refuted", name, p)


def not_worse(first: Sequence[float], second: Sequence[float], margin: float) -> Verdict:
    """Tests whether `first` is at most `margin` below `second`, seed by seed: one-sided paired t-test of non-inferiority at 5%.

    The claim is refuted if the same test finds `first` more than `margin` below.
    """
    name = f"paired t-test of non-inferiority, margin {margin:g}, one-sided, 5%"
    above = [a - b + margin for a, b in zip(first, second, strict=True)]
    if len(above) < 2:
        return Verdict("undecided", name, math.nan)
    if len(set(above)) == 1:
        return Verdict("holds" if above[0] > 0 else "refuted" if above[0] < 0 else "undecided", name, 0.0 if above[0] else 1.0)
    p = float(stats.ttest_1samp(above, 0.0, alternative="greater").pvalue)
    if p < 1 - LEVEL:
        return Verdict("holds", name, p)
    return Verdict("refuted" if p > LEVEL else "undecided", name, p)
