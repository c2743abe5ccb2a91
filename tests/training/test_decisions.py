"""Decisions against values worked out by hand: which problems stop and when, adaptive shares, the best evaluations."""

import math

import numpy as np
import pytest

from t2t_multimodel.config import TrainingConfig
from t2t_multimodel.training.decisions import Best, Decisions
from t2t_multimodel.training.problem_schedule import ProblemSchedule

NAMES = ("a", "b")


def measures(loss, accuracy=0.5):
    return {"loss": loss, "accuracy": accuracy, "accuracy_per_sequence": accuracy / 2, "examples": 7.0}


def decided(rows, **settings):
    """Returns the decisions after evaluations of "a" and "b" every 10 steps; `rows` have their losses or (loss, accuracy)."""
    decisions = Decisions(NAMES, TrainingConfig(**settings))
    for i, row in enumerate(rows, start=1):
        there = {name: np.atleast_1d(figures).tolist() for name, figures in zip(NAMES, row, strict=True) if figures is not None}
        decisions.add(10 * i, {name: measures(*figures) for name, figures in there.items()})
    return decisions


CASES = [
    ([5, 4, 4, 4], {"early_stop_patience": 2}, 4),
    ([5, 4, 4, 3, 4], {"early_stop_patience": 2}, None),
    ([5, 4, 4, 4, 3], {"early_stop_patience": 2}, 4),
    ([5.0, 4.95, 4.92], {"early_stop_patience": 2, "early_stop_min_delta": 0.1}, 3),
    ([5.0, 4.95, 4.85], {"early_stop_patience": 2, "early_stop_min_delta": 0.1}, None),
    ([5, 6, 7, 8], {}, None),
    ([(5, 0.1), (6, 0.2), (7, 0.3)], {"early_stop_patience": 1, "dev_metric": "accuracy"}, None),
    ([(5, 0.1), (4, 0.2), (3, 0.2)], {"early_stop_patience": 1, "dev_metric": "accuracy_per_sequence"}, 3),
    ([5, math.nan, math.nan, 4], {"early_stop_patience": 2}, None),
]


@pytest.mark.parametrize(("figures", "settings", "stops_at"), CASES)
def test_a_problem_stops_after_as_many_evaluations_without_a_better_one_as_patience_has(figures, settings, stops_at):
    for seen in range(1, len(figures) + 1):
        rows = [(row, (10 - i, 0.01 * i)) for i, row in enumerate(figures[:seen])]
        wanted = frozenset("a" if stops_at and seen >= stops_at else "")
        assert decided(rows, **settings).stopped == wanted, seen


def test_a_stop_is_told_once():
    decisions = Decisions(NAMES, TrainingConfig(early_stop_patience=1))
    told = [decisions.add(step, {"a": measures(3.0), "b": measures(1.0 / step)}) for step in (10, 20, 30)]
    assert told == [[], ["step 20 a: no better dev loss in 1 evaluations, it is trained no more"], []]


def test_all_have_finished_when_each_has_stopped():
    assert not decided([(1, 1), (1, 0.5)], early_stop_patience=1).finished
    assert decided([(1, 1), (1, 0.5), (1, 0.5)], early_stop_patience=1).finished


def test_a_problem_that_is_not_evaluated_never_stops():
    assert decided([(1, None), (1, None)], early_stop_patience=1).stopped == {"a"}


PLAN = ProblemSchedule(NAMES, (5, 5), "adaptive", weights="a:3")


def test_shares_follow_how_much_of_the_first_loss_is_left():
    shares = decided([(8, 4), (9, 9), (4, 1)], problem_schedule="adaptive", adaptive_power=2.0).schedule(PLAN).probabilities
    np.testing.assert_allclose(shares, np.array([3 * (4 / 8) ** 2, (1 / 4) ** 2]) / (3 * 0.25 + 0.0625))


def test_shares_are_the_plans_before_an_evaluation_and_without_adaptation():
    np.testing.assert_allclose(decided([], problem_schedule="adaptive").schedule(PLAN).probabilities, [0.75, 0.25])
    np.testing.assert_allclose(decided([(8, 4), (4, 1)]).schedule(PLAN).probabilities, [0.75, 0.25])


def test_what_is_learned_keeps_a_small_share():
    shares = decided([(8, 4), (8, 0)], problem_schedule="adaptive").schedule(PLAN).probabilities
    np.testing.assert_allclose(shares, [0.75, 0.25], err_msg="a loss of 0 tells nothing")
    shares = decided([(8, 4), (8, 1e-9)], problem_schedule="adaptive").schedule(PLAN).probabilities
    np.testing.assert_allclose(shares, np.array([3, 0.01]) / 3.01)


def test_the_share_of_what_has_stopped_goes_to_the_others():
    schedule = decided([(8, 4), (8, 1)], problem_schedule="adaptive", early_stop_patience=1).schedule(PLAN)
    assert {schedule.at(step) for step in range(50)} == {"b"}


def test_the_best_are_those_of_the_mean_and_of_each_problem():
    decisions = decided([(4, 8), (3, 5), (5, 1), (3, 1)])
    assert decisions.best() == {"mean": Best(40, 2.0), "a": Best(20, 3.0), "b": Best(30, 1.0)}
    assert [decisions.is_best(step) for step in (10, 20, 30, 40)] == [False, True, True, True]


@pytest.mark.parametrize(("kind", "names"), [("none", set()), ("mean", {"mean"}), ("problems", {"a", "b"})])
def test_which_best_are_kept_is_a_choice(kind, names):
    assert decided([(4, 8)], keep_best=kind).best().keys() == names


def test_the_best_accuracy_is_the_highest_and_no_number_is_never_the_best():
    rows = [((4, 0.3), (4, math.nan)), ((4, 0.6), (4, 0.2)), ((4, math.nan), (4, 0.1))]
    best = decided(rows, dev_metric="accuracy").best()
    assert (best["a"], best["b"]) == (Best(20, 0.6), Best(20, 0.2))
    assert best["mean"] == Best(20, pytest.approx(0.4))


def test_evaluations_come_back_from_their_text():
    first = decided([(0.1 + 0.2, 1 / 3), (1e-17, math.nan)], early_stop_patience=1)
    again = Decisions(NAMES, TrainingConfig(early_stop_patience=1))
    again.text = first.text
    assert (again.text, again.stopped, again.best()) == (first.text, first.stopped, first.best())
    again.text = ""
    assert again.best() == {} and again.text == ""
