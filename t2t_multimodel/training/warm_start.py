"""Starts a run with the weights of a run of other problems, to add new tasks to a trained model (arXiv 1706.05137, section 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import tensorflow as tf

from t2t_multimodel.training.checkpoints import newest_weights
from t2t_multimodel.utils.errors import DataError


def load_matching_weights(variables: Mapping[str, tf.Variable], output_dir: Path, report: Callable[[str], None]) -> None:
    """Assigns weights of the newest checkpoint of `output_dir` to the variables with the same path and shape.

    Other variables keep their initial values, such as the command token of a new target space. The optimizer, the noise and the
    positions in the data are not restored. Two lines report which variables were loaded and which are new.

    Args:
        variables: the model's variables by path.
        output_dir: the folder of the other run.
        report: called with each line.

    Raises:
        DataError: there is no checkpoint, or none of its weights fits; then no variable has changed.
    """
    step, values = newest_weights(output_dir, report)
    fits = {name: name in values and values[name].shape == tuple(variable.shape) for name, variable in variables.items()}
    taken = [name for name in variables if fits[name]]
    if not taken:
        raise DataError(f"no weight of {output_dir} at step {step} fits: the hyperparameters of the model must be the same")
    for name in taken:
        variables[name].assign(values[name])
    report(f"warm start from {output_dir} at step {step}: taken over are {_described(taken)}")
    report(f"new are {_described(name for name in variables if not fits[name])}")


def _described(names: Iterable[str]) -> str:
    """Returns the parts of the model to which the variables belong, with their numbers, like "encoder (40), language (2)"."""
    counts: dict[str, int] = {}
    for name in names:
        part = name.partition(".")[0]
        counts[part] = counts.get(part, 0) + 1
    return ", ".join(f"{part} ({count})" for part, count in counts.items()) or "no weights"
