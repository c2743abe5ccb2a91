"""Starting a training run from records on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from t2t_multimodel import run
from t2t_multimodel.config import HParams
from t2t_multimodel.data.generation import print_line
from t2t_multimodel.data.problem import DataError, Problem
from t2t_multimodel.data.records import read_manifest, with_recorded_classes
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.training.distribution import described, make_strategy
from t2t_multimodel.training.trainer import NotFinite, Trainer


def train_run(
    problems: Sequence[Problem],
    set_name: str,
    hparams: HParams,
    data_dir: Path,
    output_dir: Path,
    seconds: float = 0.0,
    strategy: str = "auto",
) -> int:
    """Trains `problems` in `output_dir` on their records in `data_dir`, going on where a run there stopped.

    Args:
        set_name: the hparams set that `hparams` came from, for config.json.
        seconds: stop after so long; 0 is no limit.
        strategy: see training.distribution.

    Returns:
        The steps done.

    Raises:
        DataError: records or vocabulary are missing or do not fit together, output_dir holds another run, or the loss was no
            number.
    """
    # Grappler's passes took longer than they saved (docs/architecture.md).
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    if not tf.config.list_physical_devices("GPU"):  # Costs nothing measurable on a CPU; some operations lack it on a GPU.
        tf.config.experimental.enable_op_determinism()
    manifests = [read_manifest(data_dir, problem.records_name) for problem in problems]
    problems = [with_recorded_classes(problem, data_dir) for problem in problems]
    vocabulary = Vocabulary.load(data_dir / run.VOCABULARY)
    _check_vocabulary(vocabulary, manifests, hparams, data_dir)
    specs = tuple(problem.spec() for problem in problems)
    config = run.RunConfig(set_name, hparams, specs, vocabulary.size, vocabulary.sha256, str(data_dir))
    run.start_run(config, output_dir, data_dir)
    devices = make_strategy(strategy)
    if devices.num_replicas_in_sync > 1:
        print_line(f"training on {described(devices)}")
    with devices.scope():
        model = run.build_model(config)
    try:
        return Trainer(model, problems, hparams, data_dir, output_dir, devices).train(seconds=seconds)
    except NotFinite as error:
        raise DataError(f"{error}; a lower learning_rate or clip_norm may help") from error


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
