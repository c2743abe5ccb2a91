"""A run in one file: what the commands take from it, what they say of its mistakes, and that it repeats a run."""

import itertools
import re
import tomllib
import types
from pathlib import Path

import numpy as np
import own_files
import pytest
import registries

from t2t_multimodel.cli import common, datagen, decoder, trainer
from t2t_multimodel.config import HParams
from t2t_multimodel.data.problem_file.load import read_problem_file, table_of
from t2t_multimodel.problem import problems
from t2t_multimodel.runs.run_file import RunFile
from t2t_multimodel.training import trainer as module

DESCRIPTION = """
[problem.mine]
kind = "text_pairs"
target_space = "to_german"
train = {inputs = "train.en", targets = "train.de"}
dev = {inputs = "dev.en", targets = "dev.de"}
reverse = {target_space = "to_english"}
"""
RUN = f"""
data_dir = "data"
output_dir = "run"
hparams_set = "multimodel_tiny"
train_steps = 3
eval_steps = 1
num_shards = 1
vocab_size = 400

[hparams]
hidden_size = 8
num_heads = 2
encoder_blocks = 1
mixer_blocks = 1
decoder_blocks = 1
num_experts = 0
batch_tokens = 100
dropout = 0.1
eval_samples = 0
{DESCRIPTION}"""


@pytest.fixture(autouse=True)
def registry_as_before():
    with registries.as_before(problems):
        yield


@pytest.fixture
def run_file(tmp_path):
    own_files.write(tmp_path)
    (tmp_path / "run.toml").write_text(RUN)
    return tmp_path / "run.toml"


def taken(command, *argv):
    """The values of the flags of a command that are neither defaults nor None, once its run file is applied."""
    flags, seen = command.command_flags(), {}
    common.run_command(
        flags, lambda args: seen.update({flag: args[flag].value for flag in args if not args[flag].using_default_value}), argv
    )
    return seen


def weights(folder):
    from tensorflow.train import load_checkpoint

    reader = load_checkpoint(str(folder))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if name.startswith("model")}


def test_a_run_file_repeats_a_run_to_the_bit(run_file, tmp_path):
    assert datagen.main([f"--config={run_file}"]) == 0
    assert trainer.main([f"--config={run_file}", "--stop_step=2"]) == 0
    written = tomllib.loads((tmp_path / "run/run.toml").read_text())
    assert written["problems"] == ["mine", "mine_rev"] and written["hparams"]["train_steps"] == 3 and written["stop_step"] == 2
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    assert trainer.main([f"--config={moved}/run.toml", f"--output_dir={tmp_path}/again"]) == 0
    before, after = weights(moved), weights(tmp_path / "again")
    assert before.keys() == after.keys() and len(before) > 20
    assert all(np.array_equal(before[name], after[name]) for name in before)
    losses = [re.findall(r'"[^"]*loss": [^,]*', (place / "metrics.jsonl").read_text()) for place in (moved, tmp_path / "again")]
    assert losses[0] == losses[1] and losses[0]


