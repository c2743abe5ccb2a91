"""Starting a training run from records on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data.fixed_shapes import shape_lines
from t2t_multimodel.data.fractions import fraction_lines
from t2t_multimodel.data.lengths import left_out_lines, left_out_of
from t2t_multimodel.data.records import changed_lines
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.distributed.cluster import WORKER_TIMEOUT, Cluster, cluster_of_environment
from t2t_multimodel.distributed.parameter_server import ParameterServers, serve
from t2t_multimodel.distributed.rendezvous import handshake
from t2t_multimodel.distributed.strategies import described, lost_task, make_strategy, resolve_strategy
from t2t_multimodel.model_protocol import Model
from t2t_multimodel.problem import Problem
from t2t_multimodel.runs import run_config
from t2t_multimodel.runs.checks import check_strategy, check_warm_start, check_xla, checked_data
from t2t_multimodel.runs.run_file import RunFile
from t2t_multimodel.runs.scoring import Scorer
from t2t_multimodel.runs.start_report import start_report
from t2t_multimodel.training.async_trainer import AsynchronousTrainer
from t2t_multimodel.training.checkpoints import by_path
from t2t_multimodel.training.step_plan import StepPlan
from t2t_multimodel.training.trainer import Trainer
from t2t_multimodel.training.warm_start import load_matching_weights
from t2t_multimodel.utils.console import only_informs, print_line
from t2t_multimodel.utils.errors import DataError, NotFinite
from t2t_multimodel.utils.writer_lock import WriterLock


class Terminated(KeyboardInterrupt):
    """SIGTERM ended a run before its last step, after a checkpoint was written."""


def train_run(
    problems: Sequence[Problem],
    set_name: str,
    hparams: HParams,
    data_dir: Path,
    output_dir: Path,
    seconds: float = 0.0,
    strategy: str = "auto",
    warm_start: Path | None = None,
    worker_timeout: float = WORKER_TIMEOUT,
    profile: tuple[int, int] | None = None,
    stop_step: int | None = None,
    usr_dir: str = "",
    by_clock: bool = False,
    planned_steps: str = "",
) -> int:
    """Trains `problems` in `output_dir` on their records in `data_dir`; a run that stopped there goes on.

    Args:
        set_name: the name of the set that `hparams` came from, written to config.json.
        seconds: the longest time to train in this call; 0 is no limit. By the clock, earlier calls have used a part of it.
        strategy: a name in distributed.strategies.STRATEGIES, "auto" among them.
        warm_start: the output_dir of another run; a new run begins with those of its weights that fit.
        worker_timeout: the longest time in seconds to wait for the other tasks of TF_CONFIG.
        profile: the first and the last step to profile.
        stop_step: the step at which to end, if that is not train_steps; schedules are those of train_steps.
        usr_dir: where the code of problems and sets is, written to run.toml.
        by_clock: whether schedules end with that time, instead of at train_steps.
        planned_steps: the plan of an earlier run by the clock, as text (see training.step_plan), in place of the clock.

    Returns:
        The number of steps done. In a parameter server or one of its workers: 0, when the chief has ended.

    Raises:
        KeyboardInterrupt: a signal ended the run before its last step, after a checkpoint; Terminated if it was SIGTERM.
        DataError: records or vocabulary are missing or do not fit each other; `output_dir` holds another run, or another process
            writes there; the memory is too small; the loss was not finite; another task did not appear or is gone; or the run
            `warm_start` has another vocabulary, no checkpoint, or no weights that fit.
    """
    planned = StepPlan.parse(planned_steps) if planned_steps else None
    timing = {"train_minutes": seconds / 60, "by_clock": by_clock, "planned_steps": planned_steps}
    cluster = cluster_of_environment()
    strategy = resolve_strategy(strategy, cluster)
    hparams = check_strategy(hparams, strategy)
    if cluster:
        print_line(f"this is {cluster}")
        if strategy == "parameter_server" and not cluster.is_chief:
            serve(cluster)
            return 0
    _configure_tensorflow()
    check_xla(hparams, strategy)
    problems, config = checked_data(problems, set_name, hparams, data_dir)
    config, source = _beginning(config, output_dir, warm_start)
    writes = cluster is None or cluster.is_chief
    written = RunFile(output_dir, problems, set_name, hparams, data_dir, strategy, config.warm_start, usr_dir)
    with WriterLock(output_dir, print_line) if writes else contextlib.nullcontext():
        if writes:
            _write_beginning(config, written, output_dir, data_dir, (stop_step, seconds, by_clock, planned_steps))
        with _failures_told(cluster):
            devices, make_trainer = _gather(strategy, cluster, config, timing, worker_timeout)
            # Records are read after the devices are gathered: TensorFlow takes no workers once it has computed something.
            figures = _batches_told(problems, hparams, data_dir) if writes else {}
            model = _build_model(config, devices, source)
            extras = _extras(model, config, output_dir, cluster, profile) if strategy != "parameter_server" else {}
            trainer = make_trainer(model, problems, hparams, data_dir, output_dir, figures=figures, **extras)
            steps = trainer.train(stop_step, seconds, by_clock, planned)
            if writes and (trainer.plan.totals or steps < hparams.training.train_steps):
                written.write(steps, planned_steps=str(trainer.plan))
    _raise_interruption(trainer.interrupted)
    return steps


def _write_beginning(
    config: run_config.RunConfig,
    written: RunFile,
    output_dir: Path,
    data_dir: Path,
    timing: tuple[int | None, float, bool, str],
) -> None:
    """Writes config.json and run.toml, and says what is replaced; raises DataError if a run.toml of the user's is in the way.

    Args:
        timing: the arguments of RunFile.write.
    """
    written.check()
    if replaced := run_config.start_run(config, output_dir, data_dir):
        print_line(replaced)
    written.write(*timing)


def _raise_interruption(number: int) -> None:
    """Raises KeyboardInterrupt or Terminated for the number of the signal that ended training; 0 is none."""
    if number:
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _batches_told(problems: Sequence[Problem], hparams: HParams, data_dir: Path) -> dict[tuple[str, str], dict[str, float]]:
    """Prints what limits and train_fractions leave out, which records have changed since they were made, and the fixed shapes.

    Returns:
        By problem and split, the shares that the limits leave out, by their names in metrics.jsonl.

    Raises:
        DataError: records are damaged. Training would find that only when it reads them.
    """
    for line in shape_lines([problem.spec() for problem in problems], hparams):
        print_line(line)
    with only_informs("the report on lengths", but=(DataError,)):
        found = {problem.name: left_out_of(problem, data_dir, hparams) for problem in problems}
        changed = changed_lines(data_dir, (problem.records_name for problem in problems))
        for line in [*left_out_lines(found), *fraction_lines(problems, data_dir, hparams), *changed]:
            print_line(line)
        return {(name, each.split): each.figures() for name, splits in found.items() for each in splits}
    return {}


def _configure_tensorflow() -> None:
    # Grappler's passes take longer at the start than they save (docs/architecture.md).
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    if not tf.config.list_physical_devices("GPU"):  # Costs nothing measurable on a CPU; some operations lack it on a GPU.
        tf.config.experimental.enable_op_determinism()


def _beginning(
    config: run_config.RunConfig, output_dir: Path, warm_start: Path | None
) -> tuple[run_config.RunConfig, Path | None]:
    """Returns `config` with its `warm_start`, and the run whose weights the new run takes; None if a run here goes on."""
    goes_on = run_config.has_checkpoint(output_dir) and (output_dir / run_config.CONFIG).exists()
    begun = run_config.RunConfig.load(output_dir).warm_start if goes_on else ""
    # The run has those weights already. If the folder was moved, nothing tells whether `warm_start` is the same one.
    if begun and (warm_start is None or not Path(begun).exists()):
        return dataclasses.replace(config, warm_start=begun), None
    if warm_start is None:
        return config, None
    config = dataclasses.replace(config, warm_start=str(warm_start.resolve()))
    if run_config.has_checkpoint(output_dir):
        return config, None
    check_warm_start(warm_start, config, output_dir)
    return config, warm_start


@contextlib.contextmanager
def _failures_told(cluster: Cluster | None) -> Iterator[None]:
    """Turns a loss that is not finite, too little memory, and a task that is gone into a DataError of one line."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        reason = (str(error) or "no memory is left").splitlines()[0]
        if "No space left on device" in reason:
            raise
        remedies = "smaller batch_tokens, batch_images, batch_seconds, max_length or max_seconds, or recompute=true"
        raise DataError(f"too little memory: {reason}; what helps in --hparams: {remedies}") from error
    except NotFinite as error:
        raise DataError(f"{error}; a lower learning_rate or clip_norm may help") from error
    except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
        if cluster is None:
            raise
        raise DataError(
            f"{lost_task(error)} is gone; the same command in all tasks goes on from the newest checkpoint"
        ) from error


