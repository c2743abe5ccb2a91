"""A run that is killed (SIGKILL), again and again, ends with the weights of one that never was.

MULTIMODEL_KILLS=20 kills more often than the once of an ordinary test run; MULTIMODEL_KILLS_HPARAMS, as
"problems_per_step=2,accumulate_steps=2", are other hyperparameters of the run.
"""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

PROGRAM = Path(__file__).parent.parent / "helpers" / "training_program.py"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(PROGRAM.parents[2])}
KILLS = int(os.environ.get("MULTIMODEL_KILLS", "1"))
STEPS = 48 if KILLS < 10 else 400


def run(data_dir, output_dir, seconds):
    """Trains until the end, or for so many seconds and is killed; returns the exit code and what was said."""
    changes = os.environ.get("MULTIMODEL_KILLS_HPARAMS", "")
    command = [sys.executable, str(PROGRAM), str(data_dir), str(output_dir), str(STEPS), changes]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=ENVIRONMENT)  # then SIGKILL ends it
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
