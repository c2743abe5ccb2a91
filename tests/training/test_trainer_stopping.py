"""The ends of a run: a request, a signal, a time limit, steps that are not finite, and the checkpoint after each."""

import os
import signal
import types
from typing import NamedTuple

import numpy as np
import pytest
from pretended_training import saved, written

from t2t_multimodel.training import trainer as module
from t2t_multimodel.utils.errors import NotFinite


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


def test_the_end_by_time_says_how_far_it_came(make_trainer, capsys, monkeypatch):
    clock = types.SimpleNamespace(monotonic=lambda: clock.now, now=0.0)
    monkeypatch.setattr(module, "time", clock)
    trainer, _ = make_trainer("train_steps=1200", at={4: lambda: setattr(clock, "now", 100.0)})
    trainer.train(seconds=90)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "stopped after 1.5 minutes at step 4 of 1,200; the checkpoint is written, the same command goes on from it"


def test_a_checkpoint_is_written_by_the_clock_as_well(make_trainer, tmp_path, monkeypatch):
    clock = types.SimpleNamespace(monotonic=lambda: clock.now, now=0.0)
    monkeypatch.setattr(module, "time", clock)
    later = {step: lambda: setattr(clock, "now", clock.now + 61) for step in range(1, 10)}
    make_trainer("train_steps=9,eval_every=4,save_minutes=2,keep_checkpoints=9", at=later)[0].train()
    assert saved(tmp_path) == [3, 4, 7, 8, 9]
    make_trainer("train_steps=9,eval_every=9,save_minutes=0", output_dir=tmp_path / "never", at=later)[0].train()
    assert saved(tmp_path / "never") == [9]


def dev_rows(folder):
    return [(row["step"], row["problem"]) for row in written(folder) if row["split"] == "dev"]


def test_an_evaluation_begins_when_its_step_is_saved(make_trainer, tmp_path):
    at = {"evaluate": lambda: found.append(saved(tmp_path)[-1])}
    found = []
    make_trainer(at=at)[0].train(until=10)
    assert set(found) == {5, 10}


def test_a_signal_ends_an_evaluation_and_the_next_process_does_it_first(make_trainer, tmp_path, capsys):
    many = "batch_tokens=16,early_stop_patience=1,problem_schedule=adaptive,save_every=100"
    whole, _ = make_trainer(many, output_dir=tmp_path / "whole")
    whole.train()
    batches = []

    def stop():
        batches.append(None)
        if len(batches) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    run = tmp_path / "run"
    trainer, _ = make_trainer(many, output_dir=run, at={"evaluate": stop})  # step 5 is saved because of the signal
    assert trainer.train() == 5
    assert trainer.interrupted == signal.SIGTERM
    assert len(trainer.steps.evaluated) == 3
    assert saved(run) == [5] and not dev_rows(run)
    assert "step 5: stopped while evaluating copy; the same command does the evaluation again" in capsys.readouterr().err
    again, _ = make_trainer(many, output_dir=run)
    again.train()
    assert trainer.steps.trained + again.steps.trained == whole.steps.trained
    assert dev_rows(run) == dev_rows(tmp_path / "whole")
    assert again._checkpoints.evaluations == whole._checkpoints.evaluations != ""


def test_a_process_that_is_killed_after_an_evaluation_does_not_do_it_again(make_trainer, tmp_path):
    class Killed(Exception):
        pass

    def kill():
        raise Killed

    first, _ = make_trainer(at={6: kill})
    with pytest.raises(Killed):
        first.train()
    assert saved(tmp_path) == [5]
    again, _ = make_trainer(at={6: kill})
    with pytest.raises(Killed):
        again.train()
    assert not again.steps.evaluated
    assert again._decisions.has(5) and dev_rows(tmp_path) == [(5, "copy"), (5, "topic")]


def test_evaluations_of_checkpoints_that_were_removed_are_forgotten(make_trainer, tmp_path):
    make_trainer()[0].train(until=5)
    for path in [*tmp_path.glob("ckpt-*"), tmp_path / "checkpoint"]:
        path.unlink()
    again, _ = make_trainer(at={2: lambda: again.request_stop()})
    assert again.train() == 2
    assert not (tmp_path / "evaluations.json").exists()


def test_a_signal_in_the_last_evaluation_ends_it(make_trainer, tmp_path):
    stop = {"evaluate": lambda: os.kill(os.getpid(), signal.SIGINT)}
    trainer, _ = make_trainer("batch_tokens=16,train_steps=3", at=stop)
    assert trainer.train() == 3
    assert trainer.interrupted == signal.SIGINT and len(trainer.steps.evaluated) == 1
    again, _ = make_trainer("batch_tokens=16,train_steps=3")
    again.train()
    assert not again.interrupted and dev_rows(tmp_path) == [(3, "copy"), (3, "topic")]


def test_no_sample_is_decoded_once_a_signal_has_come(make_trainer):
    trainer, _ = make_trainer("train_steps=2,eval_every=2", at={"evaluate": lambda: None})
    decoded = []
    trainer._samples = lambda problem, split, count: decoded.append(problem.name) or trainer.request_stop() or [SAMPLE]
    trainer.train()
    assert decoded == ["copy"]


class Sample(NamedTuple):
    inputs: str
    references: list
    output: str


SAMPLE = Sample("a", ["b"], "c")
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
