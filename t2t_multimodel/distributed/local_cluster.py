"""A cluster on this machine: one process per task, on free loopback ports. All processes end together."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from t2t_multimodel.distributed.cluster import Cluster
from t2t_multimodel.utils.console import print_line
from t2t_multimodel.utils.errors import WorkerError
from t2t_multimodel.utils.processes import end_with_parent, interrupts_masked

# The time for the other tasks to end after one has ended, and again after they were told to, before they are killed.
GRACE_SECONDS = 30.0
_STOPPED = (0, 130, -signal.SIGINT, -signal.SIGTERM)


def run_local_cluster(
    jobs: Mapping[str, int],
    command: Callable[[Sequence[str]], int],
    argv: Sequence[str],
    log_dir: Path,
    serving: Collection[str] = (),
    replaced: Collection[str] = (),
) -> int:
    """Runs `command(argv)` in one process per task, with the task's TF_CONFIG, and waits for all processes.

    The chief writes to this terminal, every other task to `log_dir`/JOB-INDEX.log. The tasks do not use this machine's GPUs,
    which processes cannot share; "mirrored" uses all GPUs from one process. Ctrl-C and SIGTERM are passed on to every task.

    Args:
        jobs: the number of tasks per job.
        command: a function at a module's top level that returns an exit code.
        argv: its argument.
        log_dir: the folder for the logs; it is made.
        serving: jobs that the others need until they end. Their tasks get no signals and end last.
        replaced: jobs whose tasks are started again when they are killed.

    Returns:
        The chief's exit code.

    Raises:
        WorkerError: a task failed; the others were stopped.
    """
    log_dir.mkdir(parents=True, exist_ok=True)
    clusters = local_clusters(jobs)
    running = _Running(
        {cluster.name: functools.partial(_process, cluster, command, argv, log_dir) for cluster in clusters},
        {cluster.name for cluster in clusters if cluster.job in serving},
        {cluster.name for cluster in clusters if cluster.job in replaced},
    )
    with _handed_on(running):
        try:
            running.start()
            running.wait()
        finally:
            running.kill()
    failed = running.failed
    if failed:
        address, log = clusters[0].addresses[failed], "" if failed == clusters[0].chief else _last_words(_log(log_dir, failed))
        raise WorkerError(f"{failed} ({address}) {_ending(running.code(failed))}, and the others were stopped{log}")
    code = running.code(clusters[0].chief)
    return code if code >= 0 else 128 - code


def local_clusters(jobs: Mapping[str, int]) -> list[Cluster]:
    """Returns a cluster on free loopback ports, one Cluster per task, the chief's first."""
    with contextlib.ExitStack() as stack:
        sockets = {job: [stack.enter_context(socket.socket()) for _ in range(count)] for job, count in jobs.items()}
        for each in (one for group in sockets.values() for one in group):
            each.bind(("127.0.0.1", 0))
        addresses = {job: tuple(f"127.0.0.1:{one.getsockname()[1]}" for one in group) for job, group in sockets.items()}
    clusters = [Cluster(addresses, job, i) for job, count in jobs.items() for i in range(count)]
    return sorted(clusters, key=lambda cluster: not cluster.is_chief)


class _Running:
    """The processes of a cluster.

    Args:
        make: makes the process of each task, by name.
        serving, replaced: names of tasks; see `run_local_cluster` for both.

    Attributes:
        failed: the name of the first task that failed, or "".
    """

    def __init__(
        self, make: Mapping[str, Callable[[], BaseProcess]], serving: Collection[str], replaced: Collection[str]
    ) -> None:
        self._make, self._serving, self._replaced = make, serving, replaced
        self._processes = {name: one() for name, one in make.items()}
        self._asked = 0
        self.failed = ""

    def start(self) -> None:
        """Starts all processes unless a signal comes. Ctrl-C reaches no process before it can handle it."""
        with interrupts_masked():
            for process in self._processes.values():
                if not self._asked:
                    process.start()
        if self._asked:
            self.send(self._asked)

    def send(self, number: int, frame: Any = None) -> None:
        """Passes a signal on to all running tasks that do not serve."""
        self._asked = number
        for process in self._alive(but=self._serving):
            os.kill(process.pid or 0, number)

    def wait(self) -> None:
        """Waits until all tasks have ended.

        When a task has failed, or GRACE_SECONDS after one has ended, the others are told to end.
        """
        while len(alive := self._alive()) == len(self._processes):
            self._watch(alive, timeout=None)
        end = time.monotonic() + GRACE_SECONDS
        while self._alive(but=self._serving) and not self.failed and time.monotonic() < end:
            self._watch(self._alive(), timeout=1.0)
        self._serving = ()
        self.send(signal.SIGTERM)
        end = time.monotonic() + GRACE_SECONDS
        while (alive := self._alive()) and time.monotonic() < end:
            self._watch(alive, timeout=1.0)

    def _watch(self, alive: Sequence[BaseProcess], timeout: float | None) -> None:
        """Waits until a process ends; starts it again if it is to be replaced, and notes if it failed.

        Args:
            alive: the processes that ran when the caller checked. If one has ended since then, this returns at once.
            timeout: seconds to wait at most; None means no limit.
        """
        connection.wait([process.sentinel for process in alive], timeout)
        for name in self._replaced:
            if self.code(name) == -signal.SIGKILL and not self._asked:
                print_line(f"{name} was killed and is started again")
                self._processes[name] = self._make[name]()
                with interrupts_masked():
                    self._processes[name].start()
        for name, process in self._processes.items():
            if process.exitcode is not None and not self.failed and self.code(name) not in (_STOPPED if self._asked else (0,)):
                self.failed = name

    def kill(self) -> None:
        """Kills all running tasks."""
        for process in self._alive():
            process.kill()
            process.join()

    def code(self, name: str) -> int:
        """Returns the exit code of a task, or -SIGTERM if it was not started."""
        code = self._processes[name].exitcode
        return -signal.SIGTERM if code is None else code

    def _alive(self, but: Collection[str] = ()) -> list[BaseProcess]:
        running = {name: process for name, process in self._processes.items() if process.pid and process.exitcode is None}
        return [process for name, process in running.items() if name not in but]


@contextlib.contextmanager
def _handed_on(running: _Running) -> Iterator[None]:
    """Passes Ctrl-C and SIGTERM on to the tasks within, so that they do not end this process first."""
    old = {number: signal.signal(number, running.send) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _process(cluster: Cluster, command: Callable[[Sequence[str]], int], argv: Sequence[str], log_dir: Path) -> BaseProcess:
    log = None if cluster.is_chief else _log(log_dir, cluster.name)
    arguments = (command, list(argv), cluster.tf_config(), log)
    return multiprocessing.get_context("spawn").Process(target=_task, args=arguments, name=cluster.name, daemon=True)


def _log(log_dir: Path, name: str) -> Path:
    return log_dir / f"{name.replace(' ', '-')}.log"


def _task(command: Callable[[Sequence[str]], int], argv: Sequence[str], tf_config: str, log: Path | None) -> None:
    """Runs a task in its process, in a session of its own, so that Ctrl-C reaches it once, through the launcher."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    end_with_parent()
    os.environ |= {"TF_CONFIG": tf_config, "CUDA_VISIBLE_DEVICES": "-1"}
    if log:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for stream in (1, 2):
            os.dup2(file, stream)
    sys.exit(command(argv))


def _ending(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return f"; it said: {lines[-1]} ({log})" if lines else f"; it said nothing ({log})"
