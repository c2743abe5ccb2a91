"""The decoding cache: the values of earlier positions that causal layers keep, and how beam search reorders them.

Cached values never move between rows. The row that computed a key, a value or a convolution's input keeps it. Beam search instead
rewrites a small table, `beam_indices`, which says which row of the sentence holds each earlier position of each row.

Without XLA every operation costs microseconds, however small it is. A step therefore reads the caches of all convolutions of a
kind (kernel size and dilation) together, before it computes the first of them.

Letters in shapes: B sentences, W rows per sentence, R = B * W rows, T positions, n convolutions of a kind, K taps, d dilation,
C channels, D depth.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from keras import ops

from t2t_multimodel.layers.position import timing_signal
from t2t_multimodel.utils.constants import LOWEST

Write = Callable[[Any, Any, Any], Any]


def replaced_rows(cache, rows, values):
    """Returns a copy of cache [M, ...] that has values [m, ...] at the rows int32 [m].

    Another Write may overwrite `cache` itself, because no step reads a cache again after it has written to it.
    """
    return ops.scatter_update(cache, rows[:, None], values)


def initial_beam_indices(sentences, width: int, length):
    """Returns the beam indices int32 [T, B, W] with which every row reads its own values; T = `length`, B = `sentences`."""
    return ops.broadcast_to(ops.arange(width, dtype="int32"), (length, sentences, width))


def reorder_beams(beam_indices, parents, position):
    """Returns the beam indices int32 [T, B, W] after row w of each sentence has become a continuation of row `parents[:, w]`.

    Up to `position` row w takes over the indices of its parent. At later positions every row reads its own values.

    Args:
        beam_indices: int32 [T, B, W], before the reordering.
        parents: int32 [B, W].
        position: int32 scalar.
    """
    length, width = ops.shape(beam_indices)[0], beam_indices.shape[2]
    past = ops.arange(length, dtype="int32")[:, None, None] <= position
    indices = sum(ops.where(parents == row, beam_indices[:, :, row : row + 1], 0) for row in range(width))
    return ops.where(past, indices, ops.arange(width, dtype="int32"))


def gather_beams(values, beam_indices):
    """Returns, for each row, the values [K, n, R, C] that the rows it continues have cached.

    Args:
        values: [K, n, R, C], in the rows that cached them.
        beam_indices: int32 [K, B, W], the row of the sentence that cached each value.
    """
    taps, count, _, channels = values.shape
    width = beam_indices.shape[2]
    index = ops.arange(ops.size(values) // channels, dtype="int32")
    first_rows = ops.reshape(index - index % width, (taps, count, -1))  # R is a multiple of W
    written = first_rows + ops.reshape(beam_indices, (taps, 1, -1))
    found = ops.take(ops.reshape(values, (-1, channels)), ops.reshape(written, (-1,)), axis=0)
    return ops.reshape(found, ops.shape(values))


class DecodeStep:
    """One position of the decoding loop, with the tensors that many layers derive from it; each is computed once.

    Args:
        position: int32 scalar.
        beam_indices: int32 [T, B, W].
        convolutions: a ConvStepReader from `ConvCaches.at`.
        write: overwrites the cache of self-attention; not for XLA. None copies it.
    """

    def __init__(self, position, beam_indices, convolutions, write: Write | None = None):
        self.position = position
        self.beam_indices = beam_indices
        self.convolutions = convolutions
        self.write, self.overwrites = write or replaced_rows, write is not None
        self.width = beam_indices.shape[2]
        self.entries = ops.shape(beam_indices)[0] * self.width  # T * W keys per sentence and head
        self._bias = self._timing = self._rows = None

    def rows(self, keys):
        """Returns the rows of self-attention's cache of this position's keys and values, int32 [B * N * W].

        Args:
            keys: [B * N, W, P] for N heads.
        """
        if self._rows is None:
            row = ops.arange(ops.shape(keys)[0] * self.width, dtype="int32")
            self._rows = row // self.width * self.entries + self.position * self.width + row % self.width
        return self._rows

    def timing(self, depth: int):
        """Returns the timing signal of the position, float32 [1, D]. All layers must have the same depth D."""
        if self._timing is None:
            self._timing = timing_signal(1, depth, self.position)
        return self._timing

    def bias(self, heads: int):
        """Returns the float32 bias of self-attention's logits [B * N, W, T * W]: 0 where a row may read, else LOWEST.

        Its shape is [T] with one row per sentence. With W rows it is [B * N, W, T * W]: the last axis holds the positions of all
        rows of the sentence.

        Args:
            heads: N, the same for all layers.
        """
        if self._bias is None:
            length = ops.shape(self.beam_indices)[0]
            readable = ops.arange(length, dtype="int32") <= self.position
            if self.width > 1:
                indices = ops.transpose(self.beam_indices, (1, 2, 0))[..., None]
                own = indices == ops.arange(self.width, dtype="int32")
                readable = ops.logical_and(own, readable[:, None])  # [B, W, T, W]
                readable = ops.reshape(readable, (-1, self.width, length * self.width))
            bias = LOWEST * (1.0 - ops.cast(readable, "float32"))
            self._bias = bias if self.width == 1 else ops.repeat(bias, heads, axis=0)
        return self._bias


class ConvCache(NamedTuple):
    """The last inputs of the n convolutions of a kind, as in arXiv 1611.09482.

    Attributes:
        past: [d * (K - 1), n, R, C], a ring buffer of K - 1 inputs per phase (position modulo d). A position reads inputs of one
            phase only.
        last: [n, R, C], the inputs of the previous position, not yet in the ring buffer. The next step writes them before it
            reads anything, so that XLA need not copy the buffer.
    """

    past: Any
    last: Any


class ConvKernels(NamedTuple):
    """The kernels of the n convolutions of a kind.

    Attributes:
        past: [2 * (K - 1), n, 1, C], the K - 1 taps for earlier inputs, oldest first, stored twice in a row so that every
            rotation of the ring buffer is one contiguous slice.
        present: n times [C], the taps for the position itself.
    """

    past: Any
    present: tuple[Any, ...]


class ConvCaches:
    """Makes and reads the caches of causal one-dimensional ConvSteps, all with C channels.

    Args:
        layers: built ConvSteps.
    """

    def __init__(self, layers: Sequence[Any]) -> None:
        self._kinds: dict[tuple[int, int], list[Any]] = {}
        for layer in layers:
            self._kinds.setdefault((layer.kernel_size[0], layer.dilation), []).append(layer)

    def init_cache(self, rows) -> tuple[ConvCache, ...]:
        """Returns one cache of zeros per kind, for R = `rows`."""
        caches = []
        for (size, dilation), layers in self._kinds.items():
            shape, dtype = (len(layers), rows, layers[0].depthwise.shape[1]), layers[0].compute_dtype
            caches.append(ConvCache(ops.zeros((dilation * (size - 1), *shape), dtype=dtype), ops.zeros(shape, dtype=dtype)))
        return tuple(caches)

    def precompute(self) -> tuple[ConvKernels, ...]:
        """Returns the depthwise kernels of each kind; every step reads them."""
        found = []
        for layers in self._kinds.values():
            kernels = [ops.cast(layer.depthwise, layer.compute_dtype) for layer in layers]
            past = ops.stack([kernel[:-1] for kernel in kernels], axis=1)[:, :, None]
            found.append(ConvKernels(ops.concatenate([past, past]), tuple(kernel[-1] for kernel in kernels)))
        return tuple(found)

    def at(
        self,
        position,
        beam_indices,
        caches: tuple[ConvCache, ...],
        kernels: tuple[ConvKernels, ...],
        write: Write = replaced_rows,
    ) -> "ConvStepReader":
        """Returns the reader with which the step at `position` computes its convolutions.

        Args:
            position: int32 scalar.
            beam_indices: int32 [T, B, W].
            caches: from `init_cache`, or from `next_cache` of the previous step.
            kernels: from `precompute`.
            write: writes the caches.
        """
        buffers: list[Any] = []
        contributions: dict[int, Any] = {}
        for (kind, layers), cache, kernel in zip(self._kinds.items(), caches, kernels, strict=True):
            buffer, sums = _convolve_past(*kind, cache, kernel.past, position, beam_indices, write)
            buffers.append(buffer)
            values = ops.unstack(sums, len(layers))
            contributions.update((id(layer), each) for layer, *each in zip(layers, values, kernel.present, strict=True))
        return ConvStepReader(self._kinds, buffers, contributions)


class ConvStepReader:
    """Computes the convolutions at one position and collects their inputs for the next cache."""

    def __init__(self, kinds, buffers, contributions) -> None:
        self._kinds, self._buffers, self._contributions = kinds, buffers, contributions
        self._inputs: dict[int, Any] = {}

    def convolve(self, layer, x):
        """Returns the depthwise convolution [R, C] of `layer` at this position, for its input x [R, C] there."""
        earlier, present = self._contributions[id(layer)]
        self._inputs[id(layer)] = x
        return earlier + x * present

    def next_cache(self) -> tuple[ConvCache, ...]:
        """Returns the caches for the next position. Call it after `convolve` for every layer."""
        last = [ops.stack([self._inputs[id(layer)] for layer in layers]) for layers in self._kinds.values()]
        return tuple(ConvCache(*each) for each in zip(self._buffers, last, strict=True))


def _convolve_past(size, dilation, cache: ConvCache, kernel, position, beam_indices, write: Write):
    """Returns the ring buffer with the last inputs written, and the sums [n, R, C] over earlier inputs at `position`."""
    taps = size - 1
    before = position - 1
    newest, rotation = before % taps, position % taps
    if dilation > 1:
        newest, rotation = before % dilation * taps + before // dilation % taps, position // dilation % taps
    buffer = values = write(cache.past, ops.reshape(newest, (1,)), cache.last[None])
    if dilation > 1:
        start = position % dilation * taps
        values = ops.slice(buffer, (start, 0, 0, 0), (taps, *ops.shape(cache.last)))
    if beam_indices.shape[2] > 1:
        # Inputs before position 0 are zero in every row: there any index will do.
        ages = 1 + (rotation - ops.arange(taps, dtype="int32") - 1) % taps
        indices = ops.take(beam_indices, ops.maximum(position - dilation * ages, 0), axis=0)
        values = gather_beams(values, indices)
    rotated = ops.slice(kernel, (taps - rotation, 0, 0, 0), (taps, *kernel.shape[1:]))
    return buffer, ops.sum(values * rotated, axis=0)
