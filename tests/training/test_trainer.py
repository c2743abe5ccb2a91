"""The loop around the steps, with steps that only pretend: what is written, saved, evaluated, and when it ends."""

import json
import os
import signal
import types

import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel.data.generation import generate
from t2t_multimodel.data.problem import DataError
from t2t_multimodel.features import Label
from t2t_multimodel.testing import fake_problem
from t2t_multimodel.training import trainer as module
from t2t_multimodel.training.steps import EvaluationSums, StepResult
from t2t_multimodel.training.trainer import NotFinite, Trainer, measures_of

COPY = fake_problem("copy", [{"inputs": "abc"[: i % 3 + 1], "targets": "xyz"[: i % 3 + 1]} for i in range(12)])
TOPIC = fake_problem(
    "topic", [{"inputs": "b" * (i + 1), "targets": "uv"[i % 2]} for i in range(4)], targets=Label(("u", "v"), "uv")
)


class FakeModel:
    """One number, which counts the steps."""

    def __init__(self):
        self.number = tf.Variable(0.0)
        self.trainable_variables = self.variables = [types.SimpleNamespace(path="model/number", value=self.number)]


class FakeSteps:
    """Each step counts the model up; the loss is 1 / step, unless `losses` says otherwise."""

    def __init__(self, model, losses=None, at=None):
        self.model, self.losses, self.at, self.trained, self.evaluated = model, losses or {}, at or {}, [], []

    def train(self, name, batch, rate, step):
        self.trained.append((name, rate, step))
        self.model.number.assign_add(1.0)
        self.at.get(step, lambda: None)()
        loss, norm = self.losses.get(step, (1 / step, 0.5))
        return StepResult(*map(tf.constant, (loss, norm, 10.0, 0.3, 0.4, [[0.25, 0.75]])))

    def train_jointly(self, drawn, rate, step):
        results = [self.train(name, batches, rate, step) for name, batches in drawn]
        self.model.number.assign_add(1.0 - len(drawn))
        return results

    def evaluate(self, name, batch):
        self.evaluated.append(name)
        return EvaluationSums(*map(tf.constant, (6.0, 2.0, 3.0, 4.0, 1.0, 2.0)))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generate([COPY, TOPIC], folder, folder, 290, num_shards=1, report=lambda line: None)
    return folder


@pytest.fixture
def make_trainer(hparams, data_dir, tmp_path):
    def make(changes="", losses=None, at=None, dev=None, output_dir=tmp_path):
        """`dev(problem, steps)` is the dev loss, instead of that of an evaluation."""
        output_dir.mkdir(exist_ok=True)
        settings = hparams.override("train_steps=12,eval_every=5,eval_steps=0,learning_rate_schedule=constant,warmup_steps=0")
        model = FakeModel()
        trainer = Trainer(model, [COPY, TOPIC], settings.override(changes), data_dir, output_dir)
        trainer.steps = FakeSteps(model, losses, at)
        if dev:
            trainer.measures = lambda name, *args: measures_of(EvaluationSums(dev(name, model.number.numpy()), 1, 1, 1, 1, 1))
        return trainer, model

    return make


