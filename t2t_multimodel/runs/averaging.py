"""The mean of a run's last checkpoints, as a run's directory of its own (arXiv 1706.03762, section 6.1)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from t2t_multimodel.runs.run_config import open_run, start_run
from t2t_multimodel.training.checkpoints import Checkpoints, by_path
from t2t_multimodel.utils.console import print_line
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.writer_lock import WriterLock

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
    with WriterLock(target, print_line):
        start_run(config, target, output_dir)
        Checkpoints(target, model, keep=1).save(newest)
    return target
