"""The same model on Keras's JAX backend: equal logits with equal weights, and a gradient that can be compiled."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
from tensors import close

NAMES = ("speech", "image_label")
PROGRAM = Path(__file__).resolve().parent.parent / "helpers" / "jax_program.py"


def weights_file(model, folder):
    """The weights in the order of the model's variables."""
    np.savez(folder / "weights.npz", *[np.asarray(v) for v in model.trainable_variables])
    return folder / "weights.npz"


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed (pip install '.[dev-all]')")
def test_jax_gives_tensorflows_logits_and_a_finite_compiled_gradient(tmp_path, root):
    model = tiny.model(NAMES)
    path = [str(root), str(PROGRAM.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(path)}
    command = [sys.executable, str(PROGRAM), str(weights_file(model, tmp_path)), str(tmp_path / "logits.npz"), *NAMES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    found = np.load(tmp_path / "logits.npz")
    for name in NAMES:
        close(found[name], model(tiny.batch(name), problem=name), 1e-4)
    close(found["steps"], found[NAMES[0]], 1e-4)
