"""Starting a training run from records on disk."""

from __future__ import annotations

import dataclasses
import functools
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from t2t_multimodel import run
from t2t_multimodel.config import HParams
from t2t_multimodel.data.generation import print_line
from t2t_multimodel.data.problem import DataError, Problem
from t2t_multimodel.data.records import read_manifest, with_recorded_classes
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.experiments.scoring import Scorer
from t2t_multimodel.experiments.start_report import start_report
from t2t_multimodel.training.asynchronous import AsynchronousTrainer
from t2t_multimodel.training.checkpoints import by_path
from t2t_multimodel.training.cluster import Cluster, cluster_of_environment
from t2t_multimodel.training.distribution import described, lost, make_strategy, resolve_strategy
from t2t_multimodel.training.parameter_server import ParameterServers, serve
from t2t_multimodel.training.rendezvous import WORKER_TIMEOUT, meet
from t2t_multimodel.training.trainer import NotFinite, Trainer
from t2t_multimodel.training.warm_start import take_over


class Terminated(KeyboardInterrupt):
    """SIGTERM ended a run before its time; its checkpoint is written."""


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
) -> int:
    """Trains `problems` in `output_dir` on their records in `data_dir`, going on where a run there stopped.

    Args:
        set_name: the hparams set that `hparams` came from, for config.json.
        seconds: stop after so long; 0 is no limit.
        strategy: see training.distribution.
        warm_start: output_dir of a run whose weights a new run begins with, where they fit.
        worker_timeout: how long to wait for the other tasks of TF_CONFIG.
        profile: first and last step to profile.

    Returns:
        The steps done; 0 in the workers of parameter servers and in these, once they were told to end.

    Raises:
        KeyboardInterrupt: a signal ended the run before its time, Terminated if it was SIGTERM; its checkpoint is written.
        DataError: records or vocabulary are missing or do not fit together, output_dir holds another run, the loss was no
            number, another worker does not appear or is gone, or the run to begin with has another vocabulary, no checkpoint, or
            nothing that fits.
    """
    cluster = cluster_of_environment()
    strategy = resolve_strategy(strategy, cluster)
    _check_overlap(hparams, strategy)
    if cluster:
        print_line(f"this is {cluster}")
        if strategy == "parameter_server" and not cluster.is_chief:
            serve(cluster)
            return 0
    # Grappler's passes took longer than they saved (docs/architecture.md).
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    if not tf.config.list_physical_devices("GPU"):  # Costs nothing measurable on a CPU; some operations lack it on a GPU.
        tf.config.experimental.enable_op_determinism()
    problems, config = _checked(problems, set_name, hparams, data_dir)
    is_new = not tf.train.latest_checkpoint(str(output_dir))
    if warm_start:
        config = dataclasses.replace(config, warm_start=str(warm_start.resolve()))
        if is_new:
            _check_warm_start(warm_start, config, output_dir)
    if cluster is None or cluster.is_chief:
        run.start_run(config, output_dir, data_dir)
    try:
        if cluster and strategy == "parameter_server":
            devices, make_trainer = _asynchronous(cluster, worker_timeout)
        else:
            if cluster:
                meet(cluster, {**config.facts(), "train_minutes": seconds / 60}, worker_timeout)
            devices, make_trainer = _synchronous(strategy, cluster)
        _check_xla(hparams, devices)
        with devices.scope():
            model = run.build_model(config)
        if warm_start and is_new:
            take_over(by_path(model.trainable_variables), warm_start, print_line)
        extras: dict[str, Any] = {}
        if strategy != "parameter_server":  # whose weights and steps are elsewhere
            extras["profile"] = profile
            if cluster is None or cluster.is_chief:
                for line in start_report(model, config):
                    print_line(line)
                vocabulary = Vocabulary.load(output_dir / run.VOCABULARY)
                extras["samples"] = Scorer(model, vocabulary, hparams, config.problems, data_dir).samples
        trainer = make_trainer(model, problems, hparams, data_dir, output_dir, **extras)
        steps = trainer.train(seconds=seconds)
    except NotFinite as error:
        raise DataError(f"{error}; a lower learning_rate or clip_norm may help") from error
    except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
        if cluster is None:
            raise
        raise DataError(f"{lost(error)} is gone; the same command in all tasks goes on from the newest checkpoint") from error
    if trainer.interrupted:
        raise KeyboardInterrupt if trainer.interrupted == signal.SIGINT else Terminated
    return steps


