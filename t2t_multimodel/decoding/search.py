"""Decoding token by token: the input is encoded once, each step computes one position, and a strategy chooses the tokens.

Letters in shapes: B sentences, S source length, T target length, D depth, n outputs per sentence, W rows per sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from t2t_multimodel.decoding.constraints import WellFormedTrees
from t2t_multimodel.decoding.encoding import Classified, Encoding, Source, without_grappler
from t2t_multimodel.decoding.strategies import Greedy, Hypotheses, Strategy
from t2t_multimodel.features import Batch
from t2t_multimodel.model_protocol import DecodableModel
from t2t_multimodel.tf_internals import traced
from t2t_multimodel.utils.constants import LOWEST, PAD_ID

# In place of the number of words of a sentence whose output need not be a tree.
FREE = -1


class Part(NamedTuple):
    """Inputs of one problem, whose outputs are texts.

    Attributes:
        problem: the problem's name.
        batch: "inputs" and, for sound, "inputs_length", as the model takes them.
        limits: int32 [B], the most tokens of each output, EOS included.
        words: int32 [B], the sentences' numbers of words, if the outputs must be trees over them; None allows all outputs.
    """

    problem: str
    batch: Batch
    limits: np.ndarray
    words: np.ndarray | None = None


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
        self._encoding = Encoding(model)
        self._functions: dict[Hashable, Callable[..., Any]] = {}

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
            problem, batch: see Part.
            max_length: most tokens of an output, EOS included; one number, or int32 [B].
            strategy: None means Greedy().
            trees: allows only trees over `words` words; `max_length` must be at least `trees.shortest(words)`.
            words: int32 [B], the sentences' numbers of words; only read with `trees`.
        """
        limits = np.broadcast_to(np.asarray(max_length, np.int32), len(batch["inputs"]))
        return self.decode_parts([Part(problem, batch, limits, words if trees else None)], strategy, trees)[0][0]

    @without_grappler()
    def decode_parts(
        self, parts: Sequence[Part], strategy: Strategy | None = None, trees: WellFormedTrees | None = None
    ) -> list[tuple[Hypotheses, np.ndarray]]:
        """Returns the outputs of each part, as `decode` does, and the shares of the encoder's experts (see Encoded).

        All parts are decoded in one loop, whose steps cost little more for several inputs than for one. The outputs are those of
        each part alone; only with Sampling they depend on all.

        Args:
            parts: inputs of problems that may differ.
            strategy: None means Greedy().
            trees: holds the outputs of parts with `words` to trees.
        """
        strategy = strategy or Greedy()
        encoded = self._encoding.encode_together([(part.problem, part.batch) for part in parts])
        source = _stacked([each.source for each in encoded])
        sizes = [len(part.limits) for part in parts]
        limits = np.concatenate([part.limits for part in parts]).astype(np.int32)
        spaces = np.repeat([self.model.space_index(part.problem) for part in parts], sizes).astype(np.int32)
        words = np.concatenate([_words(part) for part in parts])
        if (words == FREE).all():
            trees = None
        generate = self._generate(parts[0].problem, source, strategy, trees)
        room, sentences = max(int(limits.max(initial=0)), 1), len(limits)
        if self._compiled:
            room, source, limits, spaces, words = _rounded_up(room, source, limits, spaces, words)
        ids, scores = (values.numpy()[:sentences] for values in generate(*source, limits, tf.zeros([room]), spaces, words))
        ends = np.cumsum(sizes)[:-1]
        found = map(Hypotheses, map(_trimmed, np.split(ids, ends)), np.split(scores, ends))
        return [(each, one.experts.numpy()) for each, one in zip(found, encoded, strict=True)]

    def classify(self, problem: str, batch: Batch) -> Classified:
        """Returns the classes of a batch of a problem whose targets are labels."""
        return self._encoding.classify(problem, batch)

    def _generate(
        self, problem: str, source: Source, strategy: Strategy, trees: WellFormedTrees | None
    ) -> Callable[..., Hypotheses]:
        key = (strategy, id(trees))
        if key not in self._functions:
            self._functions[key] = self._trace_generate(problem, source, strategy, trees)
        return self._functions[key]

    def _trace_generate(
        self, problem: str, source: Source, strategy: Strategy, trees: WellFormedTrees | None
    ) -> Callable[..., Hypotheses]:
        """Returns the traced loop, for sources of the depth and type of `source`.

        Its argument `room` float32 [T] gives the largest output length T by its shape, which XLA needs to know.
        """

        def generate(
            states: tf.Tensor, mask: tf.Tensor, limits: tf.Tensor, room: tf.Tensor, spaces: tf.Tensor, words: tf.Tensor
        ) -> Hypotheses:
            constraint = (trees, words) if trees else None
            arguments = limits, tf.shape(room)[0], spaces, strategy, constraint
            return generate_tokens(self.model, problem, Source(states, mask), *arguments, compiled=self._compiled)

        signature = [
            tf.TensorSpec([None, None, source.states.shape[-1]], source.states.dtype),
            tf.TensorSpec([None, None], source.mask.dtype),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None], tf.float32),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None], tf.int32),
        ]
        return traced(generate, input_signature=signature, jit_compile=self._compiled)


