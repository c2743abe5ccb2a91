"""Two replicas, in one process or in two, give one device's answer, with clipping, noise, dropout, and parts of unequal size.

The slow tests try steps of several problems and batches as well.
"""

import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel.distributed.cluster import Cluster
from t2t_multimodel.distributed.local_cluster import local_clusters
from t2t_multimodel.distributed.strategies import lost_task, make_strategy, resolve_strategy
from t2t_multimodel.utils.errors import DataError

# Steps of several problems by Adafactor: Adam divides by each number's own gradient, and one that cancels to nothing moved a new
# router, whose weights are all as small, by 2e-5 of its norm, and after twenty such steps the losses by more than 1e-3.
SEVERAL = "problems_per_step=2,accumulate_steps=2,optimizer=adafactor"
# 5 rows of 10 tokens, or of an image, whatever the batch.
FIXED = "fixed_shapes=true,max_length=10,batch_tokens=100,batch_images=5,moe_capacity_factor=0.8"
CHANGES = ["", pytest.param(SEVERAL, marks=pytest.mark.slow), pytest.param(FIXED, marks=pytest.mark.slow)]
SECONDS = 900


@pytest.fixture(scope="module", params=CHANGES)
def trained(request, root, tmp_path_factory):
    """Returns the results of 50 steps on one device, on two logical CPUs of one process, and in each of two loopback workers."""
    folder = tmp_path_factory.mktemp("replicas")
    command = [sys.executable, str(root / "tests" / "helpers" / "replicas_program.py"), str(folder), "50", request.param]
    environment = os.environ | {"PYTHONPATH": str(root)}
    workers = [environment | {"TF_CONFIG": cluster.tf_config()} for cluster in local_clusters({"worker": 2})]
    runs = [(environment, ["one_device", "mirrored"]), *((worker, ["multi_worker"]) for worker in workers)]
    with contextlib.ExitStack() as stack:
        processes = []
        for where, names in runs:
            process = subprocess.Popen([*command, *names], env=where, stderr=subprocess.PIPE, text=True)
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        for process in processes:
            _, said = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, said
    return {path.stem: dict(np.load(path)) for path in folder.glob("*.npz")}


def furthest(first, second, prefix, size):
    """Returns the largest difference of two tensors, relative to the `size` of the first."""
    names = [name for name in first if name.startswith(prefix)]
    assert len(names) > 90 and first.keys() == second.keys()
    return max(size(first[name] - second[name]) / max(size(first[name]), 1e-6) for name in names)


def largest(tensor):
    return np.abs(tensor).max()


DEVICES = {"mirrored-0": "2 replicas: CPU:0, CPU:1", "multi_worker-0": "2 replicas, here: CPU:0"}


@pytest.mark.parametrize("name", DEVICES)
def test_two_replicas_train_as_one_device_does(name, trained):
    one, two = trained["one_device-0"], trained[name]
    assert two["devices"] == DEVICES[name]
    assert one["norms"].min() > 0.6  # it is clipped at 0.3, in every step
    assert furthest(one, two, "m/", largest) < 1e-5
    # Adam divides by a gradient's own size: a number whose gradient cancels to nothing moves as far, with few right digits.
    assert furthest(one, two, "w/", np.linalg.norm) < 1e-5
    assert len(two["losses"]) == 50
    assert np.abs(two["losses"] / one["losses"] - 1).max() < 1e-3


def test_both_workers_have_the_same_bits(trained):
    first, second = trained["multi_worker-0"], trained["multi_worker-1"]
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_one_device_is_no_strategy_at_all():
    assert make_strategy("auto") is make_strategy("one_device") is tf.distribute.get_strategy()


ALONE = Cluster({"worker": ("a:1",)}, "worker", 0)
SEVERAL = Cluster({"worker": ("a:1", "b:1")}, "worker", 0)


@pytest.mark.parametrize(
    ("name", "cluster", "wanted"),
    [
        ("auto", None, "auto"),
        ("auto", ALONE, "auto"),
        ("auto", SEVERAL, "multi_worker"),
        ("multi_worker", ALONE, "multi_worker"),
        ("mirrored", ALONE, "mirrored"),
    ],
)
def test_the_cluster_of_tf_config_decides_what_auto_is(name, cluster, wanted):
    assert resolve_strategy(name, cluster) == wanted


@pytest.mark.parametrize(
    ("name", "cluster", "message"),
    [
        ("multi_worker", None, "--strategy=multi_worker needs TF_CONFIG in each worker's environment, or --local_workers=N"),
        (
            "mirrored",
            SEVERAL,
            "TF_CONFIG describes a cluster, in which --strategy=multi_worker trains; --strategy=mirrored trains",
        ),
        ("multi_worker", Cluster({"worker": ("a:1",), "ps": ("b:1",)}, "ps", 0), "should be chief and worker .*, got ps"),
    ],
)
def test_a_strategy_that_does_not_fit_the_cluster_is_refused(name, cluster, message):
    with pytest.raises(DataError, match=message):
        resolve_strategy(name, cluster)


def test_an_unknown_strategy_is_refused():
    with pytest.raises(ValueError, match="one of auto, one_device, mirrored, multi_worker, tpu, parameter_server, got 'mirored'"):
        resolve_strategy("mirored", None)


def test_without_a_tpu_there_is_one_line(monkeypatch):
    def absent(resolver):
        raise tf.errors.NotFoundError(None, None, "TPUs not found in the cluster. Failed in initialization: No OpKernel\n...")

    monkeypatch.delenv("TPU_NAME", raising=False)
    monkeypatch.setattr(tf.tpu.experimental, "initialize_tpu_system", absent)
    with pytest.raises(DataError) as error:
        make_strategy("tpu")
    told = "there is no TPU 'local' (TPUs not found in the cluster); the environment variable TPU_NAME names another"
    assert str(error.value) == told


MESSAGES = {
    "worker 1": "Collective ops is aborted by: Error reported from /job:worker/task:1: The following tasks are unhealthy",
    "chief 0": "Connection reset by peer\nAdditional GRPC error information from remote target /job:chief/replica:0/task:0",
    "another worker": "Collective ops is aborted by: something else",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_the_worker_that_is_gone_is_named(name):
    assert lost_task(tf.errors.UnavailableError(None, None, MESSAGES[name])) == name


def test_a_worker_whose_chief_died_behind_the_handshake_says_so(root):
    _, second = local_clusters({"worker": 2})
    script = "from t2t_multimodel.distributed.strategies import make_strategy; make_strategy('multi_worker', 2)"
    environment = os.environ | {"PYTHONPATH": str(root), "TF_CONFIG": second.tf_config()}
    command = [sys.executable, "-c", script]
    alone = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS)
    said = "DataError: another worker ended while the workers connected, or cannot be reached (2 seconds)"
    assert said in alone.stderr
