"""Runs whose schedules end by the clock, which the steps move: the loop, killed runs, repeated runs, and what is said."""

import types

import pytest
from pretended_training import saved, written

from t2t_multimodel.training import step_times, timetable
from t2t_multimodel.training import trainer as module
from t2t_multimodel.training.step_plan import StepPlan

SETTINGS = (
    "learning_rate_schedule=cosine,warmup_steps=10,train_steps=5,eval_every=1000,save_minutes=0,keep_checkpoints=9,"
    "eval_steps=1,keep_best=none"
)


@pytest.fixture
def make_run(make_trainer, monkeypatch, tmp_path):
    """Returns a trainer whose steps take `pace(step)` seconds, with a decision every four steps."""

    def make(pace, at=None, name="run"):
        monkeypatch.setattr(timetable, "DECIDE_EVERY", 4)
        monkeypatch.setattr(timetable, "FIRST_DECISION", 4)
        monkeypatch.setattr(step_times, "COUNTED", 4)
        clock = types.SimpleNamespace(monotonic=lambda: clock.now, now=0.0)
        monkeypatch.setattr(module, "time", clock)

        def moves(step):
            clock.now += pace(step)
            (at or {}).get(step, lambda: None)()

        moved = {step: lambda step=step: moves(step) for step in range(1, 200)}
        return make_trainer(SETTINGS, at=moved, output_dir=tmp_path / name)[0]

    return make


def rates(trainer):
    return [rate for _, rate, _ in trainer.steps.trained]


def evaluated(folder):
    return sorted({row["step"] for row in written(folder) if row["split"] == "dev"})


class Killed(Exception):
    pass


def kill():
    raise Killed


def test_a_run_by_the_clock_goes_on_after_a_kill_and_its_plan_repeats_it_at_another_speed(make_run, tmp_path, capsys):
    first = make_run(lambda step: 1.0, {10: kill})
    with pytest.raises(Killed):
        first.train(seconds=16, by_clock=True)
    assert saved(tmp_path / "run") == [4, 8]
    second = make_run(lambda step: 1.0)
    assert second.train(seconds=16, by_clock=True) == 16
    assert saved(tmp_path / "run") == evaluated(tmp_path / "run") == [4, 8, 12, 16]
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("16.7 minutes per 1,000 steps on this machine, evaluations left out; 0 min") for line in lines)
    assert lines[-1].startswith("the 0.266667 minutes are over at step 16, and the learning rate is at the end of its schedule; ")

    again = make_run(lambda step: 5.0, name="again")
    assert again.train(until=16, planned=StepPlan.parse(str(second.plan))) == 16
    assert again.steps.trained == first.steps.trained[:8] + second.steps.trained and second.steps.trained[0][2] == 9
    assert max(rates(again)) > 0.009 > 0.0005 > rates(again)[-1]
    assert evaluated(tmp_path / "again") == [4, 8, 12, 16]