def _gather(
    name: str, cluster: Cluster | None, config: run_config.RunConfig, timing: Mapping[str, Any], worker_timeout: float
) -> tuple[tf.distribute.Strategy, Callable[..., Trainer]]:
    """Waits for the other tasks, whose `timing` has to be the same.

    Returns:
        The strategy to build the model in, and a function that makes the Trainer.
    """
    if cluster and name == "parameter_server":
        servers = ParameterServers(cluster, worker_timeout, config.hparams.model.num_experts)
        return servers.strategy, functools.partial(AsynchronousTrainer, servers=servers)
    if cluster:
        handshake(cluster, {**config.facts(), **timing}, worker_timeout)
    strategy = make_strategy(name, worker_timeout)
    if strategy.num_replicas_in_sync > 1:
        print_line(f"training on {described(strategy)}")
    return strategy, functools.partial(Trainer, strategy=strategy, cluster=cluster)


def _build_model(config: run_config.RunConfig, devices: tf.distribute.Strategy, source: Path | None) -> Model:
    """Builds the run's model, with the weights of the run `source` if there is one."""
    tf.keras.utils.set_random_seed(config.hparams.training.seed)  # tf.data shuffles by TensorFlow's own seed too
    with devices.scope():
        model = run_config.build_model(config)
    if source:
        load_matching_weights(by_path(model.trainable_variables), source, print_line)
    return model


def _extras(
    model: Model, config: run_config.RunConfig, output_dir: Path, cluster: Cluster | None, profile: tuple[int, int] | None
) -> dict[str, Any]:
    """Returns the further arguments of a Trainer whose weights are in this process; the chief prints the start report first."""
    if cluster and not cluster.is_chief:
        return {"profile": profile}
    with only_informs("the report on the model's size"):
        for line in start_report(model, config):
            print_line(line)
    vocabulary = Vocabulary.load(output_dir / run_config.VOCABULARY)
    samples = Scorer(model, vocabulary, config.hparams, config.problems, Path(config.data_dir)).samples
    return {"profile": profile, "samples": samples}
