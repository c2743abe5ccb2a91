"""Asynchronous training on parameter servers, the paper's own topology (arXiv 1706.05137, section 3).

Steps overlap on shared variables. Each step reads them when it begins and updates them when it ends; other steps may change them
in between. The chief reads the data, counts the steps and writes checkpoints; workers compute (distributed/parameter_server.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from t2t_multimodel.config import HParams
from t2t_multimodel.data.pipeline import TrainingBatches
from t2t_multimodel.distributed.parameter_server import ParameterServers
from t2t_multimodel.model_protocol import Model
from t2t_multimodel.problem import Problem
from t2t_multimodel.training.problem_schedule import ProblemSchedule
from t2t_multimodel.training.steps import StepFunctions, StepResult, Traced
from t2t_multimodel.training.trainer import Trainer
from t2t_multimodel.utils.console import print_line

SECONDS_BETWEEN_CHECKS = 10.0


class AsynchronousTrainer(Trainer):
    """A Trainer whose steps are computed by workers, several at a time.

    With problem_schedule=worker_per_problem one step of each problem is under way at any time. With another schedule there are as
    many steps under way as workers, and their problems are drawn in order. A checkpoint or an evaluation first waits for the
    steps under way, so that a checkpoint holds exactly the steps that it counts. If a worker is lost, another one repeats its
    step.

    Args:
        model: a MultiModel, built in the scope of the servers' strategy.
        problems, hparams, data_dir, output_dir, figures: see Trainer.
        servers: the connection to workers and parameter servers.
    """

    def __init__(
        self,
        model: Model,
        problems: Sequence[Problem],
        hparams: HParams,
        data_dir: Path,
        output_dir: Path,
        servers: ParameterServers,
        figures: Mapping[tuple[str, str], Mapping[str, float]] | None = None,
    ) -> None:
        super().__init__(model, problems, hparams, data_dir, output_dir, servers.strategy, figures=figures)
        self._servers = servers
        self._tracing = threading.Lock()
        self.steps = StepFunctions(model, self._optimizer, hparams, servers.strategy, self._call)
        self._per_problem = hparams.training.problem_schedule == "worker_per_problem"
        self._pool = ThreadPoolExecutor(max(servers.num_workers, len(self.problems)))
        self._running: dict[Future[StepResult], tuple[str, float]] = {}  # problem and learning rate of each step under way
        self._begun = dict.fromkeys(self.problems, -1)  # the last step that began, by problem
        self._checked = time.monotonic()
        self._total = 0.0
        self._may_begin = True

    def _call(self, function: Traced, arguments: tuple[Any, ...]) -> Any:
        """Runs a traced function on the next free worker; returns its results as NumPy arrays."""
        with self._tracing:
            result = self._servers.coordinator.schedule(function, arguments)
        return result.fetch()

    def _goes_on(self, step: int, total: float) -> bool:
        self._total, self._may_begin = total, super()._goes_on(step, total)
        return self._may_begin or bool(self._running)

    def _may_save(self) -> bool:
        return not self._running

    def _next(
        self, schedule: ProblemSchedule, batches: dict[str, TrainingBatches], step: int
    ) -> tuple[float, list[tuple[str, StepResult]]]:
        """Begins the steps that may begin, waits until one ends, and returns its rate and result; `step` steps ended before."""
        while (number := step + len(self._running)) < self._end(step) and (name := self._free(schedule, number)):
            rate, self._begun[name] = self._timetable.learning_rate(number), number
            self._running[self._pool.submit(self.steps.train, name, next(batches[name]), rate, number + 1)] = name, rate
        done: set[Future[StepResult]] = set()
        while not done:
            done, _ = wait(self._running, SECONDS_BETWEEN_CHECKS, FIRST_COMPLETED)
            if time.monotonic() - self._checked > SECONDS_BETWEEN_CHECKS:
                self._servers.report_lost(print_line)
                self._checked = time.monotonic()
        ended = next(future for future in self._running if future in done)
        name, rate = self._running.pop(ended)
        return rate, [(name, ended.result())]

    def _end(self, step: int) -> float:
        """Returns the step before which steps may begin: the next one that is saved or evaluated, or 0 if none may begin.

        While a checkpoint or an evaluation by the clock is due, no step begins beside those under way.
        """
        if not self._may_begin or ((self._save_is_due or self._timetable.evaluation_is_due) and self._running):
            return 0
        stop = min(self._total, self._timetable.next_stop(step))
        every = self.hparams.training.save_every
        return min(stop, step + every - step % every) if every else stop

    def _free(self, schedule: ProblemSchedule, number: int) -> str | None:
        """Returns the problem of step `number`, counted from 0, or None if the step has to wait."""
        busy = [name for name, _ in self._running.values()]
        if not self._per_problem:
            return schedule.at(number) if len(busy) < self._servers.num_workers else None
        free = set(self.problems) - set(busy) - self._decisions.stopped
        return min(sorted(free), key=self._begun.__getitem__, default=None)

    def _map(self, function: Callable[[str], dict[str, float] | None], names: Sequence[str]) -> Iterable[dict[str, float] | None]:
        return self._pool.map(function, names)
