"""A run that is killed (SIGKILL), again and again, or stopped, ends with the weights of one that never was.

The slow tests kill 20 times, train on several problems per step, and stop two workers (SIGTERM).
"""

import contextlib
import functools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel.distributed.local_cluster import local_clusters

PROGRAM = Path(__file__).parent.parent / "helpers" / "training_program.py"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(PROGRAM.parents[2])}


class Plan(NamedTuple):
    """The number of kills in a run, its steps, and changes of its hyperparameters."""

    kills: int
    steps: int
    changes: str = ""


ORDINARY = Plan(1, 48)
SLOW = [Plan(20, 400), Plan(5, 48, "problems_per_step=2,accumulate_steps=2")]
WORKERS = Plan(0, 48, "target_noise=0")  # A replica takes the tokens of noise from its own rows.
PLANS = [ORDINARY, *(pytest.param(plan, marks=pytest.mark.slow) for plan in SLOW)]


def command(plan, data_dir, output_dir):
    return [sys.executable, str(PROGRAM), str(data_dir), str(output_dir), str(plan.steps), plan.changes]


def run(plan, data_dir, output_dir, seconds):
    """Trains to the end, or until a kill after so many seconds; returns the exit code and the messages."""
    try:
        trained = command(plan, data_dir, output_dir)
        ended = subprocess.run(trained, capture_output=True, text=True, timeout=seconds, env=ENVIRONMENT)  # then SIGKILL ends it
    except subprocess.TimeoutExpired:
        return None, ""
    return ended.returncode, ended.stderr


def values(plan, output_dir):
    reader = tf.train.load_checkpoint(str(output_dir / f"ckpt-{plan.steps}"))
    names = [name for name in reader.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
    return {name: reader.get_tensor(name) for name in names if "save_counter" not in name}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Runs a plan once without a kill; returns data_dir, the last checkpoint's values, and the seconds that it took."""

    @functools.cache
    def run_once(plan):
        folder = tmp_path_factory.mktemp("unbroken")
        begun = time.monotonic()
        code, said = run(plan, folder / "data", folder / "run", 300 + plan.steps)
        assert code == 0, said
        return folder / "data", values(plan, folder / "run"), time.monotonic() - begun

    return run_once


@pytest.mark.parametrize("plan", PLANS)
def test_a_killed_run_ends_with_the_same_bits(unbroken, plan, tmp_path):
    data_dir, wanted, seconds = unbroken(plan)
    chance = random.Random(plan.kills)
    for _ in range(plan.kills):
        run(plan, data_dir, tmp_path, chance.uniform(0.5, 1.0) * seconds)
    code, said = run(plan, data_dir, tmp_path, 300 + plan.steps)
    assert code == 0, said
    found = values(plan, tmp_path)
    assert found.keys() == wanted.keys()
    different = [name for name in wanted if not np.array_equal(found[name], wanted[name])]
    assert not different


def run_workers(data_dir, output_dir, stop=False):
    """Trains with two workers and returns their messages; with `stop` the chief gets SIGTERM after the first checkpoint."""
    environments = [ENVIRONMENT | {"TF_CONFIG": cluster.tf_config()} for cluster in local_clusters({"worker": 2})]
    trained = command(WORKERS, data_dir, output_dir)
    with contextlib.ExitStack() as stack:
        workers = []
        for each in environments:
            workers.append(stack.enter_context(subprocess.Popen(trained, env=each, stderr=subprocess.PIPE, text=True)))
            stack.callback(workers[-1].kill)
        while stop and not (output_dir / "ckpt-8.index").exists() and workers[0].poll() is None:
            time.sleep(0.02)
        if stop:
            workers[0].send_signal(signal.SIGTERM)
        said = [worker.communicate(timeout=400 + WORKERS.steps)[1] for worker in workers]
        assert [worker.returncode for worker in workers] == [0, 0], said
        return said


@pytest.mark.slow
def test_two_workers_that_were_stopped_end_where_one_device_does(unbroken, tmp_path):
    data_dir, wanted, _ = unbroken(WORKERS)
    stopped = run_workers(data_dir, tmp_path, stop=True)
    step = int(tf.train.latest_checkpoint(str(tmp_path)).rpartition("-")[2])
    assert 8 <= step < WORKERS.steps
    assert all(f"stopped at step {step}; the checkpoint is written" in said for said in stopped)
    assert all(f"going on from step {step}" in said for said in run_workers(data_dir, tmp_path))
    assert_near(values(WORKERS, tmp_path), wanted)


def assert_near(found, wanted):
    """Checks that weights are equal up to rounding, and steps, positions in the data and states of noise exactly."""
    assert found.keys() == wanted.keys()
    weights = [name for name in wanted if name.startswith("model/") and wanted[name].dtype == np.float32]
    exact = [name for name in wanted if name.startswith(("model/", "positions/", "step")) and name not in weights]
    assert len(weights) > 100 and len(exact) > 5
    assert [name for name in exact if not np.array_equal(found[name], wanted[name])] == []
    different = {name: np.abs(found[name] - wanted[name]).max() / max(np.abs(wanted[name]).max(), 1e-3) for name in weights}
    assert max(different.values()) < 1e-2, sorted(different.items(), key=lambda item: -item[1])[:5]
