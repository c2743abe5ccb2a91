"""Table 2 by the real trainer, on two problems of two classes: a run that is killed changes no figure."""

import dataclasses
import json
import shutil

import pytest

from t2t_multimodel.cli import experiment as command
from t2t_multimodel.cli import trainer
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.experiments import runner
from t2t_multimodel.experiments.plan import SCALES
from t2t_multimodel.features import Label
from t2t_multimodel.problem import groups, problems
from t2t_multimodel.testing import fake_problem
from t2t_multimodel.training.checkpoints import Checkpoints

TOPIC, MOOD = (
    fake_problem(
        name, [{"inputs": letters[i % 2] * 3, "targets": letters[i % 2]} for i in range(8)], targets=Label(letters, name)
    )
    for name, letters in (("t_topic", ("u", "v")), ("t_mood", ("x", "y")))
)
TINY = dataclasses.replace(
    SCALES["mini8"], name="tiny2", group="tiny2", image="t_topic", translation="t_mood", speech="t_mood", parsing="t_topic"
)
SMALL = (
    "train_steps=4,hidden_size=16,num_heads=2,encoder_blocks=1,decoder_blocks=1,num_experts=2,moe_k=1,moe_hidden_size=8,"
    "categorical_sizes=8:8"
)


@pytest.fixture
def flags(tmp_path, monkeypatch):
    """Yields the flags of mm-experiment on the two problems, whose trainer runs in this process."""
    monkeypatch.setitem(SCALES, "tiny2", TINY)
    generate([MOOD, TOPIC], tmp_path / "data", tmp_path, 280, num_shards=1, report=lambda line: None)
    monkeypatch.setattr(runner, "run_command", lambda call: trainer.main(call[3:]))  # behind python -m MODULE
    with problems.temporary(t_mood=MOOD, t_topic=TOPIC), groups.temporary(tiny2=(MOOD.name, TOPIC.name)):
        yield ["--experiment=table2", "--scale=tiny2", "--seeds=1", f"--data_dir={tmp_path / 'data'}", f"--hparams={SMALL}"]


class Killed(BaseException):
    """Ends a process in the middle, as far as a test can."""


@pytest.mark.slow
def test_table2_is_trained_and_a_killed_run_goes_on_to_the_same_figures(flags, tmp_path, monkeypatch):
    assert command.main([*flags, f"--output_dir={tmp_path / 'whole'}"]) == 0
    save = Checkpoints.save

    def killed_after(self, step, *args):
        save(self, step, *args)
        if step == 12:  # of the joint run's 32; its evaluation is lost
            raise Killed

    again = [*flags, f"--output_dir={tmp_path / 'killed'}"]
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", killed_after)
        with pytest.raises(Killed):
            command.main(again)
    for folder in (tmp_path / "whole" / "runs").glob("alone-*"):  # The other runs are whole.
        shutil.copytree(folder, tmp_path / "killed" / "runs" / folder.name)
    assert not (tmp_path / "killed" / "results.json").exists()
    assert command.main(again) == 0
    whole, killed = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("whole", "killed"))
    assert len(whole["runs"]) == 3 and all(cell["value"] is not None for cell in whole["tables"]["table2"])
    assert [run["problems"] for run in killed["runs"]] == [run["problems"] for run in whole["runs"]]
    assert (killed["tables"], killed["claims"]) == (whole["tables"], whole["claims"])
    joint = whole["runs"][0]["problems"]
    assert [joint[name]["problem_steps"] for name in ("t_mood", "t_topic")] == [16, 16]
    assert (tmp_path / "whole" / "results.html").is_file()
