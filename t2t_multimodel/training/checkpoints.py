"""Checkpoints: weights by their paths, Adam's slots, and the number of steps done.

`tf.train.Checkpoint` writes to temporary files and renames them, so a checkpoint is whole or not there.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf

from t2t_multimodel.data.problem import DataError


class Checkpoints:
    """Saves and restores a training run in `output_dir`.

    Args:
        output_dir: where `ckpt-<step>` lie.
        model: built.
        slots: the optimizer's variables; None restores weights alone.
        keep: how many checkpoints stay.
    """

    def __init__(self, output_dir: Path | str, model: Any, slots: dict[str, dict[str, tf.Variable]] | None = None, keep: int = 3):
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        parts: dict[str, Any] = {"model": by_path(model.variables), "step": self._step}
        if slots is not None:
            parts["optimizer"] = slots
        self._checkpoint = tf.train.Checkpoint(**parts)
        self._with_optimizer = slots is not None
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(output_dir), keep, checkpoint_name="ckpt")

    def save(self, step: int) -> str:
        """Writes `ckpt-<step>` and removes what is older than the last `keep`; returns its path."""
        self._step.assign(step)
        return self._manager.save(checkpoint_number=step)

    def restore(self, step: int | None = None) -> int | None:
        """Restores the newest checkpoint, or that of `step`; returns its step, or None where there is none.

        Raises:
            DataError: there is none of `step`, or it does not fit this model.
        """
        path = self._manager.latest_checkpoint
        if step is not None:
            paths = [p for p in self._manager.checkpoints if p.endswith(f"ckpt-{step}")]
            if not paths:
                raise DataError(f"no checkpoint of step {step} in {self._manager.directory}; there are: {self._names()}")
            path = paths[0]
        if path is None:
            return None
        try:
            status = self._checkpoint.restore(path)
            status.assert_existing_objects_matched()
        except (AssertionError, ValueError, LookupError, RuntimeError, tf.errors.OpError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise DataError(f"checkpoint {path} does not fit the model of config.json beside it: {reason}") from error
        if not self._with_optimizer:
            status.expect_partial()
        return int(self._step.numpy())

    def _names(self) -> str:
        return ", ".join(Path(path).name for path in self._manager.checkpoints) or "none"


def by_path(variables: Iterable[Any]) -> dict[str, tf.Variable]:
    """Keras variables of a model under their paths within it, "." for "/" (the checkpoint's own separator)."""
    return {variable.path.partition("/")[2].replace("/", "."): variable.value for variable in variables}
