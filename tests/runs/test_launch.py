"""A run of a dozen steps on two problems: the files it writes, how it is resumed, and what keeps it from starting."""

import dataclasses
import json
import math
import operator
import os
import re
import shutil
from unittest.mock import Mock

import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.vocabulary import train_vocabulary
from t2t_multimodel.distributed.local_cluster import local_clusters
from t2t_multimodel.features import Label
from t2t_multimodel.runs import launch, run_config
from t2t_multimodel.runs.checks import check_xla
from t2t_multimodel.runs.launch import train_run
from t2t_multimodel.testing import fake_problem
from t2t_multimodel.utils.errors import DataError, NotFinite
from t2t_multimodel.utils.writer_lock import WriterLock

COPY = fake_problem("t_copy", [{"inputs": "abcd"[: i % 4 + 1], "targets": "abcd"[: i % 4 + 1]} for i in range(12)])
TOPIC = fake_problem(
    "t_topic", [{"inputs": "uv"[i % 2] * 3, "targets": "uv"[i % 2]} for i in range(6)], targets=Label(("u", "v"), "uv")
)
HPARAMS = HParams().override(
    "hidden_size=16,num_heads=2,encoder_blocks=1,mixer_blocks=1,decoder_blocks=1,num_experts=0,"
    "categorical_sizes=8:8,dropout=0.0,output_norm=true,batch_tokens=64,vocab_size=290,problem_schedule=round_robin,"
    "train_steps=12,eval_every=6,learning_rate=0.01,learning_rate_schedule=constant,warmup_steps=0"
)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generate([COPY, TOPIC], folder, folder, 290, num_shards=1, report=lambda line: None)
    return folder


@pytest.fixture(scope="module")
def finished(data_dir, tmp_path_factory):
    """The output_dir of a run that was trained to its end."""
    folder = tmp_path_factory.mktemp("run")
    assert train_run([COPY, TOPIC], "tiny", HPARAMS, data_dir, folder, profile=(2, 3)) == 12
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_leaves_all_it_should(finished, data_dir):
    assert {"config.json", "vocabulary.model", "metrics.jsonl", "events", "checkpoint"} <= {
        path.name for path in finished.iterdir()
    }
    assert sorted(path.name for path in finished.glob("ckpt-*.index")) == ["ckpt-12.index", "ckpt-6.index"]
    config = json.loads((finished / "config.json").read_text())
    assert config["hparams_set"] == "tiny"
    assert [problem["name"] for problem in config["problems"]] == ["t_copy", "t_topic"]
    assert config["hparams"]["model"]["hidden_size"] == 16
    assert config["data_dir"] == str(data_dir)
    rows = metrics(finished)
    assert {(row["step"], row["problem"], row["split"]) for row in rows} == {
        (step, problem, split) for problem in ("t_copy", "t_topic") for step, split in ((12, "train"), (6, "dev"), (12, "dev"))
    }
    assert all(math.isfinite(value) for row in rows for value in row.values() if isinstance(value, float))
    assert all(row["left_out_examples"] == row["left_out_tokens"] == 0.0 for row in rows)


def test_the_best_checkpoints_are_runs_themselves(finished):
    losses = {row["step"]: row["loss"] for row in metrics(finished) if (row["problem"], row["split"]) == ("t_copy", "dev")}
    assert run_config.open_run(finished / "best" / "t_copy-loss")[3] == min(losses, key=losses.get)


