"""What TensorFlow logs during its import stays away from stderr; other lines do not."""

import os
import subprocess
import sys

import pytest

from t2t_multimodel.utils import tensorflow_log

INFORMS = b"I0000 00:00:17.4 31] Could not find cuda drivers\n"
FAILS = b"E0000 00:00:17.4 52] failed call to cuInit\n"


@pytest.mark.parametrize("gpu", [False, True])
def test_of_a_log_only_what_concerns_the_user_is_shown(gpu, capfd, monkeypatch):
    monkeypatch.setattr(tensorflow_log, "has_nvidia_driver", lambda: gpu)
    with tensorflow_log.tensorflow_log_held_back():
        os.write(2, INFORMS + FAILS + b"mine\n")
    assert capfd.readouterr().err.encode() == FAILS * gpu + b"mine\n"


def test_a_public_name_is_imported_quietly():
    """Also where the program leaves TensorFlow's log as it is."""
    code = "import t2t_multimodel as t; t.load; import tensorflow as tf; tf.ones(1) + 1; tf.config.list_logical_devices()"
    unset = {key: value for key, value in os.environ.items() if key not in ("TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=unset)
    assert (done.returncode, done.stderr) == (0, "")
