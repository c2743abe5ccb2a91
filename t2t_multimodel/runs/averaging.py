"""The mean of a run's last checkpoints, as a run's directory of its own (arXiv 1706.03762, section 6.1)."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from t2t_multimodel.runs.run_config import open_run, start_run
from t2t_multimodel.training.checkpoints import Checkpoints, by_path
from t2t_multimodel.utils.console import print_line
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.writer_lock import FILE_NAME, WriterLock

FOLDER = "averaged"


def average_run(output_dir: Path, count: int) -> Path:
    """Writes the mean weights of the run's last `count` checkpoints to the folder `output_dir/averaged`; returns its path.

    The folder is a run's directory of its own, with the run's vocabulary and config: every command that takes an output_dir
    takes it. Its config has ema_decay=0, since the weights are averaged already.

    Raises:
        DataError: `output_dir` holds no run or fewer than `count` checkpoints, or one of them is damaged or of another model.
    """
    config, _, model, newest = open_run(output_dir)
    checkpoints = Checkpoints(output_dir, model)
    steps = checkpoints.steps[-count:]
    if len(steps) < count or newest != steps[-1]:
        kept = ", ".join(map(str, checkpoints.steps))
        raise DataError(
            f"{output_dir} has fewer than {count} whole checkpoints, those of steps {kept}; keep_checkpoints says how many"
        )
    weights = by_path(model.trainable_variables)
    sums = {name: np.zeros(variable.shape, np.float64) for name, variable in weights.items()}
    for step in steps:
        checkpoints.restore(step)
        for name, variable in weights.items():
            sums[name] += variable.numpy()
    for name, variable in weights.items():
        variable.assign((sums[name] / count).astype(variable.numpy().dtype))
    target = output_dir / FOLDER
    config = dataclasses.replace(config, hparams=config.hparams.override(ema_decay=0.0))
    with WriterLock(target, print_line), _replaced(target) as beside:
        start_run(config, beside, output_dir)
        Checkpoints(beside, model, keep=1).save(newest)
    return target


@contextlib.contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """Yields a folder beside `folder`, which takes its place at the end, or is removed if there is an error.

    It begins with what `folder` holds beside a checkpoint, such as scores.
    """
    beside, before = (folder.with_name(f".{folder.name}.{name}-{os.getpid()}") for name in ("new", "old"))
    try:
        shutil.copytree(folder, beside, ignore=shutil.ignore_patterns("ckpt-*", "checkpoint", FILE_NAME))
        yield beside
        folder.rename(before)
        beside.rename(folder)
        shutil.rmtree(before)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
