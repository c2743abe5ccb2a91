"""Checks before a run starts; each raises a DataError of one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data.fractions import check_fractions
from t2t_multimodel.data.manifest import Manifest
from t2t_multimodel.data.records import as_recorded, read_manifest, require_records
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.problem import Problem
from t2t_multimodel.runs import run_config
from t2t_multimodel.utils.console import print_line
from t2t_multimodel.utils.errors import DataError


def check_strategy(hparams: HParams, strategy: str) -> HParams:
    """Returns `hparams` as `strategy` needs them: a TPU, which compiles every new shape again, needs fixed shapes.

    Raises:
        DataError: hyperparameters need overlapping steps and `strategy` does not overlap them, or the other way round. Only
            "parameter_server" overlaps steps.
    """
    c = hparams.training
    if strategy != "parameter_server":
        if c.problem_schedule == "worker_per_problem":
            raise DataError("problem_schedule=worker_per_problem needs --strategy=parameter_server, where steps overlap")
        return hparams.override(fixed_shapes=True) if strategy == "tpu" else hparams
    # An update of a variable in more than one operation would undo an update that another step makes in between. TensorFlow's
    # workers refuse a compiled step ("KernelAndDeviceOp does not support EagerFunctionParams").
    needed = {"problems_per_step": 1, "accumulate_steps": 1, "optimizer": "adam", "ema_decay": 0.0, "xla": False}
    wrong = [f"{name}={value}, not {getattr(c, name)}" for name, value in needed.items() if getattr(c, name) != value]
    if hparams.model.precision == "float16":
        wrong.append("precision=float32 or bfloat16, not float16")
    if wrong:
        raise DataError(f"--strategy=parameter_server, whose steps overlap, needs {' and '.join(wrong)}")
    return hparams


def check_xla(hparams: HParams, strategy: str) -> None:
    """Raises DataError if xla=true and `strategy` uses several devices; prints a warning if xla=true on a CPU."""
    if not hparams.training.xla:
        return
    gpus = tf.config.list_physical_devices("GPU")
    if strategy in ("mirrored", "multi_worker", "tpu") or (strategy == "auto" and len(gpus) > 1):
        raise DataError("xla=true compiles the steps of one device: give --strategy=one_device, or leave it out")
    if not gpus:
        print_line("xla=true on a CPU: depthwise convolutions are far slower than without it")


def checked_data(
    problems: Sequence[Problem], set_name: str, hparams: HParams, data_dir: Path
) -> tuple[list[Problem], run_config.RunConfig]:
    """Returns the problems with the features that their records have, and the run's config.

    Raises:
        DataError: records or vocabulary are missing, or do not fit each other or the hyperparameters.
    """
    require_records(data_dir, problems)
    manifests = [read_manifest(data_dir, problem.records_name) for problem in problems]
    problems = [as_recorded(problem, data_dir) for problem in problems]
    try:
        check_fractions([problem.name for problem in problems], hparams.data.train_fractions)
    except ValueError as error:
        raise DataError(str(error)) from error
    vocabulary = Vocabulary.load(data_dir / run_config.VOCABULARY)
    _check_vocabulary(vocabulary, manifests, hparams, data_dir)
    specs = tuple(problem.spec() for problem in problems)
    return problems, run_config.RunConfig(set_name, hparams, specs, vocabulary.size, vocabulary.sha256, str(data_dir))


def check_warm_start(source: Path, config: run_config.RunConfig, output_dir: Path) -> None:
    """Raises DataError if a run of `config` in `output_dir` cannot begin with the weights of the run `source`."""
    if source.resolve() == output_dir.resolve():
        raise DataError(f"{source} is --output_dir itself: without --warm_start the run there goes on; or choose another one")
    begun = run_config.RunConfig.load(source)
    if begun.vocabulary_sha256 != config.vocabulary_sha256:
        raise DataError(
            f"{source} was trained with another vocabulary than the one in {config.data_dir}; make the records of all problems "
            f"in its data_dir {begun.data_dir}: mm-datagen keeps the vocabulary that is there"
        )


def _check_vocabulary(vocabulary: Vocabulary, manifests: Sequence[Manifest], hparams: HParams, data_dir: Path) -> None:
    for manifest in manifests:
        if manifest["vocabulary_sha256"] != vocabulary.sha256:
            name = manifest["problem"]
            raise DataError(f"the records of {name} in {data_dir} were made with another vocabulary; run mm-datagen again")
    if vocabulary.size > hparams.data.vocab_size:
        raise DataError(
            f"the vocabulary in {data_dir} has {vocabulary.size} pieces, the set has vocab_size={hparams.data.vocab_size}; "
            f"train with --hparams=vocab_size={vocabulary.size} or make the data with the same set in another --data_dir"
        )
