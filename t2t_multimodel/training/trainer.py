"""The training loop: each step trains one problem or several."""

from __future__ import annotations

import datetime
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data.fractions import shard_examples
from t2t_multimodel.data.pipeline import TrainingBatches, evaluation_batches
from t2t_multimodel.distributed.cluster import Cluster
from t2t_multimodel.distributed.sharding import in_parts, joined
from t2t_multimodel.distributed.strategies import WorkerGroup
from t2t_multimodel.features import Label
from t2t_multimodel.model_protocol import Model
from t2t_multimodel.problem import Problem
from t2t_multimodel.training.best import keep_best
from t2t_multimodel.training.checkpoints import Checkpoints, by_path
from t2t_multimodel.training.decisions import Decisions, forget_record, save_record, with_record
from t2t_multimodel.training.metrics import MetricSums, mean_metrics
from t2t_multimodel.training.metrics_writer import MetricsWriter, NoMetrics, formatted, shortened
from t2t_multimodel.training.moving_averages import MovingAverages
from t2t_multimodel.training.optimizer import make_optimizer
from t2t_multimodel.training.problem_schedule import ProblemSchedule
from t2t_multimodel.training.profiling import ProfiledSteps
from t2t_multimodel.training.signals import stopping
from t2t_multimodel.training.step_means import RunningMeans
from t2t_multimodel.training.step_plan import StepPlan
from t2t_multimodel.training.steps import StepFunctions, StepResult
from t2t_multimodel.training.timetable import Timetable
from t2t_multimodel.utils.console import only_informs, print_line
from t2t_multimodel.utils.errors import DataError, NotFinite
from t2t_multimodel.utils.progress import Progress

SUMMARY_EVERY = 50
MAX_SKIPPED = 10


