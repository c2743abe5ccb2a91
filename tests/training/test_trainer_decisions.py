"""The effects of a run's evaluations: problems stop, shares adapt, the best checkpoints are kept, also with averages."""

import json

import pytest
import tensorflow as tf
from pretended_training import saved, written

from t2t_multimodel.training import trainer as module


def order(trainer):
    """Returns the problems of the steps that were done."""
    return [name for name, _, _ in trainer.steps.trained]


def dev(name, step):
    """Returns a dev loss that always falls for "copy", and until step 4 for "topic"."""
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