def _check_xla(hparams: HParams, devices: tf.distribute.Strategy) -> None:
    if hparams.training.xla and devices.num_replicas_in_sync > 1:
        raise DataError("xla=true compiles the steps of one device: give --strategy=one_device, or leave it out")
    if hparams.training.xla and not tf.config.list_physical_devices("GPU"):
        print_line("xla=true on a CPU: depthwise convolutions are 40 to 80 times slower than without it")


def _checked(problems: Sequence[Problem], set_name: str, hparams: HParams, data_dir: Path) -> tuple[list[Problem], run.RunConfig]:
    """The problems with their recorded classes, and the run's config, if records, vocabulary and hyperparameters fit together."""
    manifests = [read_manifest(data_dir, problem.records_name) for problem in problems]
    problems = [with_recorded_classes(problem, data_dir) for problem in problems]
    vocabulary = Vocabulary.load(data_dir / run.VOCABULARY)
    _check_vocabulary(vocabulary, manifests, hparams, data_dir)
    specs = tuple(problem.spec() for problem in problems)
    return problems, run.RunConfig(set_name, hparams, specs, vocabulary.size, vocabulary.sha256, str(data_dir))


def _synchronous(name: str, cluster: Cluster | None) -> tuple[tf.distribute.Strategy, Callable[..., Trainer]]:
    """The strategy in whose scope the model is built, and what makes the trainer that goes with it."""
    strategy = make_strategy(name)
    if strategy.num_replicas_in_sync > 1:
        print_line(f"training on {described(strategy)}")
    return strategy, functools.partial(Trainer, strategy=strategy, cluster=cluster)


def _asynchronous(cluster: Cluster, worker_timeout: float) -> tuple[tf.distribute.Strategy, Callable[..., Trainer]]:
    """The same for the chief of a cluster with parameter servers."""
    servers = ParameterServers(cluster, worker_timeout)
    return servers.strategy, functools.partial(AsynchronousTrainer, servers=servers)


def _check_overlap(hparams: HParams, strategy: str) -> None:
    """Raises DataError where hyperparameters are for steps that overlap, and these do not, or the other way round."""
    c = hparams.training
    if strategy != "parameter_server":
        if c.problem_schedule == "worker_per_problem":
            raise DataError("problem_schedule=worker_per_problem needs --strategy=parameter_server, where steps overlap")
        return
    # What takes more than one operation to update a variable would undo another step's update in between.
    needed = {"problems_per_step": 1, "accumulate_steps": 1, "optimizer": "adam", "ema_decay": 0.0}
    wrong = [f"{name}={value}, not {getattr(c, name)}" for name, value in needed.items() if getattr(c, name) != value]
    if hparams.model.precision == "float16":
        wrong.append("precision=float32 or bfloat16, not float16")
    if wrong:
        raise DataError(f"--strategy=parameter_server, whose steps overlap, needs {' and '.join(wrong)}")


def _check_warm_start(source: Path, config: run.RunConfig, output_dir: Path) -> None:
    if source.resolve() == output_dir.resolve():
        raise DataError(f"{source} is --output_dir itself: without --warm_start the run there goes on; or choose another one")
    begun = run.RunConfig.load(source)
    if begun.vocabulary_sha256 != config.vocabulary_sha256:
        raise DataError(
            f"{source} was trained with another vocabulary than that in {config.data_dir}; make the records of all problems "
            f"in its data_dir {begun.data_dir}: mm-datagen keeps the vocabulary that is there"
        )


def _check_vocabulary(vocabulary: Vocabulary, manifests: Sequence[dict[str, Any]], hparams: HParams, data_dir: Path) -> None:
    for manifest in manifests:
        if manifest["vocabulary_sha256"] != vocabulary.sha256:
            name = manifest["problem"]
            raise DataError(f"the records of {name} in {data_dir} were made with another vocabulary; run mm-datagen again")
    if vocabulary.size > hparams.data.vocab_size:
        raise DataError(
            f"the vocabulary in {data_dir} has {vocabulary.size} pieces, the set has vocab_size={hparams.data.vocab_size}; "
            f"train with --hparams=vocab_size={vocabulary.size} or make the data with the same set in another --data_dir"
        )