def _stacked(sources: Sequence[Source]) -> Source:
    """Returns the rows of all sources; shorter ones are padded, and their padding is masked."""
    if len(sources) == 1:
        return sources[0]
    longest = max(source.mask.shape[1] for source in sources)
    spare = [longest - source.mask.shape[1] for source in sources]
    states = [tf.pad(source.states, [[0, 0], [0, more], [0, 0]]) for source, more in zip(sources, spare, strict=True)]
    masks = [tf.pad(source.mask, [[0, 0], [0, more]]) for source, more in zip(sources, spare, strict=True)]
    return Source(tf.concat(states, 0), tf.concat(masks, 0))


def _words(part: Part) -> np.ndarray:
    return np.full(len(part.limits), FREE, np.int32) if part.words is None else part.words.astype(np.int32)


def _trimmed(ids: np.ndarray) -> np.ndarray:
    """Returns ids [B, n, T] without the positions that are padding in all rows."""
    return ids[:, :, : (ids != PAD_ID).any((0, 1)).sum()]


def _rounded_up(room: int, source: Source, *rows: np.ndarray) -> tuple[Any, ...]:
    """Returns the arguments with all sizes padded to powers of two: added positions are masked, added sentences have limit 0."""
    sentences, length = (_power_of_two(size) - size for size in source.mask.shape)
    states = tf.pad(source.states, [[0, sentences], [0, length], [0, 0]])
    mask = tf.pad(source.mask, [[0, sentences], [0, length]])
    return _power_of_two(room), Source(states, mask), *(np.pad(values, (0, sentences)) for values in rows)


def _power_of_two(size: int) -> int:
    return 1 << max(size - 1, 0).bit_length()


def generate_tokens(
    model: DecodableModel,
    problem: str,
    source: Source,
    limits: Any,
    length: Any,
    spaces: Any,
    strategy: Strategy,
    constraint: tuple[WellFormedTrees, Any] | None = None,
    compiled: bool = False,
) -> Hypotheses:
    """Returns the outputs of the loop over tokens: a step of the model, then the strategy's choice, until every sentence is done.

    Args:
        model: see Search.
        problem: the name of one of the problems; their targets have one modality net.
        source: the encoded inputs of B sentences.
        limits: int32 [B], the most tokens of each output.
        length: int32 scalar, the largest limit.
        spaces: int32 [B], the index of each sentence's target space.
        strategy: chooses the tokens; padding is never offered to it.
        constraint: (trees, words int32 [B]) allows only trees over so many words, and all outputs where words is FREE; None
            allows all outputs.
        compiled: whether XLA compiles the loop. Otherwise it is traced for TensorFlow's kernels: see `_packed` and
            `_overwritten`.
    """
    sentences, width = tf.shape(limits)[0], strategy.width
    constants = model.precompute(source)
    read, write = ((lambda: constants), None) if compiled else (_packed(constants), _overwritten)
    trees, words = constraint or (None, None)
    row_limits, row_spaces = tf.repeat(limits, width), tf.repeat(spaces, width)
    free = tf.repeat(words, width) == FREE if trees else tf.zeros_like(row_limits, tf.bool)

    def body(position: Any, state: Any, tree: Any, found: Any) -> tuple[Any, Any, Any, Any]:
        logits, state = model.step(tf.reshape(found.last, [-1]), position, state, read(), problem, row_spaces, write)
        # An addition of LOWEST would be fused by XLA into the product of the logits, which would take twice as long on a CPU.
        log_probs = tf.nn.log_softmax(tf.where(tf.range(logits.shape[-1]) == PAD_ID, LOWEST, logits))
        if trees:
            log_probs = tf.where(free[:, None] | trees.allowed(tree, row_limits - position), log_probs, LOWEST)
        log_probs = tf.reshape(log_probs, (-1, width, logits.shape[-1]))
        before = found.done
        found, parents = strategy.advance(found, log_probs, position, limits)
        if parents is not None:
            state, tree = model.reorder_beams(state, parents, position), _reorder(tree, parents, width)
        if trees:
            # A sentence that is done repeats its last token, which would open brackets without end.
            stays = free | tf.repeat(before, width)
            tree = _unless(stays, trees.advance(tree, tf.reshape(found.last, [-1])), tree)
        return position + 1, state, tree, found

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


def _unless(stays: Any, new: Any, old: Any) -> Any:
    """Returns the rows of `old` where stays [R] is True, else those of `new`, for each tensor."""
    return tf.nest.map_structure(
        lambda value, kept: tf.where(tf.reshape(stays, [-1, *[1] * (len(value.shape) - 1)]), kept, value), new, old
    )


def _reorder(values: Any, parents: Any, width: int) -> Any:
    """Returns `values` with each row of every tensor replaced by its parent's; parents int32 [B, W] count within a sentence."""
    rows = tf.reshape(parents + width * tf.range(tf.shape(parents)[0])[:, None], [-1])
    return tf.nest.map_structure(lambda value: tf.gather(value, rows), values)
