"""The training loop with fake steps: what is written, saved and evaluated, and how a run is resumed."""

import tempfile

import pytest
import tensorflow as tf
from pretended_training import saved, written

from t2t_multimodel.training import trainer as module
from t2t_multimodel.training.checkpoints import newest_weights
from t2t_multimodel.training.metrics import MetricSums, mean_metrics
from t2t_multimodel.utils.errors import DataError


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
    measures = mean_metrics(MetricSums(6.0, 2.0, 3.0, 4.0, 1.0, 2.0))
    wanted = {"loss": 1.5, "log_perplexity": 1.5, "neg_log_perplexity": -1.5, "accuracy": 0.5, "accuracy_top5": 0.75}
    assert measures == wanted | {"accuracy_per_sequence": 0.5, "examples": 2.0}


def test_evaluation_is_cut_at_eval_steps(make_trainer):
    trainer, _ = make_trainer("batch_tokens=16")
    trainer.metrics("copy")
    whole = len(trainer.steps.evaluated)
    trainer.metrics("copy", limit=2)
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


def test_any_name_of_an_output_dir_keeps_goes_on_and_has_its_best(make_trainer, tmp_path, capsys):
    output_dir = tmp_path / "what?*" / "run[lr=0.1]\\d"
    output_dir.parent.mkdir(exist_ok=True)
    settings = "keep_checkpoints=1,train_steps=7"
    whole, _ = make_trainer(settings, output_dir=output_dir)
    assert whole.train(until=6) == 6
    assert saved(output_dir) == [6]
    again, model = make_trainer(settings, output_dir=output_dir)
    assert again.train() == 7
    assert model.number.numpy() == 7
    assert saved(output_dir) == [7]
    assert "going on from step 6" in capsys.readouterr().err
    assert newest_weights(output_dir, pytest.fail)[1]["number"] == 7
    assert newest_weights(output_dir / "best" / "mean-loss", pytest.fail)[0] == 5


def test_damage_is_told_of_by_the_users_own_name(make_trainer, tmp_path, capsys):
    output_dir = tmp_path / "run[1]"
    make_trainer(output_dir=output_dir)[0].train(until=3)
    (output_dir / "ckpt-3.data-00000-of-00001").write_bytes(b"")
    with pytest.raises(DataError, match=r"nothing else to go on from in .*/run\[1\]: ckpt-3; remove to start anew"):
        make_trainer(output_dir=output_dir)[0].train()
    said = capsys.readouterr().err
    assert f"checkpoint {output_dir}/ckpt-3 is damaged" in said and tempfile.gettempdir() + "/t2t_multimodel-" not in said


def test_a_run_that_goes_on_reads_on_where_it_stopped(make_trainer):
    whole, _ = make_trainer("train_steps=9")
    whole.train(until=4)
    assert sum(batches for _, batches in whole._checkpoints.positions.values()) == 4
    again, _ = make_trainer("train_steps=9")
    again._checkpoints.restore()
    for name, batches in again._batches().items():
        assert batches.position == whole._checkpoints.positions[name]
        assert batches.examples == whole._checkpoints.examples[name] > 0


def test_examples_are_counted_across_interruptions_and_unknown_in_older_checkpoints(make_trainer, tmp_path, monkeypatch):
    make_trainer("train_steps=9", output_dir=tmp_path / "whole")[0].train()
    make_trainer("train_steps=9")[0].train(until=4)
    make_trainer("train_steps=9")[0].train()
    last, whole = (
        {row["problem"]: row["problem_examples"] for row in written(folder) if row["split"] == "train"}
        for folder in (tmp_path, tmp_path / "whole")
    )
    assert last == whole and all(count > 0 for count in whole.values())
    older, _ = make_trainer("train_steps=9", output_dir=tmp_path / "older")
    manager = tf.train.CheckpointManager(older._checkpoints._required, str(tmp_path / "older"), 3, checkpoint_name="ckpt")
    monkeypatch.setattr(older._checkpoints, "_manager", manager)  # which leaves out what older checkpoints did not have
    older.train(until=4)
    make_trainer("train_steps=9", output_dir=tmp_path / "older")[0].train()
    rows = [row for row in written(tmp_path / "older") if row["split"] == "train" and row["step"] == 9]
    assert rows and not any("problem_examples" in row for row in rows)


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


def test_a_finished_run_is_evaluated_again_but_not_trained_further(make_trainer, tmp_path):
    make_trainer("train_steps=3")[0].train()
    rows = [(row["step"], row["problem"], row["split"]) for row in written(tmp_path)]
    again, _ = make_trainer("train_steps=3")
    assert again.train() == 3
    assert not again.steps.trained and again.steps.evaluated
    assert saved(tmp_path) == [3]
    assert [(row["step"], row["problem"], row["split"]) for row in written(tmp_path)] == rows
    assert rows[-2:] == [(3, "copy", "dev"), (3, "topic", "dev")]


def test_checkpoints_may_come_more_often_than_evaluations(make_trainer, tmp_path):
    trainer, _ = make_trainer("save_every=2,eval_every=100,train_steps=7,keep_checkpoints=9")
    trainer.train()
    assert saved(tmp_path) == [2, 4, 6, 7]
    assert len({row["step"] for row in written(tmp_path) if row["split"] == "dev"}) == 1


def test_decoded_examples_that_fail_end_no_run(make_trainer, tmp_path, capsys):
    trainer, _ = make_trainer("eval_samples=1,train_steps=5")

    def fails(problem, split, count):
        raise IndexError("list index out of range")

    trainer._samples = fails
    assert trainer.train() == 5
    assert "warning: what topic decodes is left out: IndexError: list index out of range\n" in capsys.readouterr().err
    assert [row["problem"] for row in written(tmp_path) if row["split"] == "dev"] == ["copy", "topic"]
