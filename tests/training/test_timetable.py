"""Schedules by the clock: how many steps they count on, when a run is evaluated, what a checkpoint keeps, what is said."""

import datetime
import types

import pytest

from t2t_multimodel.config import HParams
from t2t_multimodel.training.step_plan import StepPlan
from t2t_multimodel.training.step_times import COUNTED, StepTimes
from t2t_multimodel.training.timetable import Timetable
from t2t_multimodel.utils.errors import DataError

CONFIG = HParams().override("learning_rate=1,learning_rate_schedule=cosine,warmup_steps=400,final_learning_rate=0").training
ALONE = types.SimpleNamespace(is_chief=True, total=list)


class Run:
    """A run whose steps take `pace(step)` seconds by a clock that only they, and evaluations, move."""

    def __init__(self, seconds, step=0, saved="", evaluation=5.0, **options):
        self.now, self.step, self.evaluation = 0.0, step, evaluation
        self.timetable = Timetable(CONFIG, seconds, by_clock=True, now=lambda: self.now, **options)
        self.begun = self.timetable.begin(step, saved)
        self.rates, self.evaluated, self.lines = [], [], []

    def go(self, pace, until=10**6):
        while self.timetable.left > 0 and self.step < until:
            self.rates.append(self.timetable.learning_rate(self.step))
            self.step += 1
            self.now += pace(self.step)
            self.timetable.times.add(pace(self.step))
            self.lines.append(self.timetable.decide(self.step, ALONE))
            if self.timetable.evaluates(self.step):
                self.evaluated.append(self.step)
                self.now += self.evaluation
                self.timetable.evaluated(self.step, self.evaluation)
        return self


def traced(step):
    return 40.0 if step in (1, 3) else 1.0


@pytest.mark.parametrize("pace", [traced, lambda step: 1.0 if step < 200 else 3.0], ids=["traced", "slower"])
def test_the_rate_warms_up_and_falls_to_its_end_when_the_time_is_over(pace):
    run = Run(600).go(pace)
    peak = max(run.rates)
    assert peak > 0.95 and run.rates[-1] < 0.03
    assert 0.05 < run.rates.index(peak) / len(run.rates) < 0.25
    assert all(after < before + 0.25 for before, after in zip(run.rates, run.rates[1:], strict=False))
    assert 3 <= len(run.evaluated) <= 4
    assert len(run.timetable.plan.totals) < 12


def test_a_plan_repeats_rates_and_evaluations_without_a_clock():
    run = Run(600).go(traced)
    again = Run(0, planned=StepPlan.parse(str(run.timetable.plan)))
    again.go(lambda step: 77.0, until=run.step)
    assert (again.rates, again.evaluated) == (run.rates, run.evaluated)
    assert str(again.timetable.plan) == str(run.timetable.plan)


def test_the_time_that_killed_processes_used_counts():
    whole = Run(600).go(traced)
    first = Run(600).go(traced, until=200)
    second = Run(600, 200, first.timetable.text)
    assert second.timetable.left == first.timetable.left
    second.go(lambda step: traced(step - 200))
    assert first.rates + second.rates[:20] == whole.rates[:220]
    assert second.step < whole.step and second.rates[-1] < 0.03
    over = Run(600, second.step, second.timetable.text)
    assert over.timetable.left <= 0
    assert "the 10 minutes are over at step 600, and the learning rate is at the end" in over.timetable.end_line(600, 10**9)
    assert "over at step 1, before the learning rate could rise" in Run(600).timetable.end_line(1, 10**9)
    more = Run(1200, second.step, second.timetable.text).go(lambda step: 1.0, until=second.step + 40)
    assert 0.5 < more.rates[-1] < 0.75  # the schedule's middle, after it had come to its end


def test_a_run_of_steps_goes_on_by_steps_and_one_by_the_clock_may_change_to_steps():
    old = Run(600, 50, "")
    assert "began without a schedule by the clock: it is trained for 10 minutes" in old.begun
    assert not old.timetable.by_clock and old.timetable.learning_rate(99) == 0.25 and old.timetable.text == ""
    first = Run(600).go(traced, until=200)
    by_steps = Timetable(CONFIG)
    assert "train_steps=100,000 from here on" in by_steps.begin(200, first.timetable.text)
    assert by_steps.learning_rate(100) == first.rates[100] and by_steps.learning_rate(200) == 201 / 400
    assert "200:100000" in by_steps.text


def test_another_plan_than_the_run_followed_is_refused():
    first = Run(600).go(traced, until=200)
    with pytest.raises(DataError, match="did not follow these planned_steps until step 200"):
        Timetable(CONFIG, planned=StepPlan([(10, 99)])).begin(200, first.timetable.text)


def test_evaluations_that_take_long_are_left_out_and_said():
    run = Run(600, evaluation=100.0).go(lambda step: 1.0)
    assert len(run.evaluated) == 1
    reason = (
        "no evaluation here: with 100 s more, evaluations would take over a fifth of the time; the run is evaluated at its end"
    )
    assert any(reason in line for line in run.lines)


def test_an_evaluation_waits_for_steps_under_way():
    timetable = Run(600).go(lambda step: 1.0, until=159).timetable
    timetable.decide(160, ALONE, may_evaluate=False)
    assert timetable.evaluation_is_due and not timetable.evaluates(160)
    timetable.decide(161, ALONE)
    assert timetable.evaluates(161) and timetable.next_stop(160) == 161 and timetable.next_stop(161) == 2000


def test_all_workers_decide_by_the_clock_of_the_chief():
    chief, other = Run(600).go(traced, until=19), Run(600).go(lambda step: 9.0, until=19)
    told = []
    chief.timetable.decide(20, types.SimpleNamespace(is_chief=True, total=lambda values: told.append(values) or values))
    other.timetable.decide(
        20, types.SimpleNamespace(is_chief=False, total=lambda values: [a + b for a, b in zip(values, told[0], strict=True)])
    )
    assert chief.timetable.plan.total(20) == other.timetable.plan.total(20) == 549


def test_plans_are_texts():
    text = "10:980 20:1041 260:evaluate 300:990"
    plan = StepPlan.parse(text)
    assert str(plan) == text and str(plan.until(260)) == "10:980 20:1041" and plan.until(261).evaluations == [260]
    assert [plan.total(step) for step in (9, 10, 299, 300)] == [None, 980, 1041, 990]
    for wrong in ("10", "10:a", "20:5 10:5", "10:5:6"):
        with pytest.raises(ValueError, match="must be as 10:980 20:1041 260:evaluate, with growing steps, got"):
            StepPlan.parse(wrong)


def test_the_speed_leaves_out_steps_that_were_traced():
    times = StepTimes()
    counted = [times.add(30.0 if i in (0, 5) else 0.6 + 0.2 * (i % 2)) for i in range(COUNTED + 3)]
    assert counted.index(True) == COUNTED - 1 and sum(counted) == 1
    assert times.typical == pytest.approx(0.7, abs=0.02) and times.tracing == pytest.approx(58.6, abs=0.1)
    noon = datetime.datetime(2026, 3, 1, 12)
    assert (
        times.line(5400, noon) == "11.7 minutes per 1,000 steps on this machine, evaluations left out; 90 min left, until 13:30"
    )
    assert times.line(86400 * 3, noon).endswith("3 days left, until 04 March 12:00")
