"""The cluster of processes that train together, read from the environment variable TF_CONFIG.

TF_CONFIG is JSON: {"cluster": {"worker": ["host:port", ...], ...}, "task": {"type": "worker", "index": 0}}
(https://www.tensorflow.org/guide/distributed_training).
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

from t2t_multimodel.utils.errors import DataError

CHIEF_JOBS = ("chief", "worker")
WORKER_TIMEOUT = 300  # seconds that tasks wait for each other, unless told otherwise


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The tasks of a cluster, one of which is this process.

    Attributes:
        jobs: the addresses "host:port" of each job's tasks.
        job: the job of this task.
        index: the index of this task in its job.
    """

    jobs: Mapping[str, tuple[str, ...]]
    job: str
    index: int

    @property
    def name(self) -> str:
        """Returns the name of this task in messages, like "worker 1"."""
        return f"{self.job} {self.index}"

    @property
    def addresses(self) -> dict[str, str]:
        """Returns the address of each task by name, the chief's first."""
        tasks = [(job, i, address) for job, addresses in self.jobs.items() for i, address in enumerate(addresses)]
        tasks.sort(key=lambda task: f"{task[0]} {task[1]}" != self.chief)
        return {f"{job} {i}": address for job, i, address in tasks}

    @property
    def chief(self) -> str:
        """Returns the name of the task that writes the run's files: "chief 0", or "worker 0" without a job named chief."""
        return next(f"{job} 0" for job in (*CHIEF_JOBS, *self.jobs) if self.jobs.get(job))

    @property
    def is_chief(self) -> bool:
        """Returns whether this task is the chief."""
        return self.name == self.chief

    def __str__(self) -> str:
        return f"{self.name} of {', '.join(f'{name} ({address})' for name, address in self.addresses.items())}"

    def tf_config(self) -> str:
        """Returns the value of TF_CONFIG that describes this cluster and task."""
        jobs = {job: list(addresses) for job, addresses in self.jobs.items()}
        return json.dumps({"cluster": jobs, "task": {"type": self.job, "index": self.index}})


def cluster_of_environment(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """Returns the cluster of TF_CONFIG, or None if TF_CONFIG is not set or names no tasks.

    Raises:
        DataError: TF_CONFIG is malformed; the message says where.
    """
    text = environment.get("TF_CONFIG", "").strip()
    if not text:
        return None
    try:
        config = json.loads(text)
    except ValueError as error:
        raise DataError(f"TF_CONFIG is no JSON: {error}") from None
    if not isinstance(config, dict):
        raise DataError(f'TF_CONFIG should be an object with "cluster" and "task", got {text[:60]}')
    if not config.get("cluster"):
        return None
    jobs = _jobs(config["cluster"])
    return Cluster(jobs, *_task(config.get("task"), jobs))


def _jobs(cluster: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(cluster, dict) or not all(isinstance(value, list) for value in cluster.values()):
        raise DataError(
            'TF_CONFIG: "cluster" should give each job a list of addresses, as {"worker": ["host:port", "host:port"]}'
        )
    owners: dict[str, str] = {}
    for job, addresses in cluster.items():
        for i, address in enumerate(addresses):
            if not (isinstance(address, str) and _is_address(address)):
                raise DataError(f"TF_CONFIG: the address of {job} {i} should be host:port, got {address!r}")
            if address in owners:
                raise DataError(f"TF_CONFIG: {owners[address]} and {job} {i} have the same address {address}")
            owners[address] = f"{job} {i}"
    return {job: tuple(addresses) for job, addresses in cluster.items() if addresses}


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536


def _task(task: Any, jobs: Mapping[str, tuple[str, ...]]) -> tuple[str, int]:
    task = task if isinstance(task, dict) else {}
    job, index = task.get("type"), task.get("index")
    if not isinstance(job, str) or job not in jobs:
        raise DataError(f'TF_CONFIG: "task" should have a "type" out of {", ".join(jobs)}, got {job!r}')
    index = int(index) if str(index).isdecimal() else -1
    if not 0 <= index < len(jobs[job]):
        raise DataError(f'TF_CONFIG: "task" should have an "index" from 0 to {len(jobs[job]) - 1}, got {task.get("index")!r}')
    return job, index
