"""A cluster on this machine: one process a task, on free loopback ports. All of them end together."""

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

# For the others to end by themselves once one task has, and again once they were told to, before they are killed.
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
    """Runs `command(argv)` in a process for each task, with the task's TF_CONFIG, and waits for all of them.

    The chief writes to this terminal, every other task to `log_dir`/JOB-INDEX.log. The GPUs of this machine are left out: they
    cannot be shared by processes, and "mirrored" uses them all from one. Ctrl-C and SIGTERM are handed on to every task.

    Args:
        jobs: how many tasks each job has.
        command: a function of a module's top level that returns an exit code.
        serving: jobs that the others need until they have ended: signals are not handed on to their tasks, which end last.
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
    """A cluster on free loopback ports, as each of its tasks sees it; the chief's first."""
    with contextlib.ExitStack() as stack:
        sockets = {job: [stack.enter_context(socket.socket()) for _ in range(count)] for job, count in jobs.items()}
        for each in (one for group in sockets.values() for one in group):
            each.bind(("127.0.0.1", 0))
        addresses = {job: tuple(f"127.0.0.1:{one.getsockname()[1]}" for one in group) for job, group in sockets.items()}
    clusters = [Cluster(addresses, job, i) for job, count in jobs.items() for i in range(count)]
    return sorted(clusters, key=lambda cluster: not cluster.is_chief)


class _Running:
    """Processes by the names of their tasks, and the first that failed; `serving` and `replaced` name some of them."""

    def __init__(
        self, make: Mapping[str, Callable[[], BaseProcess]], serving: Collection[str], replaced: Collection[str]
    ) -> None:
        self._make, self._serving, self._replaced = make, serving, replaced
        self._processes = {name: one() for name, one in make.items()}
        self._asked = 0
        self.failed = ""

    def start(self) -> None:
        """Starts all, unless a signal comes; a terminal's Ctrl-C reaches none before it listens."""
        with interrupts_masked():
            for process in self._processes.values():
                if not self._asked:
                    process.start()
        if self._asked:
            self.send(self._asked)

    def send(self, number: int, frame: Any = None) -> None:
        """Hands a signal on to all that run, but for those that serve."""
        self._asked = number
        for process in self._alive(but=self._serving):
            os.kill(process.pid or 0, number)

    def wait(self) -> None:
        """Returns when all have ended. After one has failed, or some time after one has ended, the others are told to."""
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
        """Waits for the next end of a process, and sees whether it failed or is to be replaced.

        `alive`: who ran when the caller looked. One that has ended since then is among them, and nobody waits for the others.
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
        """Ends what still runs."""
        for process in self._alive():
            process.kill()
            process.join()

    def code(self, name: str) -> int:
        """The exit code of a task, or -SIGTERM where it was not started."""
        code = self._processes[name].exitcode
        return -signal.SIGTERM if code is None else code

    def _alive(self, but: Collection[str] = ()) -> list[BaseProcess]:
        running = {name: process for name, process in self._processes.items() if process.pid and process.exitcode is None}
        return [process for name, process in running.items() if name not in but]


@contextlib.contextmanager
def _handed_on(running: _Running) -> Iterator[None]:
    """Ctrl-C and SIGTERM reach the tasks, and do not end this process before them."""
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
    """What a task's process does, in a session of its own: a terminal's Ctrl-C then reaches it once, from the launcher."""
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
