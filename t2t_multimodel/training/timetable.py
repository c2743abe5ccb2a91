"""When a run ends, is evaluated, and what learning rate a step has: by steps, by the clock, or by the plan of an earlier run.

By the clock, schedules follow the share of the time that is used. Every DECIDE_EVERY steps the chief's clock decides on how many
steps they count: as many as fit into the time by the mean speed so far, without tracing and evaluations. Between two
decisions the share grows with the steps. Decisions, and the time that was used, are part of every checkpoint.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from t2t_multimodel.config import TrainingConfig
from t2t_multimodel.distributed.strategies import WorkerGroup
from t2t_multimodel.training.optimizer import learning_rate
from t2t_multimodel.training.step_plan import StepPlan
from t2t_multimodel.training.step_times import StepTimes
from t2t_multimodel.utils.errors import DataError

DECIDE_EVERY = 20
FIRST_DECISION = 10
LEAST_CHANGE = 0.01  # the share by which the number of steps has to change to be decided anew
QUARTERS = 4
EVALUATION_SHARE = 0.2  # of the time, for the evaluations that the clock asks for


class Timetable:
    """The times of one run in one process.

    Args:
        config: of which the learning rate's fields, train_steps and eval_every are read.
        seconds: the longest time to train; 0 is no limit. By the clock, it is that of all processes of the run together.
        by_clock: whether schedules end when the time is over.
        planned: the plan to follow, in place of train_steps and of the clock.
        now: returns a time in seconds.

    Attributes:
        plan: what has been decided, or `planned`.
        evaluation_is_due: whether the clock asks for an evaluation that has not begun, because steps are under way.
    """

    def __init__(
        self,
        config: TrainingConfig,
        seconds: float = 0.0,
        by_clock: bool = False,
        planned: StepPlan | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._seconds, self._now = config, seconds, now
        self.by_clock = by_clock and planned is None
        self._planned = planned
        self.plan = planned or StepPlan()
        self.times = StepTimes()
        self.evaluation_is_due = False
        self._begun = now()
        # The seconds of earlier processes, of their tracing, of all evaluations, and of the last one.
        self._before = self._tracing = self._evaluations = self._evaluation = 0.0
        self._considered = 0  # the last step whose evaluation was done, or was left out for want of time

    def begin(self, step: int, saved: str) -> str:
        """Takes what a checkpoint of `step` steps has; returns a line for the user, or "".

        Raises:
            DataError: the run in the checkpoint did not follow the plan that is given.
        """
        found: dict[str, Any] = json.loads(saved) if saved else {}
        kept = StepPlan.parse(found.get("plan", ""))
        self._before, self._tracing = found.get("seconds", 0.0), found.get("tracing", 0.0)
        self._evaluations, self._evaluation = found.get("evaluations", 0.0), found.get("evaluation", 0.0)
        self._considered = found.get("considered", 0)
        if self._planned is not None:
            if kept.until(step) != self._planned.until(step):
                raise DataError(
                    f"the run in this output_dir did not follow these planned_steps until step {step}; name another one"
                )
            return ""
        self.plan = kept
        if step and self.by_clock and not found:
            self.by_clock = False
            return (
                f"this run began without a schedule by the clock: it is trained for {self._seconds / 60:g} minutes, and its "
                f"schedules are those of train_steps={self._config.train_steps:,}"
            )
        if kept.totals and not self.by_clock and kept.total(step) != self._config.train_steps:
            self._append(step, self._config.train_steps)
            return f"schedules are those of train_steps={self._config.train_steps:,} from here on; they followed the clock before"
        return ""

    @property
    def text(self) -> str:
        """Returns what a checkpoint keeps; "" for a run that is planned by its steps alone."""
        if not (self.by_clock or self.plan.totals):
            return ""
        tracing = self._tracing + self.times.tracing
        state = {"plan": str(self.plan), "seconds": self.spent, "tracing": tracing, "considered": self._considered}
        return json.dumps(state | {"evaluations": self._evaluations, "evaluation": self._evaluation})

    @property
    def spent(self) -> float:
        """Returns the seconds that all processes of the run together have trained and evaluated."""
        return self._before + self._now() - self._begun

    @property
    def left(self) -> float:
        """Returns the seconds after which this process has to end."""
        if not self._seconds:
            return float("inf")
        return self._seconds - (self.spent if self.by_clock else self._now() - self._begun)

    def learning_rate(self, step: int) -> float:
        """Returns the learning rate of step `step`, counted from 0."""
        return learning_rate(step, self.plan.fitted(step, self._config))

    def evaluates(self, step: int) -> bool:
        """Returns whether the run is evaluated after `step` steps."""
        return step % self._config.eval_every == 0 or step in self.plan.evaluations

    def next_stop(self, step: int) -> int:
        """Returns the first step after `step` at which the run is to be evaluated, as far as that is known."""
        every = self._config.eval_every
        return min([step + every - step % every, *(each for each in self.plan.evaluations if each > step)])

    def evaluated(self, step: int, seconds: float) -> None:
        """Takes the time of the evaluation of `step`."""
        self._considered, self._evaluation = step, seconds
        self._evaluations += seconds

    def decide(self, step: int, workers: WorkerGroup, may_evaluate: bool = True) -> str:
        """Makes the decisions that are due after `step` steps, the same in all workers; returns a line for the user, or "".

        Args:
            may_evaluate: whether no step is under way. If one is, an evaluation that is due waits for a later call.
        """
        line = ""
        if self.by_clock and (step == FIRST_DECISION or step % DECIDE_EVERY == 0):
            own = [self.spent, self._tracing + self.times.tracing, self._evaluations, self._evaluation]
            spent, tracing, evaluations, evaluation = workers.total(own if workers.is_chief else [0.0] * 4)
            self._decide_total(step, spent - tracing - evaluations, self._seconds - tracing - evaluations)
            line = self._decide_evaluation(step, evaluations, evaluation)
        if self.evaluation_is_due and may_evaluate:
            self.evaluation_is_due = False
            if not self.evaluates(step):
                self.plan.evaluations.append(step)
        return line

    def _decide_total(self, step: int, used: float, usable: float) -> None:
        """Decides on how many steps schedules count, if `used` of the `usable` seconds are used, both for steps alone."""
        if used <= 0:
            return
        total = max(step, round(step * usable / used))
        before = self.plan.total(step)
        if before is None or abs(total - before) > LEAST_CHANGE * before:
            self._append(step, total)

    def _append(self, step: int, total: int) -> None:
        self.plan.totals = [pair for pair in self.plan.totals if pair[0] < step] + [(step, total)]

    def _decide_evaluation(self, step: int, together: float, last: float) -> str:
        """Asks for an evaluation if a quarter of the steps has gone by since the last one; returns a line if it is left out."""
        total = self.plan.total(step)
        if total is None or step > 0.9 * total or QUARTERS * step // total <= QUARTERS * self._considered // total:
            return ""
        self._considered = step
        if together + last > EVALUATION_SHARE * self._seconds:
            much = f"with {last:.0f} s more, evaluations would take over a fifth of the time"
            return f"step {step}: no evaluation here: {much}; the run is evaluated at its end"
        self.evaluation_is_due = True
        return ""

    def end_line(self, step: int, total: float) -> str:
        """Returns the line for the user of a run whose time is over after `step` of `total` steps."""
        minutes = self._seconds / 60
        if not self.by_clock:
            after = f"stopped after {minutes:g} minutes at step {step:,} of {total:,}"
            return f"{after}; the checkpoint is written, the same command goes on from it"
        if self.plan.total(step) is None:
            return (
                f"the {minutes:g} minutes are over at step {step:,}, before the learning rate could rise; the checkpoint is "
                "written. The same command with a larger --train_minutes goes on"
            )
        return (
            f"the {minutes:g} minutes are over at step {step:,}, and the learning rate is at the end of its schedule; the "
            f"checkpoint is written. --train_minutes={2 * minutes:g} goes on for {minutes:g} minutes more: minutes count from "
            "the beginning of the run, so that the rate rises again to that of half the time, and falls from there"
        )
