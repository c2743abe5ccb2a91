"""Checkpoints of a run.

A checkpoint has the weights by their paths, the optimizer's slots, the states of noise and dropout, the positions in the
problems' data, the step, each problem's number of steps and of examples, the evaluations so far, and what the clock decided.
`tf.train.Checkpoint` writes to temporary files and renames them, so that a checkpoint is complete or absent.
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

_UNKNOWN = -1  # as a number of examples
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"  # the end of variables' names in tf.train.Checkpoint


class Checkpoints:
    """Saves and restores a training run in `output_dir`.

    Args:
        output_dir: the folder of the checkpoints `ckpt-<step>`.
        model: a built model.
        slots: the optimizer's variables by kind and name; None restores weights alone.
        problems: in training, the problems whose positions and numbers of steps are kept.
        keep: number of checkpoints that are kept.
        report: called with a line for the user about a damaged checkpoint.
        averages: in training, the moving averages of the weights.
        averaged: whether to restore the averages as the model's weights.
        writes: False for a worker that is not the chief. tf.train.Checkpoint needs all workers to save at the same time; such a
            worker saves to a folder that is removed at once.
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
        self._examples = {name: tf.Variable(0, dtype=tf.int64, trainable=False) for name in problems}
        self._evaluations = tf.Variable("", dtype=tf.string, trainable=False)
        self._plan = tf.Variable("", dtype=tf.string, trainable=False)
        # Older checkpoints do not have these.
        self._newer = {"evaluations": self._evaluations, "counts": self._counts, "examples": self._examples, "plan": self._plan}
        weights = {"averages": by_path(model.trainable_variables)} if averaged else {"model": by_path(model.variables)}
        parts: dict[str, Any] = {**weights, "step": self._step, "positions": self._positions}
        if averages:
            parts["averages"] = dict(averages)
        self._trains = slots is not None and any(slots.values())
        if slots is not None:
            parts["optimizer"] = {kind: dict(variables) for kind, variables in slots.items()}
        self._required = tf.train.Checkpoint(**parts)
        self._checkpoint = tf.train.Checkpoint(**parts, **self._newer)
        # This process writes the files, even if the variables are on other machines.
        self._options = tf.train.CheckpointOptions(experimental_io_device=self._step.device)
        self._directory = Path(output_dir)
        self._manager = tf.train.CheckpointManager(self._checkpoint, plain_path(output_dir), keep, checkpoint_name="ckpt")
        self._report = report
        self._writes = writes

    @property
    def positions(self) -> dict[str, tuple[int, int]]:
        """Returns the position in each problem's data (see TrainingBatches) that was last restored or saved."""
        return {name: (int(value[0]), int(value[1])) for name, value in self._positions.items()}

    @property
    def counts(self) -> dict[str, int]:
        """Returns the number of steps of each problem that was last restored or saved."""
        return {name: int(count) for name, count in self._counts.items()}

    @property
    def examples(self) -> dict[str, int | None]:
        """Returns the number of training examples of each problem that was last restored or saved; None where it is not known."""
        return {name: None if count < 0 else int(count) for name, count in self._examples.items()}

    @property
    def evaluations(self) -> str:
        """Returns the text of evaluations (see training.decisions) that was last restored or saved."""
        return self._evaluations.numpy().decode()

    @property
    def plan(self) -> str:
        """Returns the text of the clock's decisions (see training.timetable) that was last restored or saved."""
        return self._plan.numpy().decode()

    @property
    def steps(self) -> list[int]:
        """Returns the steps of the existing checkpoints, in order."""
        return [_step_of(path) for path in self._manager.checkpoints]

    def save(
        self,
        step: int,
        positions: Mapping[str, tuple[int, int]] | None = None,
        evaluations: str = "",
        counts: Mapping[str, int] | None = None,
        examples: Mapping[str, int | None] | None = None,
        plan: str = "",
    ) -> str:
        """Writes `ckpt-<step>`, removes all but the last `keep` checkpoints, and returns the new one's path.

        Args:
            step: the number of steps done.
            positions: positions in the problems' data.
            evaluations: the text of `training.decisions`.
            counts: numbers of steps by problem.
            examples: numbers of training examples by problem, None where it is not known.
            plan: the text of `training.timetable`.

        Raises:
            DataError: the checkpoint could not be written, for example because the disk is full. Earlier ones are untouched.
        """
        self._step.assign(step)
        self._evaluations.assign(evaluations)
        self._plan.assign(plan)
        for name, position in (positions or {}).items():
            self._positions[name].assign(position)
        for name, count in (counts or {}).items():
            self._counts[name].assign(count)
        for name, seen in (examples or {}).items():
            self._examples[name].assign(_UNKNOWN if seen is None else seen)
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
        """Restores the checkpoint of `step`, or the newest one that can be read; returns its step, or None without any.

        A damaged checkpoint is reported and passed over.

        Raises:
            DataError: `step` has no checkpoint, the checkpoint does not fit this model, or all are damaged.
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
        for text in (self._evaluations, self._plan):
            text.assign("")  # An older checkpoint has none to restore.
        for variable in self._examples.values():
            variable.assign(_UNKNOWN)
        tf.train.Checkpoint(**self._newer).restore(path, self._options).expect_partial()
        return int(self._step.numpy())

    def _names(self) -> str:
        return ", ".join(Path(path).name for path in self._manager.checkpoints) or "none"


def newest_weights(output_dir: Path | str, report: Callable[[str], None]) -> tuple[int, dict[str, np.ndarray]]:
    """Returns the step of the newest checkpoint that can be read, and its weights by path: the averages if it has any.

    Raises:
        DataError: there is no such checkpoint.
    """
    state = tf.train.get_checkpoint_state(plain_path(output_dir))
    path = _first_whole(reversed(state.all_model_checkpoint_paths if state else ()), Path(output_dir), report)
    if not path:
        raise DataError(f"there is no checkpoint that can be read in {output_dir}")
    reader = tf.train.load_checkpoint(path)
    names = [name for name in reader.get_variable_to_shape_map() if name.endswith(_VALUE)]
    part = "averages/" if any(name.startswith("averages/") for name in names) else "model/"
    names = [name for name in names if name.startswith(part)]
    # tf.train.Checkpoint doubles the dots in names.
    paths = {name: name.removeprefix(part).removesuffix(_VALUE).replace("..", ".") for name in names}
    return _step_of(path), {path: reader.get_tensor(name) for name, path in paths.items()}


def _step_of(path: str) -> int:
    return int(path.rpartition("-")[2])


def _first_whole(paths: Iterable[str], directory: Path, report: Callable[[str], None]) -> str | None:
    """Returns the first of `paths` that can be read, and reports the damaged ones before it; messages name `directory`."""
    for path in paths:
        reason = _damage(path)
        if not reason:
            return path
        place = directory / Path(path).name
        report(f"checkpoint {place} is damaged ({reason.replace(path, str(place))}) and is passed over")
    return None


def _unwritten(error: Exception) -> str:
    """Returns in a few words why a checkpoint could not be written."""
    text = str(error).splitlines()[0]
    return "the disk is full" if "No space left on device" in text else text


def _damage(path: str) -> str:
    """Returns one line about the damage to a checkpoint's files, or "" if every value can be read and its checksum is right."""
    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, ValueError, RuntimeError, LookupError) as error:
        return str(error).splitlines()[0]
    return ""


def by_path(variables: Iterable[Any]) -> dict[str, Any]:
    """Returns the variables of a Keras model by their paths within it, with "." for "/", which separates a checkpoint's names.

    Each value is a tf.Variable, or a sharded one (see distributed.sharding).
    """
    return {variable.path.partition("/")[2].replace("/", "."): variable.value for variable in variables}
