"""Lets one traced function serve all problems with the same target modality, whatever their inputs are.

The body, which takes most of the tracing, is then traced once and not once per kind of input.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data.pipeline import batch_signature, empty_batch
from t2t_multimodel.distributed.sharding import in_parts
from t2t_multimodel.features import Batch, ProblemSwitch
from t2t_multimodel.model_protocol import Model
from t2t_multimodel.training.checkpoints import by_path


class Choice(NamedTuple):
    """The problem that a step trains, among those of its traced function.

    Attributes:
        space: the index of the target space, an int or an int32 scalar.
        source: the index of the kind of input, an int or an int32 scalar.
    """

    space: Any
    source: Any


class _ReadBy(NamedTuple):
    """The steps that read a variable: those whose `field` of Choice is one of `indices`."""

    field: str
    indices: tuple[int, ...]


class InputSwitch:
    """Knows the problems of each traced function, the function's arguments, and the variables that each problem reads.

    Args:
        model: a MultiModel.
        hparams: the run's hyperparameters.
        joined: whether one function serves several kinds of input. A condition in its graph then chooses one of them.
    """

    def __init__(self, model: Model, hparams: HParams, joined: bool) -> None:
        self._model = model
        self._all = {name: model.trace_group(name) if joined else (name,) for name in model.specs}
        self._signatures = {name: batch_signature(spec, hparams) for name, spec in model.specs.items()}
        self._nothing = {name: empty_batch(_inputs(signature)) for name, signature in self._signatures.items()}
        self._choices = {name: self._find_choice(name) for name in model.specs}
        readers = {sources: self._find_readers(sources) for sources in set(self._all.values())}
        self._readers = {name: readers[sources] for name, sources in self._all.items()}

    def key(self, problem: str) -> tuple[str, ...]:
        """Returns a key that all problems served by the function of `problem` share."""
        return self._model.trace_key(self._all[problem][0])

    def signature(self, problem: str) -> list[Any]:
        """Returns the TensorSpecs of what `arguments` returns."""
        sources, own = self._all[problem], self._signatures[problem]
        batch = own if len(sources) == 1 else _joined([_inputs(self._signatures[name]) for name in sources], own)
        return [batch, Choice(tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.int32))]

    def arguments(self, problem: str, batch: Batch) -> tuple[Batch, Choice]:
        """Returns a batch as the function takes it, and the choice of `problem` as int32 tensors."""
        sources, choice = self._all[problem], self._choices[problem]
        batch = cast(Batch, {name: value for name, value in batch.items() if name in self._signatures[problem]})
        if len(sources) > 1:
            batch = _joined(
                [_inputs(batch) if i == choice.source else self._nothing[name] for i, name in enumerate(sources)], batch
            )
        return batch, Choice(*(tf.constant(index) for index in choice))

    def problem(self, problem: str, choice: Choice) -> str | ProblemSwitch:
        """Returns the `problem` argument for the model, within the function of `problem` called with `choice`."""
        sources = self._all[problem]
        return problem if len(sources) == 1 else ProblemSwitch(sources, choice.source)

    def read(self, problem: str, names: Iterable[str]) -> set[str]:
        """Returns the variables among `names` that `problem` itself reads; all of `names` have a gradient in its function."""
        choice, readers = self._choices[problem], self._readers[problem]
        return {name for name in names if name not in readers or getattr(choice, readers[name].field) in readers[name].indices}

    def used(self, problem: str, names: Iterable[str], choice: Choice) -> list[tf.Tensor | None]:
        """Returns a float32 scalar per variable in `names`: 1 if a step of `choice` reads it, else 0; None if every step does."""
        readers = self._readers[problem]
        flags = {
            reader: tf.cast(tf.reduce_any(getattr(choice, reader.field) == reader.indices), tf.float32)
            for reader in set(readers.values())
        }
        return [flags[readers[name]] if name in readers else None for name in names]

    def _find_choice(self, problem: str) -> Choice:
        keys = [self._model.trace_key(name) for name in self._all[problem]]
        source = keys.index(self._model.trace_key(problem)) if len(keys) > 1 else 0
        return Choice(self._model.space_index(problem), source)

    def _find_readers(self, sources: tuple[str, ...]) -> dict[str, _ReadBy]:
        """Returns the reading steps of each variable that only some steps of the function for `sources` read."""
        by_source: dict[str, tuple[int, ...]] = {}
        for index, source in enumerate(sources):
            for name in in_parts(by_path(self._model.input_variables(source))):
                by_source[name] = (*by_source.get(name, ()), index)
        found = {name: _ReadBy("source", indices) for name, indices in by_source.items() if len(indices) < len(sources)}
        commands = self._model.commands.values()
        if len(commands) > 1:
            for index, command in enumerate(commands):
                found |= dict.fromkeys(by_path(command.trainable_variables), _ReadBy("space", (index,)))
        return found


def _inputs(batch: Batch) -> Batch:
    return cast(Batch, {name: value for name, value in batch.items() if name != "targets"})


def _joined(sources: list[Batch], batch: Batch) -> Batch:
    """Returns a batch for a ProblemSwitch, with the targets of `batch`."""
    return {"sources": tuple(sources), "targets": batch["targets"]}
