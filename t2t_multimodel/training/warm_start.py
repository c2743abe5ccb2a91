"""The first weights of a run taken from a run of other problems: new tasks are added on the fly (arXiv 1706.05137, section 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import tensorflow as tf

from t2t_multimodel.training.checkpoints import newest_weights
from t2t_multimodel.utils.errors import DataError


def load_matching_weights(variables: Mapping[str, tf.Variable], output_dir: Path, report: Callable[[str], None]) -> None:
    """Gives `variables`, by path, what those of the same path and shape have in the newest checkpoint of `output_dir`.

    The others keep their first values, as the command token of a target space that was not there; optimizer, noise and positions
    in the data begin anew. Two lines tell what was taken over and what is new.

    Raises:
        DataError: there is no checkpoint, or none of its weights fits; nothing is changed then.
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
    """The parts of the model that variables belong to, with how many of each: "encoder (40), language (2)"."""
    counts: dict[str, int] = {}
    for name in names:
        part = name.partition(".")[0]
        counts[part] = counts.get(part, 0) + 1
    return ", ".join(f"{part} ({count})" for part, count in counts.items()) or "no weights"
