"""A run that is killed (SIGKILL), again and again, or stopped, ends with the weights of one that never was.

MULTIMODEL_KILLS=20 kills more often than the once of an ordinary test run; MULTIMODEL_KILLS_HPARAMS, as
"problems_per_step=2,accumulate_steps=2", are other hyperparameters of the run. Where MULTIMODEL_KILLS is set, two workers are
stopped (SIGTERM) and go on as well.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel.distributed.local_cluster import local_clusters

PROGRAM = Path(__file__).parent.parent / "helpers" / "training_program.py"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(PROGRAM.parents[2])}
KILLS = int(os.environ.get("MULTIMODEL_KILLS", "1"))
STEPS = 48 if KILLS < 10 else 400


def command(data_dir, output_dir):
    changes = os.environ.get("MULTIMODEL_KILLS_HPARAMS", "")
    return [sys.executable, str(PROGRAM), str(data_dir), str(output_dir), str(STEPS), changes]


def run(data_dir, output_dir, seconds):
    """Trains until the end, or for so many seconds and is killed; returns the exit code and what was said."""
    try:
        trained = command(data_dir, output_dir)
        ended = subprocess.run(trained, capture_output=True, text=True, timeout=seconds, env=ENVIRONMENT)  # then SIGKILL ends it
    except subprocess.TimeoutExpired:
        return None, ""
    return ended.returncode, ended.stderr


def values(output_dir):
    reader = tf.train.load_checkpoint(str(output_dir / f"ckpt-{STEPS}"))
    names = [name for name in reader.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
    return {name: reader.get_tensor(name) for name in names if "save_counter" not in name}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """data_dir, the values of the last checkpoint of a run that was left alone, and the seconds it took."""
    folder = tmp_path_factory.mktemp("unbroken")
    begun = time.monotonic()
    code, said = run(folder / "data", folder / "run", 300 + STEPS)
    assert code == 0, said
    return folder / "data", values(folder / "run"), time.monotonic() - begun


def test_a_killed_run_ends_with_the_same_bits(unbroken, tmp_path):
    data_dir, wanted, seconds = unbroken
    chance = random.Random(KILLS)
    for _ in range(KILLS):
        run(data_dir, tmp_path, chance.uniform(0.5, 1.0) * seconds)
    code, said = run(data_dir, tmp_path, 300 + STEPS)
    assert code == 0, said
    found = values(tmp_path)
    assert found.keys() == wanted.keys()
    different = [name for name in wanted if not np.array_equal(found[name], wanted[name])]
    assert not different


def run_workers(data_dir, output_dir, stop=False):
    """Trains with two workers and returns what each said; with `stop`, the chief gets SIGTERM after the first checkpoint."""
    environments = [ENVIRONMENT | {"TF_CONFIG": cluster.tf_config()} for cluster in local_clusters({"worker": 2})]
    trained = command(data_dir, output_dir)
    with contextlib.ExitStack() as stack:
        workers = []
        for each in environments:
            workers.append(stack.enter_context(subprocess.Popen(trained, env=each, stderr=subprocess.PIPE, text=True)))
            stack.callback(workers[-1].kill)
        while stop and not (output_dir / "ckpt-8.index").exists() and workers[0].poll() is None:
            time.sleep(0.02)
        if stop:
            workers[0].send_signal(signal.SIGTERM)
        said = [worker.communicate(timeout=400 + STEPS)[1] for worker in workers]
        assert [worker.returncode for worker in workers] == [0, 0], said
        return said


@pytest.mark.skipif("MULTIMODEL_KILLS" not in os.environ, reason="takes minutes; MULTIMODEL_KILLS=1 runs it")
def test_two_workers_that_were_stopped_end_where_one_device_does(unbroken, tmp_path):
    data_dir, wanted, _ = unbroken
    stopped = run_workers(data_dir, tmp_path, stop=True)
    step = int(tf.train.latest_checkpoint(str(tmp_path)).rpartition("-")[2])
    assert 8 <= step < STEPS
    assert all(f"stopped at step {step}; the checkpoint is written" in said for said in stopped)
    assert all(f"going on from step {step}" in said for said in run_workers(data_dir, tmp_path))
    assert_near(values(tmp_path), wanted)


def assert_near(found, wanted):
    """Weights but for rounding; steps, positions in the data and states of the noise to the bit."""
    assert found.keys() == wanted.keys()
    weights = [name for name in wanted if name.startswith("model/") and wanted[name].dtype == np.float32]
    exact = [name for name in wanted if name.startswith(("model/", "positions/", "step")) and name not in weights]
    assert len(weights) > 100 and len(exact) > 5
    assert [name for name in exact if not np.array_equal(found[name], wanted[name])] == []
    different = {name: np.abs(found[name] - wanted[name]).max() / max(np.abs(wanted[name]).max(), 1e-3) for name in weights}
    assert max(different.values()) < 1e-2, sorted(different.items(), key=lambda item: -item[1])[:5]
