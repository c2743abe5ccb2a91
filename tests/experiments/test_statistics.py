"""Means with intervals and paired tests agree with figures computed by hand."""

import math

import pytest

from t2t_multimodel.experiments.statistics import better, mean_of, not_worse


def test_a_mean_has_students_interval():
    mean = mean_of([1.0, 2.0, 3.0])
    # t(0.975, 2) = 4.3027; standard error = 1 / sqrt(3)
    assert mean.value == pytest.approx(2.0) and mean.half_width == pytest.approx(4.30265 / math.sqrt(3), rel=1e-4)
    alone = mean_of([0.5])
    assert alone.value == 0.5 and math.isnan(alone.half_width)


def test_a_difference_that_every_seed_shows_is_decided_in_its_direction():
    first, second = [0.71, 0.73, 0.72, 0.74], [0.61, 0.64, 0.60, 0.63]
    assert better(first, second).verdict == "holds"
    assert better(second, first).verdict == "refuted"
    # differences 0.10, 0.09, 0.12, 0.11: t = 0.105 / (0.0129 / 2) = 16.27
    assert better(first, second).p == pytest.approx(0.00050, rel=0.05)


@pytest.mark.parametrize("first, second", [([0.7], [0.5]), ([0.7, 0.5], [0.5, 0.7]), ([0.5, 0.5], [0.5, 0.5])])
def test_too_few_seeds_or_no_difference_decide_nothing(first, second):
    assert better(first, second).verdict == "undecided"


def test_equal_differences_without_spread_are_decided_by_their_sign():
    assert better([0.5, 0.75], [0.25, 0.5]).verdict == "holds"
    assert better([0.25, 0.5], [0.5, 0.75]).verdict == "refuted"


def test_not_worse_allows_the_margin_and_no_more():
    second = [0.70, 0.71, 0.72, 0.70]
    assert not_worse([0.695, 0.706, 0.714, 0.696], second, 0.02).verdict == "holds"
    assert not_worse([0.60, 0.62, 0.61, 0.60], second, 0.02).verdict == "refuted"
    assert not_worse([0.60, 0.80, 0.61, 0.79], second, 0.02).verdict == "undecided"
    assert not_worse([0.5], [0.5], 0.02).verdict == "undecided"