@pytest.mark.slow
def test_a_run_file_repeats_a_run_by_the_clock_to_the_bit(run_file, tmp_path, monkeypatch):
    clock = itertools.count(0, 0.05)  # which moves when it is looked at, so that the number of steps is no matter of speed
    monkeypatch.setattr(module, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    by_clock = RUN.replace("train_steps = 3", "train_minutes = 0.2")
    run_file.write_text(by_clock.replace("[hparams]", "[hparams]\neval_every = 40"))
    assert datagen.main([f"--config={run_file}"]) == 0
    assert trainer.main([f"--config={run_file}"]) == 0
    written = tomllib.loads((tmp_path / "run/run.toml").read_text())
    assert written["planned_steps"].startswith("10:") and written["stop_step"] >= 10 and "train_minutes" not in written
    assert trainer.main([f"--config={tmp_path}/run/run.toml", f"--output_dir={tmp_path}/again"]) == 0
    before, after = weights(tmp_path / "run"), weights(tmp_path / "again")
    assert before.keys() == after.keys() and all(np.array_equal(before[name], after[name]) for name in before)
    assert (tmp_path / "again/run.toml").read_text() == (tmp_path / "run/run.toml").read_text()


def test_each_command_takes_what_it_knows_and_flags_override(run_file, tmp_path):
    made = taken(datagen, f"--config={run_file}", "--num_shards=7")
    assert made["num_shards"] == 7 and made["problems"] == "mine,mine_rev" and made["vocab_size"] == 400
    assert made["data_dir"] == str(tmp_path / "data") and "output_dir" not in made
    trained = taken(trainer, f"--config={run_file}", "--hparams=hidden_size=16", "--output_dir=elsewhere", "--problems=mine")
    assert (trained["train_steps"], trained["output_dir"], trained["problems"]) == (3, "elsewhere", "mine")
    assert common.get_hparams("multimodel_tiny", trained["hparams"]).model.hidden_size == 16
    assert common.get_hparams("multimodel_tiny", trained["hparams"]).model.num_experts == 0
    decoded = taken(decoder, f"--config={run_file}")
    assert decoded["output_dir"] == str(tmp_path / "run") and "problems" not in decoded and "train_steps" not in decoded


def test_problems_may_be_named_and_lie_in_files_of_their_own(run_file, tmp_path):
    (tmp_path / "my.toml").write_text(DESCRIPTION.replace("problem.mine", "problems.other"))
    run_file.write_text('problems = ["other", "mini8"]\nproblem_file = "my.toml"\n')
    assert taken(datagen, f"--config={run_file}")["problem_file"] == [str(tmp_path / "my.toml")]
    assert taken(datagen, f"--config={run_file}")["problems"] == "other,mini8" and "other" in problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = [", "run.toml is not TOML: "),
        ("train_step = 3", "run.toml: unknown key 'train_step'; did you mean train_steps"),
        ("learning_rate = 3", "learning_rate is a hyperparameter, which stands below [hparams]"),
        ("config = 'a.toml'", "unknown key 'config'"),
        ("train_steps = 'many'", "run.toml, train_steps: must be an integer, at least 0, got 'many'"),
        ("train_steps = -1", "run.toml, train_steps: must be an integer, at least 0, got -1"),
        ("train_steps = {a = 3}", "run.toml, train_steps: must be a text, a number, true, false, or a list of these"),
        ("schedule = 'train'", "run.toml, schedule: "),
        ("xla = 3", "run.toml, xla: must be true or false, got 3"),
        ("hparams = 'a=3'", "run.toml, hparams: must be a table, which begins with [hparams]"),
        ("[hparams]\nlearning_rat = 3", "run.toml, hparams: unknown hyperparameter 'learning_rat'; did you mean learning_rate"),
        ("[hparams]\nlearning_rate = {}", "run.toml, hparams.learning_rate: must be a number, true, false"),
        ("[problem.mine]\nkind = 'text_pair'", "run.toml, problem.mine, kind: unknown kind 'text_pair'; did you mean text_pairs"),
        ("[problem.mine]\nkind = 'text_pairs'\nroot = 'a'", "run.toml, problem.mine: the key target_space is missing"),
        ("[problems.mine]\nkind = 'text_pairs'", "run.toml, problems: must be names; a description begins with [problem.mine]"),
    ],
)
def test_a_mistake_is_one_line(run_file, text, message, capsys):
    run_file.write_text(text)
    assert trainer.main([f"--config={run_file}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mm-trainer: error: ") and message in line


def test_a_run_file_that_is_not_there_is_named(tmp_path, capsys):
    assert datagen.main([f"--config={tmp_path}/no.toml"]) == 2
    assert (
        capsys.readouterr().err
        == f"mm-datagen: error: --config={tmp_path}/no.toml: No such file or directory; give a TOML file\n"
    )


def test_what_is_written_describes_the_same_problems(tmp_path):
    text = (
        DESCRIPTION.replace("problem.", "problems.")
        + 'source = "\\u007f 😀 \\"quoted\\" \\\\"\ncolumns = {inputs = "a.b", targets = "c"}\n'
    )
    (tmp_path / "p.toml").write_text(text.replace("reverse =", "loss_weight = 1e-7\nreverse ="))
    found = read_problem_file(tmp_path / "p.toml")
    hparams = HParams().override("image_channels=4:8,learning_rate=1e-5")
    content = tomllib.loads(RunFile(tmp_path, found, "no_such_set", hparams, Path("data"), "auto").text(3))
    assert content["problem"] == {"mine": table_of(found[0])[1]} and content["problem"]["mine"]["folder"] == str(tmp_path)
    assert content["hparams"] == {"image_channels": [4, 8], "learning_rate": 1e-5} and content["stop_step"] == 3
    by_clock = tomllib.loads(RunFile(tmp_path, found, "x", hparams, Path("data"), "auto").text(None, 90, True))
    assert by_clock["train_minutes"] == 1.5 and "train_steps" not in by_clock
    limited = tomllib.loads(RunFile(tmp_path, found, "x", hparams, Path("data"), "auto").text(None, 90))
    assert limited["train_steps"] == 100_000 and "train_steps" not in limited["hparams"]
    (tmp_path / "run.toml").write_text(RunFile(tmp_path, found, "x", hparams, Path("data"), "auto").text(40, 0, True, "10:50"))
    assert str(taken(trainer, f"--config={tmp_path}/run.toml")["planned_steps"]) == "10:50"
    (tmp_path / "run.toml").write_text("# mine\n")
    with pytest.raises(common.DataError, match=r"run\.toml is a file of yours, and mm-trainer writes one of that name"):
        RunFile(tmp_path, found, "x", hparams, Path("data"), "auto").check()
