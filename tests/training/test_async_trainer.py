"""The asynchronous loop with fake steps: which steps are under way at once, what is counted and saved, and when a run ends."""

import itertools
import json
import os
import signal
import threading
import time
import types

import pytest
import tensorflow as tf
from pretended_training import FakeModel, saved

from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.testing import fake_problem
from t2t_multimodel.training import async_trainer, timetable
from t2t_multimodel.training import trainer as trainer_module
from t2t_multimodel.training.async_trainer import AsynchronousTrainer
from t2t_multimodel.training.metrics import MetricSums
from t2t_multimodel.training.steps import StepFunctions, StepResult
from t2t_multimodel.utils.errors import NotFinite

PROBLEMS = [fake_problem(name, [{"inputs": "abc"[: i % 3 + 1], "targets": "xyz"} for i in range(12)]) for name in ("a", "b", "c")]


class FakeServers:
    """A cluster of `num_workers` workers that compute nothing."""

    strategy = tf.distribute.get_strategy()
    coordinator = None

    def __init__(self, num_workers):
        self.num_workers, self.reports = num_workers, 0

    def report_lost(self, report):
        self.reports += 1


class FakeSteps:
    """Fake steps that take `seconds` and call at[step]; `begun` has (problem, step, problems under way then), in order."""

    def __init__(self, model, seconds=0.0, losses=None, at=None):
        self.model, self.seconds, self.losses, self.at = model, seconds, losses or {}, at or {}
        self.begun, self.under_way, self.lock = [], [], threading.Lock()

    def train(self, name, batch, rate, step):
        with self.lock:
            self.under_way.append(name)
            self.begun.append((name, step, sorted(self.under_way)))
        self.at.get(step, lambda: None)()
        time.sleep(self.seconds)
        with self.lock:
            self.under_way.remove(name)
            self.model.number.assign_add(1.0)
        return StepResult(*map(tf.constant, (self.losses.get(step, 0.5), 0.5, 10.0, 0.3, 0.4, [[0.25, 0.75]])))

    def evaluate(self, name, batch):
        assert not self.under_way
        return MetricSums(*map(tf.constant, (6.0, 2.0, 3.0, 4.0, 1.0, 2.0)))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generate(PROBLEMS, folder, folder, 290, num_shards=1, report=lambda line: None)
    return folder


@pytest.fixture
def make_trainer(hparams, data_dir, tmp_path):
    def make(changes="", workers=2, **steps):
        settings = hparams.override("train_steps=12,eval_every=6,eval_steps=1,problem_schedule=worker_per_problem")
        model = FakeModel()
        trainer = AsynchronousTrainer(model, PROBLEMS, settings.override(changes), data_dir, tmp_path, FakeServers(workers))
        trainer.steps = FakeSteps(model, **steps)
        return trainer

    return make


def checkpoint(folder, step):
    """Returns the content of a step's checkpoint: the model's number of steps, and each problem's steps and batches."""
    reader = tf.train.load_checkpoint(str(folder / f"ckpt-{step}"))
    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")}
    counts = [int(values[f"counts/{name}/.ATTRIBUTES/VARIABLE_VALUE"]) for name in "abc"]
    batches = [int(values[f"positions/{name}/.ATTRIBUTES/VARIABLE_VALUE"][1]) for name in "abc"]
    return int(values["model/number/.ATTRIBUTES/VARIABLE_VALUE"]), counts, batches


def test_one_step_of_each_problem_is_under_way_at_any_time(make_trainer):
    together = threading.Barrier(3, timeout=60)
    trainer = make_trainer("eval_every=12", at=dict.fromkeys((1, 2, 3), together.wait))
    assert trainer.train() == 12
    assert all(len(set(under_way)) == len(under_way) for _, _, under_way in trainer.steps.begun)


def test_no_problem_waits_for_a_slow_one(make_trainer):
    def wait():
        end = time.monotonic() + 60
        while len(trainer.steps.begun) < 12:
            assert time.monotonic() < end
            time.sleep(0.001)

    trainer = make_trainer("eval_every=12", at={1: wait})
    trainer.train()
    counts = trainer._checkpoints.counts
    assert counts["a"] == 1
    assert min(counts["b"], counts["c"]) > 1
    assert sum(counts.values()) == 12


