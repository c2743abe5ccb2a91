"""Averaged checkpoints hold the means of the weights, in a directory that decodes."""

import numpy as np
import pytest
import small_run

from t2t_multimodel.runs.averaging import average_run
from t2t_multimodel.runs.run_config import open_run
from t2t_multimodel.training.checkpoints import Checkpoints, by_path
from t2t_multimodel.utils.errors import DataError


@pytest.fixture(scope="module")
def output_dir(tmp_path_factory):
    """A run with different checkpoints of steps 7, 8 and 9, in a folder whose name TensorFlow takes for a pattern."""
    folder = tmp_path_factory.mktemp("run") / "lr=[0.1]"
    folder.mkdir()
    small_run.make(folder)
    _, _, model, _ = open_run(folder)
    checkpoints = Checkpoints(folder, model)
    for step in (8, 9):
        for variable in model.trainable_variables:
            variable.assign(variable * 0.5 + step)
        checkpoints.save(step)
    return folder


def weights(folder, step=None):
    return {name: value.numpy() for name, value in by_path(open_run(folder, step)[2].trainable_variables).items()}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_weights_are_the_mean_of_the_last_checkpoints(count, output_dir):
    target = average_run(output_dir, count)
    last = [weights(output_dir, step) for step in (7, 8, 9)[-count:]]
    for name, value in weights(target).items():
        np.testing.assert_allclose(value, np.mean([each[name] for each in last], axis=0), rtol=1e-6, atol=1e-6)
    assert open_run(target)[3] == 9


def test_more_checkpoints_than_there_are_cannot_be_averaged(output_dir):
    with pytest.raises(DataError, match="has fewer than 4 whole checkpoints, those of steps 7, 8, 9"):
        average_run(output_dir, 4)


def test_an_average_that_fails_leaves_the_one_before_and_its_scores(output_dir, monkeypatch):
    target = average_run(output_dir, 1)
    (target / "metrics.jsonl").write_text("scores\n")
    before = sorted(path.name for path in output_dir.iterdir())

    def fails(self, step):
        (self._directory / "ckpt-9.index").write_bytes(b"half")
        raise DataError("the disk is full")

    with monkeypatch.context() as patched, pytest.raises(DataError, match="disk is full"):
        patched.setattr(Checkpoints, "save", fails)
        average_run(output_dir, 2)
    assert open_run(target)[3] == 9
    average_run(output_dir, 2)
    assert (target / "metrics.jsonl").read_text() == "scores\n"
    assert sorted(path.name for path in output_dir.iterdir()) == before
