"""Strategies of distribution: the devices and workers on which a run trains."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from t2t_multimodel.distributed.cluster import CHIEF_JOBS, WORKER_TIMEOUT, Cluster
from t2t_multimodel.utils.errors import DataError

if TYPE_CHECKING:
    import tensorflow as tf

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu", "parameter_server")


def resolve_strategy(name: str, cluster: Cluster | None) -> str:
    """Returns the name of the strategy: "auto" is replaced if TF_CONFIG decides it, any other name is checked.

    Args:
        name: one of STRATEGIES.
        cluster: the cluster of TF_CONFIG.

    Raises:
        DataError: the strategy and the cluster do not fit.
        ValueError: no strategy has this name.
    """
    if name not in STRATEGIES:
        raise ValueError(f"the strategy is one of {', '.join(STRATEGIES)}, got {name!r}")
    several = cluster is not None and len(cluster.addresses) > 1
    if name == "auto" and cluster and several:
        name = "parameter_server" if "ps" in cluster.jobs else "multi_worker"
    if name == "parameter_server":
        _check_parameter_servers(cluster)
        return name
    if name == "multi_worker":
        if cluster is None:
            raise DataError("--strategy=multi_worker needs TF_CONFIG in each worker's environment, or --local_workers=N")
        if unknown := [job for job in cluster.jobs if job not in CHIEF_JOBS]:
            raise DataError(f"the jobs of TF_CONFIG should be chief and worker for --strategy=multi_worker, got {unknown[0]}")
    elif several:
        raise DataError(f"TF_CONFIG describes a cluster, in which --strategy=multi_worker trains; --strategy={name} trains alone")
    return name


def _check_parameter_servers(cluster: Cluster | None) -> None:
    if cluster is None:
        raise DataError("--strategy=parameter_server needs TF_CONFIG in the environment of each task, or --local_workers=N")
    counts = {job: len(addresses) for job, addresses in cluster.jobs.items()}
    if set(counts) != {"chief", "worker", "ps"} or counts["chief"] != 1:
        found = ", ".join(f"{count} {job}" for job, count in counts.items())
        raise DataError(f"--strategy=parameter_server needs a TF_CONFIG with 1 chief, workers and ps; it has {found}")


def make_strategy(name: str = "auto", worker_timeout: float = WORKER_TIMEOUT) -> tf.distribute.Strategy:
    """Returns the strategy of a name from `resolve_strategy`; docs/distribution.md describes each.

    "multi_worker" must be made before anything is computed in this process. It waits for the other workers.

    Args:
        name: the strategy's name.
        worker_timeout: seconds that "multi_worker" waits for the other workers.

    Raises:
        DataError: the name is "tpu", and there is no TPU; or it is "multi_worker", and another worker did not connect.
    """
    import tensorflow as tf

    if name == "tpu":
        return _tpu_strategy()
    if name == "multi_worker":
        return _multi_worker_strategy(worker_timeout)
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        return tf.distribute.MirroredStrategy([device.name for device in gpus or tf.config.list_logical_devices("CPU")])
    return tf.distribute.get_strategy()


def _multi_worker_strategy(timeout: float) -> tf.distribute.Strategy:
    import tensorflow as tf

    from t2t_multimodel.tf_internals import connecting_within

    handler = signal.getsignal(signal.SIGTERM)
    try:
        with connecting_within(timeout):
            return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.DeadlineExceededError as error:
        raise DataError(
            f"another worker ended while the workers connected, or cannot be reached ({timeout:g} seconds); see what it printed, "
            "and start all of them again"
        ) from error
    finally:
        signal.signal(signal.SIGTERM, handler)  # TensorFlow has replaced it, to watch for preemption


def _tpu_strategy() -> tf.distribute.Strategy:
    """Returns a TPUStrategy, made as in https://www.tensorflow.org/guide/tpu; TPU_NAME names a TPU of another machine."""
    import tensorflow as tf

    name = os.environ.get("TPU_NAME", "local")
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
        if name != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (tf.errors.OpError, ValueError, RuntimeError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].split(". ")[0]
        raise DataError(f"there is no TPU {name!r} ({reason}); the environment variable TPU_NAME names another") from error


def described(strategy: tf.distribute.Strategy) -> str:
    """Returns the replicas' devices in one line, like "2 replicas: GPU:0, GPU:1", or "2 replicas, here: GPU:0" in a cluster."""
    devices = strategy.extended.worker_devices
    here = ", here" if len(devices) < strategy.num_replicas_in_sync else ""
    return f"{strategy.num_replicas_in_sync} replicas{here}: {', '.join(':'.join(device.split(':')[-2:]) for device in devices)}"


def lost_task(error: tf.errors.UnavailableError) -> str:
    """Returns the name of the lost worker in TensorFlow's message, like "worker 1"."""
    found = re.search(r"/job:(\w+)(?:/replica:\d+)?/task:(\d+)", str(error))
    return f"{found[1]} {found[2]}" if found else "another worker"


class WorkerGroup:
    """The workers that do each step together, of which this process is one; without "multi_worker" it is the only one.

    Args:
        strategy: the run's strategy.
        cluster: the cluster of the workers.

    Attributes:
        count: the number of workers.
        index: the index of this worker; 0 is the chief.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None, cluster: Cluster | None = None) -> None:
        names = list(cluster.addresses) if cluster else [""]
        self.count = len(names)
        self.index = names.index(cluster.name) if cluster else 0
        self._total = _summed_over_workers(strategy) if strategy and self.count > 1 else None

    @property
    def is_chief(self) -> bool:
        """Returns whether this worker writes the run's files."""
        return self.index == 0

    def total(self, values: Sequence[float]) -> list[float]:
        """Returns the sums of `values` over the workers. All workers must call it with the same number of values."""
        return list(values) if self._total is None else self._total(np.array(values, np.float64)).tolist()


def _summed_over_workers(strategy: tf.distribute.Strategy) -> Callable[[np.ndarray], np.ndarray]:
    import tensorflow as tf

    replicas = len(strategy.extended.worker_devices)  # of this worker; each adds an equal share of the worker's values

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float64)], autograph=False)
    def total(values: tf.Tensor) -> Any:
        def add() -> tf.Tensor:
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values / replicas)

        return strategy.experimental_local_results(strategy.run(add))[0]

    return lambda values: total(values).numpy()
