"""The schedule of problems: it keeps no state, and each problem comes as often as its probability says."""

import collections

import numpy as np
import pytest

from t2t_multimodel.training.problem_schedule import ProblemSchedule

NAMES, SIZES, STEPS = ("translate", "parse", "caption"), (9000, 900, 100), 5000


def frequencies(schedule):
    counts = collections.Counter(schedule.at(step) for step in range(STEPS))
    return np.array([counts[name] / STEPS for name in NAMES])


SCHEDULES = [
    ("uniform", {}, [1 / 3, 1 / 3, 1 / 3]),
    ("proportional", {}, [0.9, 0.09, 0.01]),
    ("temperature", {"temperature": 2.0}, np.sqrt(SIZES) / np.sum(np.sqrt(SIZES))),
    ("temperature", {"temperature": 1.0}, [0.9, 0.09, 0.01]),
    ("adaptive", {}, [1 / 3, 1 / 3, 1 / 3]),
    ("uniform", {"weights": "caption:2"}, [0.25, 0.25, 0.5]),
    ("uniform", {"weights": "a:2 parse:0.5"}, [0.4, 0.2, 0.4]),
    ("proportional", {"weights": "caption:10"}, np.array([9000, 900, 1000]) / 10900),
]


@pytest.mark.parametrize(("kind", "options", "wanted"), SCHEDULES)
def test_problems_come_as_often_as_the_formula_says(kind, options, wanted):
    schedule = ProblemSchedule(NAMES, SIZES, kind, **options)
    np.testing.assert_allclose(schedule.probabilities, wanted, rtol=1e-12)
    wanted = np.asarray(wanted)
    assert np.all(np.abs(frequencies(schedule) - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / STEPS))


def test_round_robin_takes_turns():
    schedule = ProblemSchedule(NAMES, SIZES, "round_robin", seed=5)
    assert [schedule.at(step) for step in range(7)] == ["translate", "parse", "caption"] * 2 + ["translate"]


def test_round_robin_takes_turns_within_a_step_too():
    schedule = ProblemSchedule(NAMES, SIZES, "round_robin")
    assert [schedule.draw(step, 2) for step in range(2)] == [["translate", "parse"], ["caption", "translate"]]


@pytest.mark.parametrize(("kind", "options", "wanted"), SCHEDULES)
@pytest.mark.parametrize("count", [2, 3])
def test_several_problems_of_a_step_come_as_often_as_the_formula_says(kind, options, wanted, count):
    schedule = ProblemSchedule(NAMES, SIZES, kind, **options)
    steps = [collections.Counter(schedule.draw(step, count)) for step in range(STEPS)]
    for name, probability in zip(NAMES, wanted, strict=True):
        times = np.array([step[name] for step in steps])
        assert abs(times.mean() - count * probability) < 4 * np.sqrt(0.25 / STEPS)
        assert set(times) <= {int(count * probability + 1e-9), int(count * probability - 1e-9) + 1}


def test_as_many_equal_problems_as_a_step_draws_come_once_each():
    schedule = ProblemSchedule(NAMES, SIZES, "uniform")
    assert all(sorted(schedule.draw(step, 3)) == sorted(NAMES) for step in range(200))


def test_shares_are_adjusted_and_what_has_none_is_left_out():
    plan = ProblemSchedule(NAMES, SIZES, "proportional")
    adjusted = plan.adjusted([1.0, 0.0, 9.0])
    np.testing.assert_allclose(adjusted.probabilities, [9000 / 9900, 900 / 9900])
    assert collections.Counter(adjusted.at(step) for step in range(500)).keys() == {"translate", "caption"}
    np.testing.assert_allclose(plan.probabilities, [0.9, 0.09, 0.01])
    with pytest.raises(ValueError, match="one factor at least should be above 0"):
        plan.adjusted([0.0, 0.0, 0.0])


def test_a_problem_that_is_left_out_misses_its_turns():
    adjusted = ProblemSchedule(NAMES, SIZES, "round_robin").adjusted([1.0, 0.0, 1.0])
    assert [adjusted.at(step) for step in range(4)] == ["translate", "caption"] * 2


def test_a_choice_depends_on_seed_and_step_alone():
    forwards = ProblemSchedule(NAMES, SIZES, "uniform", seed=3)
    chosen = [forwards.at(step) for step in range(200)]
    backwards = ProblemSchedule(NAMES, SIZES, "uniform", seed=3)
    assert [backwards.at(step) for step in reversed(range(200))] == chosen[::-1]


def test_seeds_differ():
    first, second = (ProblemSchedule(NAMES, SIZES, "uniform", seed=seed) for seed in (1, 2))
    same = sum(first.at(step) == second.at(step) for step in range(300))
    assert 50 < same < 150


def test_neighbouring_steps_are_independent():
    schedule = ProblemSchedule(NAMES, SIZES, "uniform")
    chosen = [schedule.at(step) for step in range(STEPS)]
    repeats = np.mean([a == b for a, b in zip(chosen, chosen[1:], strict=False)])
    assert abs(repeats - 1 / 3) < 0.03


def test_one_problem_is_always_chosen():
    assert {ProblemSchedule(("only",), (7,), "proportional").at(step) for step in range(50)} == {"only"}


MISTAKES = [
    ("uniform", {"weights": "captoin:2"}, "no problem's name contains 'captoin'; there are: translate, parse, caption"),
    ("uniform", {"weights": "caption"}, "'caption' should be a part of a name and a positive number, as caption:2"),
    ("uniform", {"weights": "caption:0"}, "'caption:0' should be"),
    ("uniform", {"weights": "caption:-1"}, "'caption:-1' should be"),
    ("uniform", {"weights": "caption:inf"}, "'caption:inf' should be"),
    ("uniform", {"weights": "caption:nan"}, "'caption:nan' should be"),
    ("uniform", {"weights": "caption:two"}, "'caption:two' should be"),
    ("uniform", {"weights": ":2"}, "':2' should be"),
    ("round_robin", {"weights": "caption:2"}, "no meaning with problem_schedule=round_robin"),
    ("temperature", {"temperature": 0.0}, "temperature should be above 0, got 0.0"),
    ("temperature", {"temperature": -1.0}, "temperature should be above 0, got -1.0"),
]


@pytest.mark.parametrize(("kind", "options", "message"), MISTAKES)
def test_mistakes_are_named(kind, options, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        ProblemSchedule(NAMES, SIZES, kind, **options)


def test_the_temperature_does_not_matter_to_other_schedules():
    assert ProblemSchedule(NAMES, SIZES, "uniform", temperature=0.0).at(0) in NAMES
