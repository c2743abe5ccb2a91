"""Decoding token by token: the input is encoded once, each step computes one position, and a strategy chooses the tokens.

Letters in shapes: B sentences, S source length, T target length, D depth, n outputs per sentence, W rows per sentence.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from t2t_multimodel.decoding.constraints import WellFormedTrees
from t2t_multimodel.decoding.strategies import Greedy, Hypotheses, Strategy
from t2t_multimodel.features import Audio, Batch, Feature, Image, Text
from t2t_multimodel.model_protocol import DecodableModel
from t2t_multimodel.tf_internals import traced
from t2t_multimodel.utils.constants import LOWEST, PAD_ID


class Source(NamedTuple):
    """The part of an encoded input that the decoder reads: states [B, S, D] and mask float32 [B, S]."""

    states: Any
    mask: Any


@contextlib.contextmanager
def _without_grappler() -> Iterator[None]:
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


class Search:
    """Decodes batches with a model.

    The loop over tokens runs inside one `tf.function`, which serves all target spaces, batch sizes and lengths of a strategy. One
    encoding function serves all problems of an input modality.

    Args:
        model: a MultiModel, or another DecodableModel.
        compiled: whether the loop runs under XLA, which fuses a step's many small operations. XLA compiles for seconds per
            combination of batch size, source length and limit; these are therefore rounded up to powers of two.
    """

    def __init__(self, model: DecodableModel, compiled: bool = False) -> None:
        self.model = model
        self._compiled = compiled
        self._functions: dict[Hashable, Callable[..., Any]] = {}

    @_without_grappler()
    def decode(
        self,
        problem: str,
        batch: Batch,
        max_length: int | np.ndarray,
        strategy: Strategy | None = None,
        trees: WellFormedTrees | None = None,
        words: np.ndarray | None = None,
    ) -> Hypotheses:
        """Returns the outputs as arrays: ids int32 [B, n, T], where T is the longest output's length, and scores float32 [B, n].

        Args:
            problem: the problem's name.
            batch: "inputs" and, for sound, "inputs_length", as the model takes them.
            max_length: most tokens of an output, EOS included; one number, or int32 [B].
            strategy: None means Greedy().
            trees: allows only trees over `words` words; `max_length` must be at least `trees.shortest(words)`.
            words: int32 [B], the sentences' numbers of words; only read with `trees`.
        """
        strategy = strategy or Greedy()
        source = self._encode(problem, batch)
        generate = self._function(
            ("generate", strategy, id(trees)), lambda: self._trace_generate(problem, source, strategy, trees)
        )
        limits = np.broadcast_to(np.asarray(max_length, np.int32), len(batch["inputs"]))
        counts = np.zeros_like(limits) if words is None else words.astype(np.int32)
        room, sentences = max(int(limits.max(initial=0)), 1), len(limits)
        if self._compiled:
            room, source, limits, counts = _rounded_up(room, source, limits, counts)
        space = tf.constant(self.model.space_index(problem))
        found = generate(*source, tf.constant(limits), tf.zeros([room]), space, tf.constant(counts))
        ids, scores = (values.numpy()[:sentences] for values in found)
        return Hypotheses(ids[:, :, : (ids != PAD_ID).any((0, 1)).sum()], scores)

    @_without_grappler()
    def classify(self, problem: str, batch: Batch) -> np.ndarray:
        """Returns the logits float32 [B, classes] of a problem whose targets are labels."""
        classify = self._function(("classify", problem), lambda: self._trace_classify(problem))
        return classify(*self._arguments(self.model.specs[problem].inputs, batch)).numpy()

    @_without_grappler()
    def expert_shares(self, problem: str, batch: Batch) -> np.ndarray:
        """Returns the share of each encoder expert in the gates of each input, float32 [B, E]; E is 0 without experts."""
        feature = self.model.specs[problem].inputs
        shares = self._function(("experts", *_net_of(feature)), lambda: self._trace_expert_shares(problem))
        return shares(*self._arguments(feature, batch)).numpy()

    def _encode(self, problem: str, batch: Batch) -> Source:
        feature = self.model.specs[problem].inputs
        return self._function(("encode", *_net_of(feature)), lambda: self._trace_encode(problem))(
            *self._arguments(feature, batch)
        )

    def _function(self, key: Hashable, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
        if key not in self._functions:
            self._functions[key] = make()
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
        bins = [self.model.mel_bins] if self.model.config.audio_input == "spectrogram" else []
        return [tf.TensorSpec([None, None, *bins], tf.float32), tf.TensorSpec([None], tf.int32)]

    def _trace_encode(self, problem: str) -> Callable[..., Source]:
        def encode(inputs: tf.Tensor, length: tf.Tensor | None = None) -> Source:
            encoded = self.model.encode(inputs, length, problem, training=False)
            return Source(encoded.states, encoded.mask)

        return traced(encode, input_signature=self._signature(self.model.specs[problem].inputs))

    def _trace_classify(self, problem: str) -> Callable[..., tf.Tensor]:
        def classify(inputs: tf.Tensor, length: tf.Tensor | None = None) -> tf.Tensor:
            encoded = self.model.encode(inputs, length, problem, training=False)
            return self.model.classify(encoded, problem, training=False)

        return traced(classify, input_signature=self._signature(self.model.specs[problem].inputs))

    def _trace_expert_shares(self, problem: str) -> Callable[..., tf.Tensor]:
        def shares(inputs: tf.Tensor, length: tf.Tensor | None = None) -> tf.Tensor:
            routing = self.model.encode(inputs, length, problem, training=False).routing
            sentences = tf.shape(inputs)[0]
            return tf.zeros([sentences, 0]) if routing is None else expert_shares(routing, sentences)

        return traced(shares, input_signature=self._signature(self.model.specs[problem].inputs))

    def _trace_generate(
        self, problem: str, source: Source, strategy: Strategy, trees: WellFormedTrees | None
    ) -> Callable[..., Hypotheses]:
        """Returns the traced loop, for sources of the depth and type of `source`.

        Its argument `room` float32 [T] gives the largest output length T by its shape, which XLA needs to know.
        """

        def generate(
            states: tf.Tensor, mask: tf.Tensor, limits: tf.Tensor, room: tf.Tensor, space: tf.Tensor, words: tf.Tensor
        ) -> Hypotheses:
            constraint = (trees, words) if trees else None
            arguments = limits, tf.shape(room)[0], space, strategy, constraint
            return generate_tokens(self.model, problem, Source(states, mask), *arguments, compiled=self._compiled)

        signature = [
            tf.TensorSpec([None, None, source.states.shape[-1]], source.states.dtype),
            tf.TensorSpec([None, None], source.mask.dtype),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None], tf.float32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([None], tf.int32),
        ]
        return traced(generate, input_signature=signature, jit_compile=self._compiled)


def _net_of(feature: Feature) -> tuple[Any, ...]:
    """Returns a key that is equal for inputs that one encoding function serves."""
    return feature.kind, getattr(feature, "channels", None)


def expert_shares(routing: Any, sentences: Any) -> Any:
    """Returns the share of each expert in the gates of each sentence, float32 [B, E]; a row sums to 1, or to 0 if all is padding.

    Args:
        routing: the Routing of the N = B * S positions of B sentences.
        sentences: B, an int32 scalar.
    """
    experts = routing.importance.shape[0]
    columns = experts + 1  # the last one is padding's
    rows = tf.reshape(routing.experts, (sentences, -1)) + columns * tf.range(sentences)[:, None]
    sums = tf.math.unsorted_segment_sum(tf.reshape(routing.gates, [-1]), tf.reshape(rows, [-1]), columns * sentences)
    gates = tf.reshape(sums, (sentences, columns))[:, :experts]
    return tf.math.divide_no_nan(gates, tf.reduce_sum(gates, axis=1, keepdims=True))


def _rounded_up(room: int, source: Source, limits: Any, words: Any) -> tuple[int, Source, Any, Any]:
    """Returns the arguments with all sizes padded to powers of two: added positions are masked, added sentences have limit 0."""
    sentences, length = (_power_of_two(size) - size for size in source.mask.shape)
    states = tf.pad(source.states, [[0, sentences], [0, length], [0, 0]])
    mask = tf.pad(source.mask, [[0, sentences], [0, length]])
    return _power_of_two(room), Source(states, mask), np.pad(limits, (0, sentences)), np.pad(words, (0, sentences))


def _power_of_two(size: int) -> int:
    return 1 << max(size - 1, 0).bit_length()


def generate_tokens(
    model: DecodableModel,
    problem: str,
    source: Source,
    limits: Any,
    length: Any,
    space: Any,
    strategy: Strategy,
    constraint: tuple[WellFormedTrees, Any] | None = None,
    compiled: bool = False,
) -> Hypotheses:
    """Returns the outputs of the loop over tokens: a step of the model, then the strategy's choice, until every sentence is done.

    Args:
        model: see Search.
        problem: the problem's name, or the name of one that differs in its command token alone.
        source: the encoded inputs of B sentences.
        limits: int32 [B], the most tokens of each output.
        length: int32 scalar, the largest limit.
        space: int32 scalar, the index of the target space.
        strategy: chooses the tokens; padding is never offered to it.
        constraint: (trees, words int32 [B]) allows only trees over so many words; None allows all outputs.
        compiled: whether XLA compiles the loop. Otherwise it is traced for TensorFlow's kernels: see `_packed` and
            `_overwritten`.
    """
    sentences, width = tf.shape(limits)[0], strategy.width
    constants = model.precompute(source)
    read, write = ((lambda: constants), None) if compiled else (_packed(constants), _overwritten)
    trees, words = constraint or (None, None)
    row_limits = tf.repeat(limits, width)

    def body(position: Any, state: Any, tree: Any, found: Any) -> tuple[Any, Any, Any, Any]:
        logits, state = model.step(tf.reshape(found.last, [-1]), position, state, read(), problem, space, write)
        # An addition of LOWEST would be fused by XLA into the product of the logits, which would take twice as long on a CPU.
        log_probs = tf.nn.log_softmax(tf.where(tf.range(logits.shape[-1]) == PAD_ID, LOWEST, logits))
        if trees:
            log_probs = tf.where(trees.allowed(tree, row_limits - position), log_probs, LOWEST)
        log_probs = tf.reshape(log_probs, (-1, width, logits.shape[-1]))
        found, parents = strategy.advance(found, log_probs, position, limits)
        if parents is not None:
            state, tree = model.reorder_beams(state, parents, position), _reorder(tree, parents, width)
        return position + 1, state, trees.advance(tree, tf.reshape(found.last, [-1])) if trees else tree, found

    state = model.init_cache(sentences, length, width)
    start = (
        tf.constant(0),
        # TensorFlow makes one tensor of equal ones, such as zeros of one shape; each cache that is overwritten needs its own.
        state if compiled else tf.nest.map_structure(lambda value: tf.raw_ops.DeepCopy(x=value), state),
        trees.start(tf.repeat(words, width)) if trees else (),
        strategy.start(sentences, length, limits),
    )
    shapes = tf.nest.map_structure(lambda value: value.shape, start)
    # With one iteration at a time, a cache is overwritten after all of the step before have read it.
    found = tf.while_loop(
        lambda *values: ~tf.reduce_all(values[3].done), body, start, shape_invariants=shapes, parallel_iterations=1
    )[3]
    return strategy.result(found, limits)


def _overwritten(cache: Any, rows: Any, values: Any) -> Any:
    """Returns `cache` itself after its `rows` have been overwritten; TensorFlow's scatter copies all of it on a CPU."""
    return tf.raw_ops.InplaceUpdate(x=cache, i=rows, v=values)


