"""Encodes inputs for decoding, and classifies them: one traced function per input modality, for any batch size and length.

Letters in shapes: B inputs, S source length, D depth, E experts of the encoder.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from t2t_multimodel.features import Audio, Batch, Feature, Image, Text
from t2t_multimodel.model_protocol import DecodableModel
from t2t_multimodel.tf_internals import traced


class Source(NamedTuple):
    """The part of an encoded input that the decoder reads: states [B, S, D] and mask float32 [B, S]."""

    states: Any
    mask: Any


class Encoded(NamedTuple):
    """Encoded inputs.

    Attributes:
        source: what the decoder reads.
        experts: float32 [B, E], the share of each expert of the encoder in the gates of each input; E is 0 without experts.
    """

    source: Source
    experts: Any


class Classified(NamedTuple):
    """Classified inputs: logits float32 [B, classes], and `experts` as in Encoded."""

    logits: np.ndarray
    experts: np.ndarray


@contextlib.contextmanager
def without_grappler() -> Iterator[None]:
    """Switches Grappler off for functions that are called within.

    Grappler delays the first output by seconds and makes no later output faster. The option belongs to the whole process, so it
    is restored for the caller's own functions.
    """
    before = tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": before})


class Encoding:
    """Encodes and classifies batches with a model.

    Args:
        model: see decoding.search.Search.
    """

    def __init__(self, model: DecodableModel) -> None:
        self._model = model
        self._functions: dict[Hashable, Callable[..., Any]] = {}

    @without_grappler()
    def encode(self, problem: str, batch: Batch) -> Encoded:
        """Returns a batch of any problem, encoded."""
        feature = self._model.specs[problem].inputs
        states, mask, experts = self._function(("encode", *net_of(feature)), problem, self._encoded)(
            *self._arguments(feature, batch)
        )
        return Encoded(Source(states, mask), experts)

    def encode_together(self, parts: Sequence[tuple[str, Batch]]) -> list[Encoded]:
        """Returns the batch of each problem, encoded. Batches that one function can read together are encoded in one call."""
        groups: dict[Hashable, list[int]] = {}
        for number, (problem, batch) in enumerate(parts):
            feature = self._model.specs[problem].inputs
            size = np.shape(batch["inputs"])[1:3] if isinstance(feature, Image) else ()
            groups.setdefault((*net_of(feature), size), []).append(number)
        found: dict[int, Encoded] = {}
        for numbers in groups.values():
            joined = self.encode(parts[numbers[0]][0], join_batches([parts[number][1] for number in numbers]))
            first = 0
            for number in numbers:
                rows = slice(first, first := first + len(parts[number][1]["inputs"]))
                source = Source(joined.source.states[rows], joined.source.mask[rows])
                found[number] = Encoded(source, joined.experts[rows])
        return [found[number] for number in range(len(parts))]

    @without_grappler()
    def classify(self, problem: str, batch: Batch) -> Classified:
        """Returns the classes of a batch of a problem whose targets are labels."""
        arguments = self._arguments(self._model.specs[problem].inputs, batch)
        logits, experts = self._function(("classify", problem), problem, self._classified)(*arguments)
        return Classified(logits.numpy(), experts.numpy())

    def _function(self, key: Hashable, problem: str, compute: Callable[..., Any]) -> Callable[..., Any]:
        if key not in self._functions:
            signature = self._signature(self._model.specs[problem].inputs)
            self._functions[key] = traced(lambda inputs, length=None: compute(problem, inputs, length), input_signature=signature)
        return self._functions[key]

    def _arguments(self, feature: Feature, batch: Batch) -> list[tf.Tensor]:
        values = [batch["inputs"], batch["inputs_length"]] if isinstance(feature, Audio) else [batch["inputs"]]
        return [tf.cast(value, spec.dtype) for value, spec in zip(values, self._signature(feature), strict=True)]

    def _signature(self, feature: Feature) -> list[tf.TensorSpec]:
        """Returns the signature of encoding functions, for any batch size and length."""
        if isinstance(feature, Text):
            return [tf.TensorSpec([None, None], tf.int32)]
        if isinstance(feature, Image):
            return [tf.TensorSpec([None, None, None, feature.channels], tf.float32)]
        bins = [self._model.mel_bins] if self._model.config.audio_input == "spectrogram" else []
        return [tf.TensorSpec([None, None, *bins], tf.float32), tf.TensorSpec([None], tf.int32)]

    def _encoded(self, problem: str, inputs: tf.Tensor, length: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        encoded = self._model.encode(inputs, length, problem, training=False)
        return encoded.states, encoded.mask, expert_shares(encoded.routing, tf.shape(inputs)[0])

    def _classified(self, problem: str, inputs: tf.Tensor, length: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        encoded = self._model.encode(inputs, length, problem, training=False)
        logits = self._model.classify(encoded, problem, training=False)
        return logits, expert_shares(encoded.routing, tf.shape(inputs)[0])


def net_of(feature: Feature) -> tuple[Any, ...]:
    """Returns a key that is equal for inputs that one encoding function serves."""
    return feature.kind, getattr(feature, "channels", None)


def join_batches(batches: Sequence[Batch]) -> Batch:
    """Returns the inputs of prepared batches as one batch; texts and sounds are padded to the longest with 0."""
    if len(batches) == 1:
        return batches[0]
    inputs = [np.asarray(batch["inputs"]) for batch in batches]
    longest = max(values.shape[1] for values in inputs)
    padded = [np.pad(values, [(0, 0), (0, longest - values.shape[1]), *[(0, 0)] * (values.ndim - 2)]) for values in inputs]
    joined: Batch = {"inputs": np.concatenate(padded)}
    if "inputs_length" in batches[0]:
        joined["inputs_length"] = np.concatenate([np.asarray(batch["inputs_length"]) for batch in batches])
    return joined


def expert_shares(routing: Any, sentences: Any) -> Any:
    """Returns the share of each expert in the gates of each sentence, float32 [B, E]; a row sums to 1, or to 0 if all is padding.

    Args:
        routing: the Routing of the N = B * S positions of B sentences; None without experts.
        sentences: B, an int32 scalar.
    """
    if routing is None:
        return tf.zeros([sentences, 0])
    experts = routing.importance.shape[0]
    columns = experts + 1  # the last one is padding's
    rows = tf.reshape(routing.experts, (sentences, -1)) + columns * tf.range(sentences)[:, None]
    sums = tf.math.unsorted_segment_sum(tf.reshape(routing.gates, [-1]), tf.reshape(rows, [-1]), columns * sentences)
    gates = tf.reshape(sums, (sentences, columns))[:, :experts]
    return tf.math.divide_no_nan(gates, tf.reduce_sum(gates, axis=1, keepdims=True))