def written(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def saved(folder):
    return sorted(int(path.stem.partition("-")[2]) for path in folder.glob("ckpt-*.index"))


def test_a_run_trains_evaluates_and_saves_as_it_is_told(make_trainer, tmp_path, capsys):
    trainer, model = make_trainer("problem_schedule=round_robin,keep_checkpoints=2")
    assert trainer.train() == 12
    assert [(name, step) for name, _, step in trainer.steps.trained] == [(("copy", "topic")[i % 2], i + 1) for i in range(12)]
    assert model.number.numpy() == 12
    assert saved(tmp_path) == [10, 12]
    dev = [row for row in written(tmp_path) if row["split"] == "dev"]
    assert [(row["step"], row["problem"]) for row in dev] == [(s, p) for s in (5, 10, 12) for p in ("copy", "topic")]
    shown = capsys.readouterr().err
    assert "step 12 topic dev: loss 1.5" in shown


TRAIN_FIELDS = {
    "loss",
    "learning_rate",
    "gradient_norm",
    "target_tokens_per_second",
    "steps_per_second",
    "expert_load_cv",
    "expert_importance_cv",
}
DEV_FIELDS = {"loss", "neg_log_perplexity", "log_perplexity", "accuracy", "accuracy_top5", "accuracy_per_sequence"}


def test_metrics_have_their_fields(make_trainer, tmp_path):
    make_trainer()[0].train()
    rows = written(tmp_path)
    for row in rows:
        assert {"step", "problem", "split", "time"} <= row.keys()
        assert (TRAIN_FIELDS if row["split"] == "train" else DEV_FIELDS) <= row.keys()
    train = [row for row in rows if row["split"] == "train"]
    assert {row["problem"] for row in train} == {"copy", "topic"}
    assert all(row["gradient_norm"] == 0.5 and row["expert_load_cv"] == pytest.approx(0.3) for row in train)
    assert list((tmp_path / "events").iterdir())


def test_training_figures_are_means_since_the_last_line(make_trainer, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SUMMARY_EVERY", 4)
    trainer, _ = make_trainer("problem_schedule=round_robin,train_steps=8")
    trainer.train()
    losses = {(row["step"], row["problem"]): row["loss"] for row in written(tmp_path) if row["split"] == "train"}
    wanted = {
        (4, "copy"): (1 + 1 / 3) / 2,
        (4, "topic"): 3 / 8,
        (8, "copy"): (1 / 5 + 1 / 7) / 2,
        (8, "topic"): (1 / 6 + 1 / 8) / 2,
    }
    assert losses == pytest.approx(wanted)


def test_measures_are_means():
    measures = measures_of(EvaluationSums(6.0, 2.0, 3.0, 4.0, 1.0, 2.0))
    wanted = {"loss": 1.5, "log_perplexity": 1.5, "neg_log_perplexity": -1.5, "accuracy": 0.5, "accuracy_top5": 0.75}
    assert measures == wanted | {"accuracy_per_sequence": 0.5, "examples": 2.0}


def test_evaluation_is_cut_at_eval_steps(make_trainer):
    trainer, _ = make_trainer("batch_tokens=16")
    trainer.measures("copy")
    whole = len(trainer.steps.evaluated)
    trainer.measures("copy", limit=2)
    assert whole > 2
    assert len(trainer.steps.evaluated) == whole + 2


def test_a_run_goes_on_from_its_checkpoint(make_trainer, tmp_path, capsys):
    whole, _ = make_trainer("train_steps=9")
    whole.train(until=4)
    again, model = make_trainer("train_steps=9")
    assert again.train() == 9
    assert model.number.numpy() == 9
    assert [step for _, _, step in again.steps.trained] == [5, 6, 7, 8, 9]
    assert "going on from step 4" in capsys.readouterr().err
    schedule = again._schedule()
    assert [name for name, _, _ in whole.steps.trained + again.steps.trained] == [schedule.at(step) for step in range(9)]


def test_a_run_that_goes_on_reads_on_where_it_stopped(make_trainer):
    whole, _ = make_trainer("train_steps=9")
    whole.train(until=4)
    assert sum(batches for _, batches in whole._checkpoints.positions.values()) == 4
    again, _ = make_trainer("train_steps=9")
    again._checkpoints.restore()
    for name, batches in again._batches().items():
        assert batches.position == whole._checkpoints.positions[name]


def test_a_step_of_several_problems_takes_a_batch_for_each_and_goes_on_where_it_stopped(make_trainer, tmp_path, capsys):
    settings = "train_steps=6,eval_every=3,problems_per_step=2,accumulate_steps=3"
    whole, _ = make_trainer(settings)
    whole.train(until=4)
    assert whole._checkpoints.positions == {"copy": (0, 12), "topic": (0, 12)}
    again, model = make_trainer(settings)
    assert again.train() == 6
    assert model.number.numpy() == 6
    assert [(name, step) for name, _, step in again.steps.trained] == [(n, s) for s in (5, 6) for n in ("copy", "topic")]
    train = [row for row in written(tmp_path) if row["split"] == "train"]
    assert [(row["step"], row["problem"], row["loss"]) for row in train if row["step"] == 6] == [
        (6, name, pytest.approx((1 / 5 + 1 / 6) / 2)) for name in ("copy", "topic")
    ]


def test_a_finished_run_is_not_trained_further(make_trainer, tmp_path):
    make_trainer("train_steps=3")[0].train()
    again, _ = make_trainer("train_steps=3")
    assert again.train() == 3
    assert not again.steps.trained
    assert saved(tmp_path) == [3]


def test_request_stop_saves_and_ends(make_trainer, tmp_path, capsys):
    trainer, model = make_trainer(at={3: lambda: trainer.request_stop()})
    assert trainer.train() == 3
    assert saved(tmp_path) == [3]
    assert not trainer.steps.evaluated
    assert "stopped at step 3; the checkpoint is written" in capsys.readouterr().err
    assert {row["step"] for row in written(tmp_path)} == {3}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends_and_the_old_handlers_come_back(number, make_trainer, tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    trainer, _ = make_trainer(at={7: lambda: os.kill(os.getpid(), number)})
    assert trainer.train() == 7
    assert trainer.interrupted == number
    assert saved(tmp_path) == [5, 7]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_time_is_limited(make_trainer, tmp_path, monkeypatch):
    clock = types.SimpleNamespace(monotonic=lambda: clock.now, now=0.0)
    monkeypatch.setattr(module, "time", clock)
    trainer, _ = make_trainer(at={step: lambda: setattr(clock, "now", clock.now + 10) for step in range(1, 13)})
    assert trainer.train(seconds=35) == 4
    assert saved(tmp_path) == [4]
    assert trainer.steps.evaluated


BAD = [(float("nan"), 0.5), (float("inf"), 0.5), (1.0, float("nan"))]


@pytest.mark.parametrize("figures", BAD, ids=str)
def test_a_step_that_is_no_number_is_skipped_and_the_run_goes_on(figures, make_trainer, tmp_path, capsys):
    trainer, _ = make_trainer("problem_schedule=round_robin", losses={8: figures})
    assert trainer.train() == 12
    assert "step 8 topic: loss or gradient is not finite, the weights stay as they are" in capsys.readouterr().err
    rows = [row for row in written(tmp_path) if row["split"] == "train"]
    assert all(np.isfinite(row["loss"]) and np.isfinite(row["gradient_norm"]) for row in rows)


def test_float16_steps_that_lower_the_loss_scale_do_not_end_the_run(make_trainer, capsys):
    settings = "precision=float16,train_steps=40,eval_every=50"
    trainer, _ = make_trainer(settings, losses=dict.fromkeys(range(3, 25), BAD[2]))
    assert trainer.train() == 40
    assert "too large for float16; the loss scale is now 32768" in capsys.readouterr().err
    trainer, _ = make_trainer(settings, losses=dict.fromkeys(range(43, 70), BAD[2]), at={50: lambda: scale.assign(1.0)})
    scale = trainer._optimizer.slots["loss_scale"]["scale"]
    with pytest.raises(NotFinite, match="not finite at step 59, the tenth in a row"):
        trainer.train(until=80)


@pytest.mark.parametrize("figures", BAD, ids=str)
def test_ten_steps_in_a_row_that_are_no_numbers_end_the_run_and_harm_no_checkpoint(figures, make_trainer, tmp_path):
    bad = {step: figures for step in range(7, 30) if step != 12}
    trainer, _ = make_trainer("problem_schedule=round_robin,train_steps=40,save_every=3,eval_every=50", losses=bad)
    with pytest.raises(NotFinite, match="not finite at step 22, the tenth in a row; the checkpoint of step 21 is untouched"):
        trainer.train()
    assert saved(tmp_path)[-1] == 21


def test_before_the_first_checkpoint_none_is_promised(make_trainer, tmp_path):
    bad = dict.fromkeys(range(1, 13), (float("nan"), 1.0))
    trainer, _ = make_trainer("eval_every=50", losses=bad)
    with pytest.raises(NotFinite, match="the tenth in a row; there is no checkpoint yet"):
        trainer.train()
    assert saved(tmp_path) == []


def test_checkpoints_may_come_more_often_than_evaluations(make_trainer, tmp_path):
    trainer, _ = make_trainer("save_every=2,eval_every=100,train_steps=7,keep_checkpoints=9")
    trainer.train()
    assert saved(tmp_path) == [2, 4, 6, 7]
    assert len({row["step"] for row in written(tmp_path) if row["split"] == "dev"}) == 1


def order(trainer):
    """The problems of the steps it did."""
    return [name for name, _, _ in trainer.steps.trained]


def dev(name, step):
    """The dev loss of "copy" falls always, that of "topic" until step 4."""
    return 8.0 / step if name == "copy" else max(2.0, 4.0 - step / 2)


EARLY = "eval_every=2,train_steps=20,problem_schedule=round_robin,early_stop_patience=3"


def test_a_problem_that_gets_no_better_is_evaluated_only(make_trainer, tmp_path, capsys):
    trainer, _ = make_trainer(EARLY, dev=dev)
    assert trainer.train() == 20
    assert order(trainer) == ["copy", "topic"] * 5 + ["copy"] * 10
    assert "step 10 topic: no better dev loss in 3 evaluations, it is trained no more" in capsys.readouterr().err
    assert len([row for row in written(tmp_path) if (row["problem"], row["split"]) == ("topic", "dev")]) == 10


def test_training_ends_when_all_problems_have_stopped(make_trainer, tmp_path):
    trainer, _ = make_trainer(EARLY, dev=lambda name, step: 3.0 if name == "copy" else dev(name, step))
    assert trainer.train() == 10
    assert order(trainer) == ["copy", "topic"] * 4 + ["topic"] * 2
    assert saved(tmp_path)[-1] == 10
    again, _ = make_trainer(EARLY)
    assert again.train() == 10
    assert not again.steps.trained and not again.interrupted


@pytest.mark.parametrize(("kind", "until"), [("round_robin", 10), ("adaptive,adaptive_power=3", 9)])
def test_a_run_that_goes_on_decides_as_it_would_have(kind, until, make_trainer, tmp_path):
    settings = f"{EARLY},problem_schedule={kind},train_steps=16,save_every=3"
    whole, _ = make_trainer(settings, dev=dev, output_dir=tmp_path / "whole")
    whole.train()
    first, _ = make_trainer(settings, dev=dev, output_dir=tmp_path / "parts")
    first.train(until=until)
    second, _ = make_trainer(settings, dev=dev, output_dir=tmp_path / "parts")
    second.train()
    assert order(first) + order(second) == order(whole)
    assert second._decisions.text == whole._decisions.text
    assert set(order(whole)[10:]) == {"copy"}


def best_of(folder, name):
    kept = folder / "best" / name
    (index,) = kept.glob("ckpt-*.index")
    number = tf.train.load_checkpoint(str(kept)).get_tensor("model/number/.ATTRIBUTES/VARIABLE_VALUE")
    found = json.loads((kept / "best.json").read_text())
    assert index.name == f"ckpt-{found['step']}.index" and number == found["step"]
    return found


RISING = {"copy": {5: 3.0, 10: 2.0}, "topic": {5: 1.0, 10: 4.0}}


def test_the_best_checkpoints_are_kept_beside_the_last(make_trainer, tmp_path):
    settings = "train_steps=20,keep_checkpoints=1"
    trainer, _ = make_trainer(settings, dev=lambda name, step: RISING[name].get(step, 9.0))
    trainer.train()
    assert saved(tmp_path) == [20]
    assert best_of(tmp_path, "mean-loss") == {"step": 5, "metric": "loss", "value": 2.0}
    assert best_of(tmp_path, "copy-loss") == {"step": 10, "metric": "loss", "value": 2.0}
    assert best_of(tmp_path, "topic-loss") == {"step": 5, "metric": "loss", "value": 1.0}


def test_an_evaluation_that_is_the_best_is_saved_between_checkpoints(make_trainer, tmp_path):
    trainer, _ = make_trainer("save_every=12,keep_best=mean", dev=lambda name, step: RISING[name].get(step, 9.0))
    trainer.train()
    assert saved(tmp_path) == [5, 12]
    assert [path.name for path in (tmp_path / "best").iterdir()] == ["mean-loss"]


def test_a_best_checkpoint_that_a_killed_run_saved_and_did_not_keep_is_kept_by_the_next(make_trainer, tmp_path, monkeypatch):
    with monkeypatch.context() as killed:
        killed.setattr(module, "keep_best", lambda *args: None)
        make_trainer("train_steps=5", dev=lambda name, step: 2.0)[0].train()
    assert not (tmp_path / "best").exists()
    make_trainer("train_steps=5")[0].train()
    assert best_of(tmp_path, "copy-loss")["step"] == 5


def test_a_run_is_evaluated_with_its_averages_and_they_go_on_where_they_stopped(make_trainer, tmp_path):
    """The weight is the number of steps; its average with a decay of 0.1 is 0.1 * average + 0.9 * steps."""
    wanted, seen = [0.0], []
    for step in range(1, 13):
        wanted.append(0.1 * wanted[-1] + 0.9 * step)
    for until in (6, 12):
        trainer, model = make_trainer(
            "ema_decay=0.1,eval_every=4", dev=lambda name, step: seen.append((name, step)) or float(step), output_dir=tmp_path
        )
        trainer.train(until=until)
        assert model.number.numpy() == until
    assert [step for name, step in seen if name == "copy"] == pytest.approx([wanted[step] for step in (4, 6, 8, 12)])


class OtherWorker:
    """This worker is `index` of two; the other one's values are `adds` of each call's own, the calls counted from 0."""

    count = 2

    def __init__(self, index=0, adds=lambda call, values: values):
        self.index, self.adds, self.calls = index, adds, 0

    @property
    def is_chief(self):
        return self.index == 0

    def total(self, values):
        self.calls += 1
        return [own + other for own, other in zip(values, self.adds(self.calls - 1, values), strict=True)]


@pytest.fixture
def make_worker(make_trainer, monkeypatch):
    def make(peers, *args):
        monkeypatch.setattr(module, "Peers", lambda strategy, cluster: peers)
        return make_trainer(*args)[0]

    return make


def test_a_worker_that_is_not_the_chief_trains_and_leaves_nothing(make_worker, tmp_path):
    trainer = make_worker(OtherWorker(1, lambda call, values: [1.0] * len(values) if len(values) > 2 else values))
    assert trainer.train() == 12
    assert len(trainer.steps.trained) == 12
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", [0, 1])
def test_workers_stop_when_another_was_told_to_or_its_time_is_over(place, make_worker, tmp_path):
    """The first call agrees on the step that was restored, one more comes before each step."""
    trainer = make_worker(
        OtherWorker(0, lambda call, values: [call == 5 and i == place for i in range(len(values))]), "eval_every=50"
    )
    assert trainer.train() == 4
    assert saved(tmp_path) == [4]
    assert bool(trainer.steps.evaluated) == (place == 1)


def test_workers_divide_the_batches_of_an_evaluation(make_worker):
    half = make_worker(OtherWorker(1, lambda call, values: [10 * value for value in values]), "batch_tokens=16")
    found = half.measures("copy")
    batches = len(half.steps.evaluated)
    whole = make_worker(OtherWorker(0, lambda call, values: [0 * value for value in values]), "batch_tokens=16")
    whole.measures("copy")
    assert batches >= 1
    assert found["examples"] == 11 * 2.0 * batches
    assert 0 <= len(whole.steps.evaluated) - batches <= 1


def test_workers_that_found_other_checkpoints_do_not_begin(make_worker):
    trainer = make_worker(OtherWorker(1, lambda call, values: [value + 5 for value in values]))
    with pytest.raises(DataError, match="this worker found step 0 in .*, others did not; it should be a folder that all share"):
        trainer.train()
    assert not trainer.steps.trained
