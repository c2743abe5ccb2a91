"""Keeping the best checkpoints: links, copies, and a process that is killed while it does so."""

import contextlib
import itertools
import json
import os
from pathlib import Path

import pytest
import tensorflow as tf

from t2t_multimodel.training.best import keep_best
from t2t_multimodel.training.decisions import Best

FIRST, SECOND = {"mean": Best(5, 2.0)}, {"mean": Best(10, 1.0)}


@pytest.fixture
def output_dir(tmp_path):
    """Returns a folder with a config and checkpoints of steps 5 and 10, whose only weight is the step."""
    number = tf.Variable(0)
    for step in (5, 10):
        number.assign(step)
        tf.train.Checkpoint(number=number).write(str(tmp_path / f"ckpt-{step}"))
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def kept_number(output_dir):
    """Returns the weight in the checkpoint that the folder's file `checkpoint` names."""
    path = tf.train.latest_checkpoint(str(output_dir / "best" / "mean-loss"))
    return int(tf.train.load_checkpoint(path).get_tensor("number/.ATTRIBUTES/VARIABLE_VALUE"))


def names(output_dir):
    return {path.name for path in (output_dir / "best" / "mean-loss").iterdir()}


def whole(step):
    return {"checkpoint", "config.json", "best.json", f"ckpt-{step}.index", f"ckpt-{step}.data-00000-of-00001"}


def test_the_best_replaces_the_one_before(output_dir):
    for best, step in ((FIRST, 5), (SECOND, 10), (SECOND, 10)):
        keep_best(output_dir, "loss", best)
        assert kept_number(output_dir) == step
        assert names(output_dir) == whole(step)
    found = json.loads((output_dir / "best" / "mean-loss" / "best.json").read_text())
    assert found == {"step": 10, "metric": "loss", "value": 1.0}


def test_files_are_on_the_disk_once_and_outlive_the_runs_own(output_dir):
    keep_best(output_dir, "loss", FIRST)
    for path in output_dir.glob("ckpt-5.*"):
        assert path.samefile(output_dir / "best" / "mean-loss" / path.name)
        path.unlink()
    assert kept_number(output_dir) == 5


def test_without_hard_links_files_are_copied(output_dir, monkeypatch):
    def refuses(*args):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuses)
    keep_best(output_dir, "loss", FIRST)
    assert kept_number(output_dir) == 5
    assert names(output_dir) == whole(5)


def test_a_best_whose_checkpoint_is_gone_leaves_what_is_kept(output_dir):
    keep_best(output_dir, "loss", FIRST)
    keep_best(output_dir, "loss", {"mean": Best(7, 0.5)})
    assert kept_number(output_dir) == 5


class Killed(Exception):
    pass


@pytest.mark.parametrize("moment", range(13))
def test_a_process_that_is_killed_leaves_one_that_is_whole_and_the_next_completes_it(moment, output_dir, monkeypatch):
    keep_best(output_dir, "loss", FIRST)
    count = itertools.count()

    def dies_at_the_moment(function):
        def wrapped(*args, **options):
            if next(count) == moment:
                raise Killed
            return function(*args, **options)

        return wrapped

    with monkeypatch.context() as dying, contextlib.suppress(Killed):
        for name in ("replace", "unlink"):
            dying.setattr(Path, name, dies_at_the_moment(getattr(Path, name)))
        keep_best(output_dir, "loss", SECOND)
        raise AssertionError("there are fewer moments than that")
    assert kept_number(output_dir) in (5, 10)
    keep_best(output_dir, "loss", SECOND)
    assert kept_number(output_dir) == 10
    assert names(output_dir) == whole(10)
