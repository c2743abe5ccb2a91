"""Checkpoints: weights by their paths, Adam's slots, states of noise and dropout, positions in the problems' data, the step,
and what evaluations found.

`tf.train.Checkpoint` writes to temporary files and renames them, so a checkpoint is whole or not there.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from t2t_multimodel.model_protocol import Model
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.plain_path import plain_path

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"  # how tf.train.Checkpoint ends a variable's name


class Checkpoints:
    """Saves and restores a training run in `output_dir`.

    Args:
        output_dir: where `ckpt-<step>` lie.
        model: built.
        slots: the optimizer's variables by kind and name; None restores weights alone.
        problems: whose positions and numbers of steps are kept, in training.
        keep: how many checkpoints stay.
        report: takes a line for the user about a damaged checkpoint.
        averages: moving averages of the weights, in training.
        averaged: whether to restore the averages as the model's weights.
        writes: False for a worker that is not the chief. It saves when the chief does, as tf.train.Checkpoint asks of all
            workers, but to a folder that is removed at once.
    """

    def __init__(
        self,
        output_dir: Path | str,
        model: Model,
        slots: Mapping[str, Mapping[str, Any]] | None = None,
        problems: Sequence[str] = (),
        keep: int = 3,
        report: Callable[[str], None] = print,
        averages: Mapping[str, tf.Variable] | None = None,
        averaged: bool = False,
        writes: bool = True,
    ) -> None:
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._positions = {name: tf.Variable([0, 0], dtype=tf.int64, trainable=False) for name in problems}
        self._counts = {name: tf.Variable(0, dtype=tf.int64, trainable=False) for name in problems}
        self._evaluations = tf.Variable("", dtype=tf.string, trainable=False)
        self._newer = {"evaluations": self._evaluations, "counts": self._counts}  # which an earlier version did not save
        weights = {"averages": by_path(model.trainable_variables)} if averaged else {"model": by_path(model.variables)}
        parts: dict[str, Any] = {**weights, "step": self._step, "positions": self._positions}
        if averages:
            parts["averages"] = dict(averages)
        self._trains = slots is not None and any(slots.values())
        if slots is not None:
            parts["optimizer"] = {kind: dict(variables) for kind, variables in slots.items()}
        self._required = tf.train.Checkpoint(**parts)
        self._checkpoint = tf.train.Checkpoint(**parts, **self._newer)
        # Files are this process's, wherever the variables lie.
        self._options = tf.train.CheckpointOptions(experimental_io_device=self._step.device)
        self._directory = Path(output_dir)
        self._manager = tf.train.CheckpointManager(self._checkpoint, plain_path(output_dir), keep, checkpoint_name="ckpt")
        self._report = report
        self._writes = writes

    @property
    def positions(self) -> dict[str, tuple[int, int]]:
        """Where the data of each problem was left (see TrainingBatches), as restored or last saved."""
        return {name: (int(value[0]), int(value[1])) for name, value in self._positions.items()}

    @property
    def counts(self) -> dict[str, int]:
        """Steps of each problem, as restored or last saved."""
        return {name: int(count) for name, count in self._counts.items()}

    @property
    def evaluations(self) -> str:
        """What `training.decisions` is to know of evaluations, as restored or last saved."""
        return self._evaluations.numpy().decode()

    @property
    def steps(self) -> list[int]:
        """The steps that there are checkpoints of, in order."""
        return [_step_of(path) for path in self._manager.checkpoints]

    def save(
        self,
        step: int,
        positions: Mapping[str, tuple[int, int]] | None = None,
        evaluations: str = "",
        counts: Mapping[str, int] | None = None,
    ) -> str:
        """Writes `ckpt-<step>` and removes what is older than the last `keep`; returns its path.

        Raises:
            DataError: it could not be written, because the disk is full or for another reason; those before are whole.
        """
        self._step.assign(step)
        self._evaluations.assign(evaluations)
        for name, position in (positions or {}).items():
            self._positions[name].assign(position)
        for name, count in (counts or {}).items():
            self._counts[name].assign(count)
        kept, names = self.steps, self._names()
        try:
            if self._writes:
                self._manager.save(checkpoint_number=step, options=self._options)
                return str(self._directory / f"ckpt-{step}")
            with tempfile.TemporaryDirectory() as folder:
                return self._checkpoint.write(f"{folder}/ckpt", self._options)
        except (tf.errors.OpError, OSError) as error:
            if step not in kept:
                self._remove_unfinished(step)
            raise DataError(
                f"the checkpoint of step {step} could not be written to {self._directory}: {_unwritten(error)}; "
                f"when that is mended, the same command goes on from the newest that is there: {names}"
            ) from error

    def restore(self, step: int | None = None) -> int | None:
        """Restores the newest checkpoint that can be read, or that of `step`; returns its step, or None where there is none.

        A damaged checkpoint is passed over, and said to be.

        Raises:
            DataError: there is none of `step`, it does not fit this model, or all are damaged.
        """
        paths = list(reversed(self._manager.checkpoints))
        if step is not None:
            paths = [path for path in paths if path.endswith(f"ckpt-{step}")]
            if not paths:
                raise DataError(f"no checkpoint of step {step} in {self._directory}; there are: {self._names()}")
        path = _first_whole(paths, self._directory, self._report)
        if path:
            return self._restore(path)
        if paths:
            names = ", ".join(Path(path).name for path in paths)
            raise DataError(f"damaged, and nothing else to go on from in {self._directory}: {names}; remove to start anew")
        return None

    def _remove_unfinished(self, step: int) -> None:
        for path in self._directory.glob(f"ckpt-{step}[._]*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _restore(self, path: str) -> int:
        if self._trains and not any(
            name.startswith("optimizer/") for name in tf.train.load_checkpoint(path).get_variable_to_shape_map()
        ):
            raise DataError(
                f"{self._directory} holds weights alone, as --average writes them, and no training can go on from there; begin a "
                f"new run with --warm_start={self._directory}"
            )
        try:
            self._required.restore(path, self._options).expect_partial().assert_existing_objects_matched()
        except (AssertionError, ValueError, LookupError, RuntimeError, tf.errors.OpError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            place = self._directory / Path(path).name
            raise DataError(f"checkpoint {place} does not fit the model of config.json beside it: {reason}") from error
        self._evaluations.assign("")  # A checkpoint of an earlier version has none.
        tf.train.Checkpoint(**self._newer).restore(path, self._options).expect_partial()
        return int(self._step.numpy())

    def _names(self) -> str:
        return ", ".join(Path(path).name for path in self._manager.checkpoints) or "none"


def newest_weights(output_dir: Path | str, report: Callable[[str], None]) -> tuple[int, dict[str, np.ndarray]]:
    """The step of the newest checkpoint that can be read, and the values of the weights in it, or their averages, by path.

    Raises:
        DataError: there is none.
    """
    state = tf.train.get_checkpoint_state(plain_path(output_dir))
    path = _first_whole(reversed(state.all_model_checkpoint_paths if state else ()), Path(output_dir), report)
    if not path:
        raise DataError(f"there is no checkpoint that can be read in {output_dir}")
    reader = tf.train.load_checkpoint(path)
    names = [name for name in reader.get_variable_to_shape_map() if name.endswith(_VALUE)]
    part = "averages/" if any(name.startswith("averages/") for name in names) else "model/"
    names = [name for name in names if name.startswith(part)]
    paths = {name: name.removeprefix(part).removesuffix(_VALUE).replace("..", ".") for name in names}  # it doubles dots
    return _step_of(path), {path: reader.get_tensor(name) for name, path in paths.items()}


def _step_of(path: str) -> int:
    return int(path.rpartition("-")[2])


def _first_whole(paths: Iterable[str], directory: Path, report: Callable[[str], None]) -> str | None:
    """The first checkpoint that can be read; those before it are told of. `directory` is how the user calls their folder."""
    for path in paths:
        reason = _damage(path)
        if not reason:
            return path
        place = directory / Path(path).name
        report(f"checkpoint {place} is damaged ({reason.replace(path, str(place))}) and is passed over")
    return None


def _unwritten(error: Exception) -> str:
    """Why a checkpoint could not be written, in a few words."""
    text = str(error).splitlines()[0]
    return "the disk is full" if "No space left on device" in text else text


def _damage(path: str) -> str:
    """What is wrong with the files of a checkpoint, in a line; "" if every value can be read and has its checksum."""
    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, ValueError, RuntimeError, LookupError) as error:
        return str(error).splitlines()[0]
    return ""


def by_path(variables: Iterable[Any]) -> dict[str, Any]:
    """Keras variables of a model under their paths within it, "." for "/" (the checkpoint's own separator).

    Each is a tf.Variable, or one in parts (training.sharding).
    """
    return {variable.path.partition("/")[2].replace("/", "."): variable.value for variable in variables}
