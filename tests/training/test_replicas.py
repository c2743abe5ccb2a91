"""Two replicas give one device's answer, with clipping, noise, dropout, and parts of unequal size.

MULTIMODEL_REPLICAS=1 tries steps of several problems and batches as well.
"""

import json
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from t2t_multimodel.training.distribution import make_strategy, resolve_strategy

CHANGES = ["", "problems_per_step=2,accumulate_steps=2"]


@pytest.mark.parametrize("changes", CHANGES if os.environ.get("MULTIMODEL_REPLICAS") else CHANGES[:1])
def test_two_replicas_train_as_one_device_does(changes, root):
    program = root / "tests" / "helpers" / "replicas_program.py"
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, str(program), "50", changes], env=environment, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["devices"] == "2 replicas: CPU:0, CPU:1"
    assert found["least_norm"] > 0.6  # it is clipped at 0.3, in every step
    assert found["gradients"] < 1e-5
    assert found["weights"] < 1e-5
    assert found["losses"] < 1e-3


def test_one_device_is_no_strategy_at_all():
    assert make_strategy("auto") is make_strategy("one_device") is tf.distribute.get_strategy()


def test_an_unknown_strategy_is_refused():
    with pytest.raises(ValueError, match="one of auto, one_device, mirrored, multi_worker, tpu, got 'mirored'"):
        resolve_strategy("mirored", None)