class Trainer:
    """Trains a model on several problems, and writes its checkpoints and metrics.

    Args:
        model: a built MultiModel.
        problems: the problems to train on.
        hparams: the run's hyperparameters.
        data_dir: the folder of the problems' records.
        output_dir: the folder for checkpoints, `metrics.jsonl` and TensorBoard events.
        strategy: the strategy in whose scope the model was built; None is one device.
        cluster: the workers of "multi_worker". All of them call `train`; only the chief writes.
        samples: samples(problem, split, count) decodes the first examples of a split, which each evaluation shows.
        profile: the first and the last step to profile.
        figures: further values for every row of a problem and split in metrics.jsonl, by (problem, split).
    """

    def __init__(
        self,
        model: Model,
        problems: Sequence[Problem],
        hparams: HParams,
        data_dir: Path,
        output_dir: Path,
        strategy: tf.distribute.Strategy | None = None,
        cluster: Cluster | None = None,
        samples: Callable[[Problem, str, int], Sequence[Any]] | None = None,
        profile: tuple[int, int] | None = None,
        figures: Mapping[tuple[str, str], Mapping[str, float]] | None = None,
    ) -> None:
        self._figures = figures
        self._workers = WorkerGroup(strategy, cluster)
        self.problems = {problem.name: problem for problem in problems}
        self.hparams = hparams
        self.data_dir = data_dir
        self.output_dir = output_dir
        with (strategy or tf.distribute.get_strategy()).scope():
            weights = by_path(model.trainable_variables)
            self._optimizer = make_optimizer(in_parts(weights), hparams)
            self._averages = MovingAverages(weights, hparams.training.ema_decay, strategy)
        self.steps = StepFunctions(model, self._optimizer, hparams, strategy)
        keep = hparams.training.keep_checkpoints
        slots = {kind: joined(variables) for kind, variables in self._optimizer.slots.items()}
        averages = self._averages.variables
        self._checkpoints = Checkpoints(
            output_dir, model, slots, list(self.problems), keep, print_line, averages, writes=self._workers.is_chief
        )
        self._decisions = Decisions(list(self.problems), hparams.training)
        self._timetable = Timetable(hparams.training)
        self._samples = samples
        self._profile = ProfiledSteps(profile if self._workers.is_chief else None, output_dir)
        self._counts = dict.fromkeys(self.problems, 0)
        self._saved_at = 0.0  # when the last checkpoint was written, or its evaluation ended
        self._save_is_due = False  # by the clock; all workers agree on it
        self._skipped = 0  # steps in a row that were not finite
        self._stop = 0  # the signal that this worker received
        self._stopped = self._late = False  # all workers agree on both
        self.interrupted = 0  # the signal that ended training early

    @property
    def plan(self) -> StepPlan:
        """Returns what the clock has decided, or the plan that `train` was given."""
        return self._timetable.plan

    def train(
        self, until: int | None = None, seconds: float = 0.0, by_clock: bool = False, planned: StepPlan | None = None
    ) -> int:
        """Trains from the newest checkpoint on and returns the number of steps done.

        Every eval_every steps and at the end it saves a checkpoint and evaluates. It also saves every save_every steps and every
        save_minutes. On SIGTERM or Ctrl-C of one worker it breaks off an evaluation, saves, and returns in all workers. It ends
        early when all problems have stopped early. A step whose gradient is not finite changes no weights.

        A run that was stopped or killed goes on as if it had not been: the same batches, noise and weights follow. An unfinished
        evaluation is done first.

        Args:
            until: the step at which to end; None means train_steps, or no such step by the clock.
            seconds: the time after which to end; 0 means no limit.
            by_clock: whether schedules end with that time, of which earlier processes of the run have used a part.
            planned: the plan of an earlier run, in place of the clock.

        Raises:
            NotFinite: ten steps in a row were not finite. The newest checkpoint is from before them.
        """
        config = self.hparams.training
        self._timetable = Timetable(config, seconds, by_clock, planned, time.monotonic)
        step = self._restored_step()
        line = self._timetable.begin(step, self._checkpoints.plan)
        total: float = float("inf") if self._timetable.by_clock else config.train_steps
        total = total if until is None else until
        self._counts = self._checkpoints.counts
        writer = MetricsWriter(self.output_dir, step, self._figures) if self._workers.is_chief else NoMetrics()
        progress = Progress(total, step, seconds=max(self._timetable.left, 1e-3))
        writer.write_hparams({name: value for part in self.hparams.to_dict().values() for name, value in part.items()})
        writer.write_layout(list(self.problems))
        if step:
            progress.say(f"going on from step {step}")
        if line:
            progress.say(line)
        try:
            with stopping(self.request_stop):
                step = self._loop(step, total, writer, progress)
            if self._late and step < total and not self._stopped:
                progress.say(self._timetable.end_line(step, total))
        finally:
            self._profile.close()
            progress.close()
            writer.close()
        return step

    def _restored_step(self) -> int:
        """Restores the newest checkpoint and the evaluations up to it, the same in all workers; returns its step, or 0."""
        step = self._checkpoints.restore() or 0
        saved = self._checkpoints.evaluations
        text = with_record(self.output_dir, step, saved)
        steps, recorded = self._workers.total([step, text != saved])
        if steps != step * self._workers.count:
            raise DataError(
                f"this worker found step {step} in {self.output_dir}, others did not; it should be a folder that all share"
            )
        self._decisions.text = text if recorded == self._workers.count else saved
        if not step and self._workers.is_chief:
            forget_record(self.output_dir)
        return step

    def _loop(self, step: int, total: float, writer: MetricsWriter, progress: Progress) -> int:
        plan, batches = self._schedule(), self._batches()
        self._keep_best()  # A process may have been killed between saving and this.
        first, saved, evaluated = step, step, 0
        if step and self._timetable.evaluates(step) and not self._decisions.has(step):  # The evaluation was broken off.
            writer.forget_evaluation(step)
            evaluated = self._decide(step, writer, progress)
        schedule = self._decisions.schedule(plan)
        means = RunningMeans(step)
        self._saved_at = time.monotonic()
        while self._goes_on(step, total):
            began = time.monotonic()
            with self._profile.step(step + 1):
                rate, results = self._next(schedule, batches, step)
            step += 1
            for name, _ in results:
                self._counts[name] += 1
            self._averages.update(step)
            if written := self._profile.after(step):
                progress.say(f"profile written; look at it with: pip install xprof && tensorboard --logdir={written}")
            if self._is_finite(step, saved, results, progress):
                for name, result in results:
                    progress.update(step, name, float(result.loss), float(result.tokens))
                    means.add(name, result)
            self._look_at_the_clock(step, total, time.monotonic() - began, progress)
            if step % SUMMARY_EVERY == 0:
                means.flush(step, rate, self._trained(batches), writer)
            if self._saves(step) or (self._save_is_due and self._may_save()):
                saved = self._save(step, batches, writer)
            if self._timetable.evaluates(step):
                evaluated = self._decide(step, writer, progress)
                schedule = self._decisions.schedule(plan)
                if saved != step and self._decisions.is_best(step):
                    saved = self._save(step, batches, writer)
                self._saved_at = time.monotonic() if saved == step else self._saved_at
        means.flush(step, self._timetable.learning_rate(step), self._trained(batches), writer)
        if saved != step:
            self._save(step, batches, writer)
        left = False
        if self._stopped:
            progress.say(f"stopped at step {step}; the checkpoint is written, the same command goes on from it")
        elif step != evaluated:
            if step == first:  # The run had finished, or was killed in its last evaluation.
                writer.forget_evaluation(step)
            left = self.evaluate(step, writer, progress) is None
        self.interrupted = self._stop if left or (step < total and not self._decisions.finished) else 0
        self._workers.total([0])  # no worker ends while the chief is still writing
        return step

    def _decide(self, step: int, writer: MetricsWriter, progress: Progress) -> int:
        """Evaluates `step` and makes the decisions that follow; returns the step, or 0 if a signal broke off the evaluation."""
        began = time.monotonic()
        found = self.evaluate(step, writer, progress)
        if found is None:
            return 0
        self._timetable.evaluated(step, time.monotonic() - began)
        for line in self._decisions.add(step, found):
            progress.say(line)
        if self._workers.is_chief:
            save_record(self.output_dir, step, self._decisions.text)
        self._keep_best()
        return step

    def _look_at_the_clock(self, step: int, total: float, seconds: float, progress: Progress) -> None:
        """Takes the time of the step that ended, makes the clock's decisions, and says what is new about the run's end."""
        times, timetable = self._timetable.times, self._timetable
        counted = times.add(seconds)
        if line := timetable.decide(step, self._workers, self._may_save()):
            progress.say(line)
        if timetable.by_clock and total == float("inf"):
            progress.expect(timetable.plan.total(step))
        if counted and total > step:
            progress.say(times.line(min(timetable.left, (total - step) * times.typical), datetime.datetime.now()))

    def _saves(self, step: int) -> bool:
        """Returns whether a checkpoint is written after `step` steps, whatever the clock says."""
        every = self.hparams.training.save_every
        return step % every == 0 if every else self._timetable.evaluates(step)

    def _goes_on(self, step: int, total: float) -> bool:
        """Returns whether another step follows after `step` steps. All workers get the same result, so that one can stop all."""
        now, every = time.monotonic(), self.hparams.training.save_minutes * 60
        due = self._workers.is_chief and 0 < every <= now - self._saved_at
        stopped, late, save = self._workers.total([bool(self._stop), self._timetable.left <= 0, due])
        self._stopped, self._late, self._save_is_due = bool(stopped), bool(late), bool(save)
        return step < total and not (stopped or late or self._decisions.finished)

    def _may_save(self) -> bool:
        """Returns whether no step is under way, so that a checkpoint holds exactly the steps that it counts."""
        return True

    def _next(
        self, schedule: ProblemSchedule, batches: dict[str, TrainingBatches], step: int
    ) -> tuple[float, list[tuple[str, StepResult]]]:
        """Trains the step after `step` steps; returns its learning rate and the result of each problem it trained."""
        config = self.hparams.training
        rate = self._timetable.learning_rate(step)
        return rate, self._step(schedule.draw(step, config.problems_per_step), batches, rate, step + 1)

    def _step(
        self, names: Sequence[str], batches: dict[str, TrainingBatches], rate: float, step: int
    ) -> list[tuple[str, StepResult]]:
        """Trains the problems `names` in one update and returns (name, result) for each."""
        if len(names) == self.hparams.training.accumulate_steps == 1:
            return [(names[0], self.steps.train(names[0], next(batches[names[0]]), rate, step))]
        drawn = [(name, [next(batches[name]) for _ in range(self.hparams.training.accumulate_steps)]) for name in names]
        return list(zip(names, self.steps.train_on_several(drawn, rate, step), strict=True))

    def _is_finite(self, step: int, saved: int, results: Sequence[tuple[str, StepResult]], progress: Progress) -> bool:
        """Returns whether loss and gradient of a step were finite; otherwise reports that the step was skipped.

        Raises:
            NotFinite: MAX_SKIPPED steps in a row were skipped.
        """
        if all(np.isfinite([float(result.loss), float(result.gradient_norm)]).all() for _, result in results):
            self._skipped = 0
            return True
        name = " and ".join(name for name, _ in results)
        loss_scale = self._optimizer.loss_scale
        if loss_scale and not loss_scale.is_least():
            progress.say(f"step {step} {name}: too large for float16; the loss scale is now {float(loss_scale.value):g}")
            return False
        self._skipped += 1
        progress.say(f"step {step} {name}: loss or gradient is not finite, the weights stay as they are")
        if self._skipped == MAX_SKIPPED:
            kept = f"the checkpoint of step {saved} is untouched" if saved else "there is no checkpoint yet"
            raise NotFinite(f"loss or gradient of {name} is not finite at step {step}, the tenth in a row; {kept}")
        return False

    def _save(self, step: int, batches: dict[str, TrainingBatches], writer: MetricsWriter) -> int:
        writer.flush()
        positions = {name: each.position for name, each in batches.items()}
        examples = {name: each.examples for name, each in batches.items()}
        self._checkpoints.save(step, positions, self._decisions.text, self._counts, examples, self._timetable.text)
        self._keep_best()
        self._saved_at = time.monotonic()
        return step

    def _keep_best(self) -> None:
        if self._workers.is_chief:
            keep_best(self.output_dir, self.hparams.training.dev_metric, self._decisions.best())

    def evaluate(
        self, step: int, writer: MetricsWriter, progress: Progress, split: str = "dev"
    ) -> dict[str, dict[str, float]] | None:
        """Evaluates and returns the teacher-forced metrics of every problem on `split`, at most eval_steps batches of each.

        If the run keeps moving averages, they are evaluated. If a signal comes, the remaining problems are not evaluated and the
        result is None.
        """
        found = {}
        names = [name for name, problem in self.problems.items() if split in problem.splits]
        limit = self.hparams.training.eval_steps
        with self._averages.in_place():
            for name, metrics in zip(names, self._map(lambda name: self.metrics(name, split, limit), names), strict=True):
                if metrics is None:
                    progress.say(f"step {step}: stopped while evaluating {name}; the same command does the evaluation again")
                    return None
                found[name] = metrics
                writer.write(step, name, split, metrics)
                progress.say(f"step {step} {name} {split}: {formatted(metrics)}")
                with only_informs(f"what {name} decodes"):
                    self._say_samples(step, name, split, writer, progress)
        return found

    def _say_samples(self, step: int, name: str, split: str, writer: MetricsWriter, progress: Progress) -> None:
        """Decodes examples, writes all to the files and says the first; does nothing once a signal has come."""
        count = self.hparams.training.eval_samples
        if self._samples and count and not self._stop:
            samples = self._samples(self.problems[name], split, count)
            writer.write_samples(step, name, samples)
            first = samples[0]
            inputs, targets = self.problems[name].inputs, self.problems[name].targets
            given = shortened(first.inputs) if first.inputs else f"({inputs.kind})"
            wanted, got = (
                shortened(targets.shown(text) if isinstance(targets, Label) else text)
                for text in (first.references[0], first.output)
            )
            progress.say(f"  {given} -> wanted {wanted}, got {got}")

    def _map(self, function: Callable[[str], dict[str, float] | None], names: Sequence[str]) -> Iterable[dict[str, float] | None]:
        """Returns function(name) for each of `names`, in order."""
        return map(function, names)

    def metrics(self, name: str, split: str = "dev", limit: int = 0) -> dict[str, float] | None:
        """Returns the teacher-forced metrics of one problem on its `split`, or on its first `limit` batches.

        The result is None in all workers if one of them was asked to stop before its last batch.

        Raises:
            DataError: no example of the split is within the limits of length.
        """
        batches = evaluation_batches(self.problems[name], self.data_dir, self.hparams, split, padded=True)
        own = (batches.take(limit) if limit else batches).shard(self._workers.count, self._workers.index)
        sums = [0.0] * len(MetricSums._fields)
        for batch in own:
            if self._stop:
                break
            sums = [total + float(value) for total, value in zip(sums, self.steps.evaluate(name, batch), strict=True)]
        *sums, stopped = self._workers.total([*sums, bool(self._stop)])
        if stopped:
            return None
        found = MetricSums(*sums)
        if not found.sequences:
            raise DataError(
                f"no {split} example of {name} is within the limits; a larger max_length or max_seconds evaluates some"
            )
        return mean_metrics(found)

    def request_stop(self, number: int = signal.SIGTERM) -> None:
        """Makes the loop of all workers save and end after the running step; `number` is the signal that asks for it."""
        self._stop = number

    def _schedule(self) -> ProblemSchedule:
        c = self.hparams.training
        sizes = [sum(shard_examples(problem, self.data_dir, self.hparams)) for problem in self.problems.values()]
        return ProblemSchedule(list(self.problems), sizes, c.problem_schedule, c.temperature, c.problem_weights, c.seed)

    def _batches(self) -> dict[str, TrainingBatches]:
        """Returns the batches of each problem, starting at the checkpoint's position."""
        seed, positions, examples = self.hparams.training.seed, self._checkpoints.positions, self._checkpoints.examples
        return {
            name: TrainingBatches(problem, self.data_dir, self.hparams, seed + i, positions[name], examples[name])
            for i, (name, problem) in enumerate(self.problems.items())
        }

    def _trained(self, batches: Mapping[str, TrainingBatches]) -> dict[str, dict[str, int]]:
        """Returns what each problem was trained on so far: its steps, and its examples where their number is known."""
        seen = {name: {} if each.examples is None else {"problem_examples": each.examples} for name, each in batches.items()}
        return {name: {"problem_steps": count, **seen[name]} for name, count in self._counts.items()}