def test_with_another_schedule_as_many_steps_are_under_way_as_there_are_workers(make_trainer):
    together = threading.Barrier(2, timeout=60)
    trainer = make_trainer("problem_schedule=uniform,eval_every=12", at=dict.fromkeys(range(1, 13), together.wait), workers=2)
    trainer.train()
    assert max(len(under_way) for _, _, under_way in trainer.steps.begun) == 2
    schedule = trainer._schedule()
    assert sorted((step, name) for name, step, _ in trainer.steps.begun) == [(i + 1, schedule.at(i)) for i in range(12)]


def test_a_checkpoint_holds_exactly_the_steps_it_counts(make_trainer, tmp_path):
    trainer = make_trainer("save_every=3,save_minutes=1e-9,keep_checkpoints=99", seconds=0.01)  # and by the clock
    trainer.train()
    kept = saved(tmp_path)
    assert set(kept) > {3, 6, 9, 12}
    for step in kept:
        steps, counts, batches = checkpoint(tmp_path, step)
        assert steps == step == sum(counts)
        assert counts == batches


def test_an_evaluation_by_the_clock_waits_for_the_steps_under_way(make_trainer, tmp_path, monkeypatch):
    monkeypatch.setattr(timetable, "DECIDE_EVERY", 4)
    monkeypatch.setattr(timetable, "FIRST_DECISION", 4)
    clock = itertools.count(0, 0.01)  # moves when it is looked at
    monkeypatch.setattr(trainer_module, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    trainer = make_trainer("eval_every=999,save_minutes=0,keep_checkpoints=99")
    steps = trainer.train(seconds=2.0, by_clock=True)
    evaluated = trainer.plan.evaluations
    assert steps > 12 and 1 <= len(evaluated) <= 3 and saved(tmp_path) == [*evaluated, steps]
    assert [sum(checkpoint(tmp_path, step)[1]) for step in evaluated] == evaluated


def test_no_problem_waits_for_ever_where_checkpoints_are_close(make_trainer):
    trainer = make_trainer("save_every=1")
    trainer.train()
    assert trainer._checkpoints.counts == {"a": 4, "b": 4, "c": 4}


def test_a_run_goes_on_with_its_counts_and_writes_them(make_trainer, tmp_path):
    make_trainer().train(until=7)
    again = make_trainer()
    assert again.train() == 12
    assert sorted(step for _, step, _ in again.steps.begun) == [8, 9, 10, 11, 12]
    assert sum(again._checkpoints.counts.values()) == 12
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    last = {row["problem"]: row["problem_steps"] for row in rows if row["split"] == "train"}
    assert last == again._checkpoints.counts
    assert {row["problem"] for row in rows if row["split"] == "dev" and row["step"] == 12} == {"a", "b", "c"}


def test_a_signal_lets_the_steps_under_way_end_and_saves_them(make_trainer, tmp_path):
    trainer = make_trainer(at={5: lambda: os.kill(os.getpid(), signal.SIGTERM)}, seconds=0.05)
    step = trainer.train()
    assert 5 <= step < 9
    assert checkpoint(tmp_path, step)[0] == step == len(trainer.steps.begun)


def test_ten_steps_in_a_row_that_are_no_numbers_end_the_run(make_trainer):
    with pytest.raises(NotFinite, match="the tenth in a row"):
        make_trainer("train_steps=40,eval_every=40", losses=dict.fromkeys(range(1, 41), float("nan"))).train()


def test_lost_tasks_are_looked_for(make_trainer, monkeypatch):
    monkeypatch.setattr(async_trainer, "SECONDS_BETWEEN_CHECKS", 0.01)
    trainer = make_trainer("train_steps=3", seconds=0.1)
    trainer.train()
    assert trainer._servers.reports


def test_noise_follows_from_the_number_of_the_step_alone(make_model, make_batch, hparams):
    model, batch = make_model(), make_batch("german", 6, 3)
    optimizer = types.SimpleNamespace(apply=lambda *args: tf.zeros(()), scaled=lambda loss: loss)
    steps = StepFunctions(model, optimizer, hparams, call=lambda function, arguments: function(*arguments))
    before = [variable.numpy() for variable in model.non_trainable_variables]
    first, second, again = (float(steps.train("german", batch, 0.0, step).loss) for step in (1, 2, 1))
    assert first == again != second
    assert all((variable.numpy() == old).all() for variable, old in zip(model.non_trainable_variables, before, strict=True))
