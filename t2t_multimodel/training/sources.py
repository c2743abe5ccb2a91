"""Which problems a traced function serves: all whose targets have one modality, whatever their inputs are.

The body, most of what there is to trace, is then traced once and not once for each kind of input.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data.pipeline import batch_signature, empty_batch
from t2t_multimodel.features import OneOf
from t2t_multimodel.training.checkpoints import by_path
from t2t_multimodel.training.sharding import in_parts

Batch = dict[str, Any]


class _Readers(NamedTuple):
    """Steps whose target space (axis 0) or source (axis 1) is at one of `places`."""

    axis: int
    places: tuple[int, ...]


class Sources:
    """The problems that one function can read, what it is called with, and which variables it trains with each.

    Args:
        model: a MultiModel.
        hparams: of the run.
        joined: whether one function is to serve several kinds of input. It reads one of them, by a condition in its graph.
    """

    def __init__(self, model: Any, hparams: HParams, joined: bool) -> None:
        self._model = model
        self._all = {name: model.alike(name) if joined else (name,) for name in model.specs}
        self._signatures = {name: batch_signature(spec, hparams) for name, spec in model.specs.items()}
        self._nothing = {name: empty_batch(_inputs(signature)) for name, signature in self._signatures.items()}
        self._places = {name: self._find_places(name) for name in model.specs}
        readers = {sources: self._find_readers(sources) for sources in set(self._all.values())}
        self._readers = {name: readers[sources] for name, sources in self._all.items()}

    def key(self, problem: str) -> tuple[str, ...]:
        """The same for all problems that the function of `problem` serves."""
        return self._model.trace_key(self._all[problem][0])

    def signature(self, problem: str) -> list[Any]:
        """TensorSpecs of what `arguments` returns."""
        sources, own = self._all[problem], self._signatures[problem]
        batch = own if len(sources) == 1 else _joined([_inputs(self._signatures[name]) for name in sources], own)
        return [batch, tf.TensorSpec([2], tf.int32)]

    def arguments(self, problem: str, batch: Batch) -> tuple[Batch, tf.Tensor]:
        """A batch as the function takes it, and int32 [2]: the places of the problem's target space and of its source."""
        sources, places = self._all[problem], self._places[problem]
        batch = {name: batch[name] for name in self._signatures[problem]}
        if len(sources) > 1:
            own = places[1]
            batch = _joined([_inputs(batch) if i == own else self._nothing[name] for i, name in enumerate(sources)], batch)
        return batch, tf.constant(places)

    def problem(self, problem: str, place: tf.Tensor) -> str | OneOf:
        """What the model is asked for in the function of `problem`, called with the source at `place`."""
        sources = self._all[problem]
        return problem if len(sources) == 1 else OneOf(sources, place)

    def read(self, problem: str, names: Iterable[str]) -> set[str]:
        """Of the variables `names`, which have a gradient in the function of `problem`, those that `problem` itself reads."""
        places, readers = self._places[problem], self._readers[problem]
        return {name for name in names if name not in readers or places[readers[name].axis] in readers[name].places}

    def used(self, problem: str, names: Iterable[str], places: tf.Tensor) -> list[tf.Tensor | None]:
        """For each of the variables `names` float32 1 if a step at `places` reads it, else 0; None where all steps do."""
        readers = self._readers[problem]
        flags = {r: tf.cast(tf.reduce_any(places[r.axis] == r.places), tf.float32) for r in set(readers.values())}
        return [flags[readers[name]] if name in readers else None for name in names]

    def _find_places(self, problem: str) -> tuple[int, int]:
        """Of a problem's target space among the model's, and of its source among its function's."""
        keys = [self._model.trace_key(name) for name in self._all[problem]]
        return self._model.space_index(problem), keys.index(self._model.trace_key(problem)) if len(keys) > 1 else 0

    def _find_readers(self, sources: tuple[str, ...]) -> dict[str, _Readers]:
        """Of the variables that only some steps of the function for `sources` read, which steps."""
        by_source: dict[str, tuple[int, ...]] = {}
        for place, source in enumerate(sources):
            for name in in_parts(by_path(self._model.input_variables(source))):
                by_source[name] = (*by_source.get(name, ()), place)
        found = {name: _Readers(1, places) for name, places in by_source.items() if len(places) < len(sources)}
        commands = self._model.commands.values()
        if len(commands) > 1:
            for place, command in enumerate(commands):
                found |= dict.fromkeys(by_path(command.trainable_variables), _Readers(0, (place,)))
        return found


def _inputs(batch: Batch) -> Batch:
    return {name: value for name, value in batch.items() if name != "targets"}


def _joined(sources: list[Batch], batch: Batch) -> Batch:
    """A batch of OneOf, with the targets of `batch`."""
    return {"sources": tuple(sources), "targets": batch["targets"]}
