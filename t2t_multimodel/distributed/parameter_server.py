"""The processes of asynchronous training: a chief, workers that compute steps, parameter servers that hold the variables."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable

import tensorflow as tf

from t2t_multimodel.distributed.cluster import Cluster
from t2t_multimodel.distributed.rendezvous import host_and_port, missing_tasks
from t2t_multimodel.distributed.sharding import by_experts
from t2t_multimodel.tf_internals import server_config
from t2t_multimodel.utils.errors import DataError


class ParameterServers:
    """A chief's connection to its workers and parameter servers.

    Args:
        cluster: the cluster; this process is its chief.
        seconds: the time within which every task must appear.
        num_experts: experts per mixture; their weights are divided among the parameter servers.

    Attributes:
        strategy: the strategy that places variables on the parameter servers in turn.
        coordinator: gives functions to the workers.
        num_workers: the number of workers.

    Raises:
        DataError: a task did not appear.
    """

    def __init__(self, cluster: Cluster, seconds: float, num_experts: int = 0) -> None:
        self._cluster = cluster
        self._lost: set[str] = set()
        self._wait(seconds)
        _fail_fast()
        tf.get_logger().setLevel(logging.CRITICAL)  # TensorFlow logs several lines per second about a lost worker
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            _cluster_spec(cluster), task_type=cluster.job, task_id=cluster.index, rpc_layer="grpc"
        )
        partitioner = by_experts(num_experts, len(cluster.jobs["ps"]))
        self.strategy = tf.distribute.ParameterServerStrategy(resolver, partitioner)
        self.coordinator = tf.distribute.coordinator.ClusterCoordinator(self.strategy)
        self.num_workers = len(cluster.jobs["worker"])

    def _wait(self, seconds: float) -> None:
        """Waits until all tasks listen, since TensorFlow would wait silently for a missing one."""
        end = time.monotonic() + seconds
        while missing := _silent(self._cluster):
            if time.monotonic() > end:
                raise DataError(missing_tasks(self._cluster, missing, seconds))
            time.sleep(0.2)

    def report_lost(self, report: Callable[[str], None]) -> None:
        """Reports the tasks that do not answer since the last call, and those that answer again."""
        lost, addresses = set(_silent(self._cluster)), self._cluster.addresses
        for name in sorted(lost - self._lost):
            report(f"{name} ({addresses[name]}) does not answer; its steps are done by other workers, or wait for one")
        for name in sorted(self._lost - lost):
            report(f"{name} ({addresses[name]}) answers again")
        self._lost = lost


def serve(cluster: Cluster) -> None:
    """Runs a worker or a parameter server, which does what the chief asks for, until SIGTERM.

    TensorFlow does not report when the chief has ended.
    """
    # Steps wait for each other's variables. With fewer threads than steps under way, all threads could be waiting.
    config = server_config(max(os.cpu_count() or 1, len(cluster.jobs["worker"]) + 1))
    _fail_fast()
    server = tf.distribute.Server(
        _cluster_spec(cluster), job_name=cluster.job, task_index=cluster.index, protocol="grpc", config=config
    )
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *received: ended.set())
    while server and not ended.wait(60.0):  # Server.join would block signals
        pass


def _cluster_spec(cluster: Cluster) -> tf.train.ClusterSpec:
    return tf.train.ClusterSpec({job: list(addresses) for job, addresses in cluster.jobs.items()})


def _fail_fast() -> None:
    """Makes calls to a lost task fail at once instead of being tried again for minutes, as TensorFlow's guide advises."""
    os.environ["GRPC_FAIL_FAST"] = "use_caller"


def _silent(cluster: Cluster) -> list[str]:
    """Returns the names of the other tasks at whose address nobody listens."""
    return [name for name, address in cluster.addresses.items() if name != cluster.name and not _listens(address)]


def _listens(address: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(host_and_port(address), timeout=2.0):
        return True
    return False
