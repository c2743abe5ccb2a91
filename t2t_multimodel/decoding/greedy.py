"""Greedy search: the likeliest next token, until the end of the sequence.

Letters in shapes: B batch, S source length, T target length, D depth.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from t2t_multimodel.data.vocabulary import EOS_ID
from t2t_multimodel.features import Audio, Feature, Image, Text


class Source(NamedTuple):
    """What a decoder reads of an encoded input: states [B, S, D] and mask [B, S]."""

    states: Any
    mask: Any


class GreedySearch:
    """Decodes batches with a model.

    The input is encoded once a batch; the loop over tokens runs inside one `tf.function`. One such function serves all target
    spaces, and one encoding function all problems of an input modality, whatever the lengths.

    Args:
        model: a MultiModel, or anything with its `specs`, `config`, `mel_bins`, `space_index`, `encode`, `decode` and `classify`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._functions: dict[Hashable, Callable[..., Any]] = {}

    def decode(self, problem: str, batch: Mapping[str, Any], max_length: int | np.ndarray) -> np.ndarray:
        """The ids int32 [B, T] of the outputs, each ended by EOS unless it was cut, padded with 0; T is the longest.

        Args:
            batch: "inputs" and, for sound, "inputs_length", as the model takes them.
            max_length: most tokens of an output, EOS included; one number, or int32 [B].
        """
        spec = self.model.specs[problem]
        key = (spec.inputs.kind, getattr(spec.inputs, "channels", None))
        encode = self._function(("encode", *key), lambda: self._trace_encode(problem))
        source = encode(*self._arguments(spec.inputs, batch))
        generate = self._function("generate", lambda: self._trace_generate(problem, source))
        limits = np.broadcast_to(np.asarray(max_length, np.int32), len(batch["inputs"]))
        space = tf.constant(self.model.space_index(problem))
        return generate(source.states, source.mask, tf.constant(limits), space).numpy()

    def classify(self, problem: str, batch: Mapping[str, Any]) -> np.ndarray:
        """The logits float32 [B, classes] of a problem whose targets are labels."""
        classify = self._function(("classify", problem), lambda: self._trace_classify(problem))
        return classify(*self._arguments(self.model.specs[problem].inputs, batch)).numpy()

    def _function(self, key: Hashable, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
        if key not in self._functions:
            self._functions[key] = make()
        return self._functions[key]

    def _arguments(self, feature: Feature, batch: Mapping[str, Any]) -> list[tf.Tensor]:
        names = ("inputs", "inputs_length") if isinstance(feature, Audio) else ("inputs",)
        return [tf.cast(batch[name], spec.dtype) for name, spec in zip(names, self._signature(feature), strict=True)]

    def _signature(self, feature: Feature) -> list[tf.TensorSpec]:
        """What `encode` is called with, of any batch size and length."""
        if isinstance(feature, Text):
            return [tf.TensorSpec([None, None], tf.int32)]
        if isinstance(feature, Image):
            return [tf.TensorSpec([None, None, None, feature.channels], tf.float32)]
        bins = [self.model.mel_bins] if self.model.config.audio_input == "spectrogram" else []
        return [tf.TensorSpec([None, None, *bins], tf.float32), tf.TensorSpec([None], tf.int32)]

    def _trace_encode(self, problem: str) -> Callable[..., Source]:
        def encode(inputs: tf.Tensor, length: tf.Tensor | None = None) -> Source:
            encoded = self.model.encode(inputs, length, problem, training=False)
            return Source(encoded.states, encoded.mask)

        return tf.function(encode, input_signature=self._signature(self.model.specs[problem].inputs))

    def _trace_classify(self, problem: str) -> Callable[..., tf.Tensor]:
        def classify(inputs: tf.Tensor, length: tf.Tensor | None = None) -> tf.Tensor:
            encoded = self.model.encode(inputs, length, problem, training=False)
            return self.model.classify(encoded, problem, training=False)

        return tf.function(classify, input_signature=self._signature(self.model.specs[problem].inputs))

    def _trace_generate(self, problem: str, source: Source) -> Callable[..., tf.Tensor]:
        """The whole loop, of any batch size and lengths, for sources of the depth and type of `source`."""

        def generate(states: tf.Tensor, mask: tf.Tensor, limits: tf.Tensor, space: tf.Tensor) -> tf.Tensor:
            def step(prefix: tf.Tensor, done: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                tokens = tf.where(done, 0, self._next_tokens(Source(states, mask), prefix, problem, space))
                prefix = tf.concat([prefix, tokens[:, None]], axis=1)
                return prefix, done | (tokens == EOS_ID) | (tf.shape(prefix)[1] >= limits)

            start = tf.zeros([tf.shape(limits)[0], 0], tf.int32), limits < 1
            invariants = tf.TensorShape([None, None]), tf.TensorShape([None])
            return tf.while_loop(lambda _, done: ~tf.reduce_all(done), step, start, shape_invariants=invariants)[0]

        signature = [
            tf.TensorSpec([None, None, source.states.shape[-1]], source.states.dtype),
            tf.TensorSpec([None, None], source.mask.dtype),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([], tf.int32),
        ]
        return tf.function(generate, input_signature=signature)

    def _next_tokens(self, source: Source, prefix: tf.Tensor, problem: str, space: tf.Tensor) -> tf.Tensor:
        """The likeliest ids int32 [B] behind prefix [B, T]; never padding."""
        targets = tf.pad(prefix, [[0, 0], [0, 1]])
        logits = self.model.decode(source, targets, problem, training=False, space=space)[:, -1]
        return tf.argmax(logits[:, 1:], axis=-1, output_type=tf.int32) + 1