def test_for_a_tpu_shapes_are_fixed_and_the_run_stops_goes_on_and_learns_the_same(
    finished, data_dir, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(launch, "make_strategy", lambda name, timeout: tf.distribute.get_strategy())
    for stop_step in (7, None):
        train_run([COPY, TOPIC], "tiny", HPARAMS, data_dir, tmp_path, strategy="tpu", stop_step=stop_step)
    assert (
        "fixed shapes: a batch has one of 30 shapes (t_copy 15, t_topic 15); its padding has weight 0" in capsys.readouterr().err
    )
    assert json.loads((tmp_path / "config.json").read_text())["hparams"]["data"]["fixed_shapes"] is True
    place = operator.itemgetter("split", "problem")
    last = [sorted((row for row in metrics(folder) if row["step"] == 12), key=place) for folder in (finished, tmp_path)]
    assert len(last[0]) == len(last[1]) == 4
    for plain, fixed in zip(*last, strict=True):
        assert place(fixed) == place(plain)
        if plain["split"] == "dev":
            assert fixed["loss"] == pytest.approx(plain["loss"], rel=1e-4)
            assert (fixed["accuracy"], fixed["examples"]) == (plain["accuracy"], plain["examples"])
        else:
            assert fixed["problem_examples"] == plain["problem_examples"]


def test_each_evaluation_leaves_decoded_examples(finished):
    rows = [json.loads(line) for line in (finished / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["step"], row["problem"]) for row in rows] == [
        (step, problem) for step in (6, 12) for problem in ("t_copy", "t_topic") for _ in range(HPARAMS.training.eval_samples)
    ]
    assert all(row["references"] == [row["inputs"]] for row in rows if row["problem"] == "t_copy")
    assert {row["output"] for row in rows if row["problem"] == "t_topic"} <= set(TOPIC.targets.classes)


def test_the_steps_asked_for_are_profiled(finished):
    (profile,) = (finished / "profile").rglob("*.xplane.pb")
    content = profile.read_bytes()
    assert b"step_num" in content and b"train" in content  # the steps are marked


def test_training_learns(finished):
    losses = {(row["step"], row["problem"]): row["loss"] for row in metrics(finished) if row["split"] == "dev"}
    assert losses[12, "t_copy"] < losses[6, "t_copy"] < math.log(290)


def test_a_process_that_writes_there_keeps_another_one_out(copied, data_dir):
    before = (copied / "config.json").read_bytes(), (copied / "metrics.jsonl").read_bytes()
    with WriterLock(copied, print):
        with pytest.raises(DataError, match=f"process {os.getpid()} on .* writes to {re.escape(str(copied))} since"):
            train_run([COPY, TOPIC], "tiny", HPARAMS.override(train_steps=99), data_dir, copied)
    assert ((copied / "config.json").read_bytes(), (copied / "metrics.jsonl").read_bytes()) == before


def test_a_warm_started_run_goes_on_wherever_the_other_one_is_now(copied):
    source = copied.parent / "source"
    config = dataclasses.replace(run_config.RunConfig.load(copied), warm_start=str(source))
    config.save(copied)
    plain = dataclasses.replace(config, warm_start="")
    for given in (None, copied.parent / "moved"):
        assert launch._beginning(plain, copied, given) == (config, None)
    source.mkdir()  # it is still there: the other one is another
    assert launch._beginning(plain, copied, None) == (config, None)
    assert launch._beginning(plain, copied, copied.parent / "other")[0].warm_start == str(copied.parent / "other")


def test_a_finished_run_goes_on_from_its_weights(copied, data_dir, capsys):
    before = run_config.open_run(copied)[2].get_weights()
    longer = HPARAMS.override(train_steps=13, learning_rate=0.01)
    assert train_run([COPY, TOPIC], "tiny", longer, data_dir, copied) == 13
    assert "going on from step 12" in capsys.readouterr().err
    _, _, model, step = run_config.open_run(copied)
    assert step == 13
    moved = max(np.abs(a - b).max() for a, b in zip(before, model.get_weights(), strict=True))
    assert 1e-4 < moved < 0.05


def refused(message, problems, hparams, data_dir, output_dir):
    with pytest.raises(DataError, match=message) as error:
        train_run(problems, "tiny", hparams, data_dir, output_dir)
    assert "\n" not in str(error.value)


def test_another_config_is_refused_and_nothing_is_overwritten(copied, data_dir):
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    refused("hidden_size: 16, now 8", [COPY, TOPIC], HPARAMS.override(hidden_size=8), data_dir, copied)
    refused("problems: t_copy,t_topic, now t_copy", [COPY], HPARAMS, data_dir, copied)
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before


def test_missing_records_are_told_with_the_command(tmp_path, data_dir):
    refused(
        "there is no data_dir .*; make them with: mm-datagen .*--problems=t_copy",
        [COPY],
        HPARAMS,
        tmp_path / "no",
        tmp_path / "run",
    )
    other = dataclasses.replace(COPY, name="t_other")
    refused(
        "has no complete records of t_other; make them with: mm-datagen .*--problems=t_other",
        [other],
        HPARAMS,
        data_dir,
        tmp_path / "run",
    )
    assert not (tmp_path / "run").exists()


def test_a_vocabulary_that_is_not_the_records_is_refused(tmp_path, data_dir):
    other = shutil.copytree(data_dir, tmp_path / "data")
    train_vocabulary(["something else"], [], 280, other / "vocabulary.model")
    refused("the records of t_copy in .* were made with another vocabulary", [COPY], HPARAMS, other, tmp_path / "run")
    (other / "vocabulary.model").unlink()
    refused("no vocabulary at", [COPY], HPARAMS, other, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_vocabulary_larger_than_the_sets_is_refused(tmp_path, data_dir):
    refused(
        r"has 2\d\d pieces, the set has vocab_size=50; train with --hparams=vocab_size=2",
        [COPY],
        HPARAMS.override(vocab_size=50),
        data_dir,
        tmp_path,
    )


def test_a_report_that_fails_is_a_warning_and_a_loss_that_is_no_number_is_told_with_advice(
    tmp_path, data_dir, monkeypatch, capsys
):
    class Fails:
        def __init__(self, *args, **options):
            pass

        def train(self, until, *timing):
            raise NotFinite("loss or gradient of t_copy is not finite at step 3; the checkpoint of step 2 is untouched")

    monkeypatch.setattr(launch, "Trainer", Fails)
    monkeypatch.setattr(run_config, "build_model", lambda config: None)
    monkeypatch.setattr(launch, "start_report", Mock(side_effect=KeyError("mixer")))
    monkeypatch.setattr(launch, "left_out_of", Mock(side_effect=ValueError("no lengths")))
    monkeypatch.setattr(launch, "Scorer", Mock())
    refused("of t_copy is not finite at step 3; .* untouched; a lower learning_rate", [COPY], HPARAMS, data_dir, tmp_path / "run")
    told = capsys.readouterr().err
    assert "warning: the report on the model's size is left out: KeyError: 'mixer'\n" in told
    assert "warning: the report on lengths is left out: ValueError: no lengths\n" in told


def test_compiled_steps_of_several_devices_are_refused_before_anything_is_written(tmp_path, data_dir):
    with pytest.raises(DataError, match="xla=true compiles the steps of one device: give --strategy=one_device"):
        train_run([COPY], "tiny", HPARAMS.override(xla=True), data_dir, tmp_path / "run", strategy="mirrored")
    assert not (tmp_path / "run").exists()


def test_compiled_steps_are_slow_on_a_processor(capsys, monkeypatch):
    check_xla(HParams().override(xla=True), "auto")
    assert "depthwise convolutions are far slower" in capsys.readouterr().err
    check_xla(HParams(), "mirrored")
    assert not capsys.readouterr().err
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0", "GPU:1"])
    check_xla(HParams().override(xla=True), "one_device")
    assert not capsys.readouterr().err
    with pytest.raises(DataError, match="the steps of one device"):
        check_xla(HParams().override(xla=True), "auto")


def test_a_worker_that_never_appears_is_named_and_one_that_is_not_the_chief_leaves_nothing(tmp_path, data_dir, monkeypatch):
    chief, other = local_clusters({"worker": 2})
    for cluster, missing in ((other, chief), (chief, other)):
        assert not (tmp_path / "run").exists()
        monkeypatch.setenv("TF_CONFIG", cluster.tf_config())
        told = re.escape(f"{missing.name} ({cluster.addresses[missing.name]}) did not appear within 0.5 seconds")
        with pytest.raises(DataError, match=told):
            train_run([COPY], "tiny", HPARAMS, data_dir, tmp_path / "run", worker_timeout=0.5)
    assert (tmp_path / "run" / "config.json").exists()


def test_records_are_read_after_the_devices_are_gathered(tmp_path, data_dir, monkeypatch):
    read = Mock()
    monkeypatch.setattr(launch, "left_out_of", read)
    monkeypatch.setattr(launch, "_gather", Mock(side_effect=DataError("no devices")))
    refused("no devices", [COPY], HPARAMS, data_dir, tmp_path / "run")
    assert not read.called  # TensorFlow takes no workers once it has computed something