def _packed(constants: Any) -> Callable[[], Any]:
    """Returns a function that returns `constants`, for use within a loop.

    Without XLA every tensor that a loop reads from outside takes several operations per turn. Tensors of one type and shape are
    therefore stacked outside of the loop, and unstacked within, which copies nothing.
    """
    tensors = tf.nest.flatten(constants)
    places: dict[Hashable, list[int]] = {}
    for place, tensor in enumerate(tensors):
        if tensor.shape.is_fully_defined():
            places.setdefault((tensor.dtype, tuple(tensor.shape)), []).append(place)
    stacks = [(alike, tf.stack([tensors[place] for place in alike])) for alike in places.values() if len(alike) > 1]

    def unpacked() -> Any:
        values = list(tensors)
        for alike, stack in stacks:
            for place, value in zip(alike, tf.unstack(stack), strict=True):
                values[place] = value
        return tf.nest.pack_sequence_as(constants, values)

    return unpacked


def _reorder(values: Any, parents: Any, width: int) -> Any:
    """Returns `values` with each row of every tensor replaced by its parent's; parents int32 [B, W] count within a sentence."""
    rows = tf.reshape(parents + width * tf.range(tf.shape(parents)[0])[:, None], [-1])
    return tf.nest.map_structure(lambda value: tf.gather(value, rows), values)
