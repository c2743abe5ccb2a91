"""What causal convolutions keep of earlier positions, those of a kind side by side.

Without XLA every operation takes microseconds, however small. So a step reads the past of all convolutions before any of them is
computed, in a few operations for each kind (kernel size and dilation), and what they read at its position is kept in one.

Letters in shapes: n convolutions of a kind, K taps, d dilation, B sentences, W rows a sentence, R = B * W, C channels.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from keras import ops


class Ring(NamedTuple):
    """The last inputs of the n convolutions of a kind, as in arXiv 1611.09482.

    Attributes:
        past: [d * (K - 1), n, R, C], a ring of K - 1 places for each phase (position modulo d): all that a position reads lies in
            one phase.
        last: [n, R, C], the inputs of the position before, not yet in the ring. They are put there before anything is read, so
            that XLA need not copy it.
    """

    past: Any
    last: Any


class Kernels(NamedTuple):
    """The kernels of the n convolutions of a kind.

    Attributes:
        past: [2 * (K - 1), n, C], the taps that read earlier positions, oldest first, twice: as a ring is turned, so is a slice.
        present: n times [C], the taps that read the position itself.
    """

    past: Any
    present: tuple[Any, ...]


class Rings:
    """The rings of causal one-dimensional ConvSteps, all of C channels.

    Args:
        layers: built ConvSteps.
    """

    def __init__(self, layers: Sequence[Any]) -> None:
        self._kinds: dict[tuple[int, int], list[Any]] = {}
        for layer in layers:
            self._kinds.setdefault((layer.kernel_size[0], layer.dilation), []).append(layer)

    def initial_state(self, rows) -> tuple[Ring, ...]:
        """Zeros, for `rows` rows."""
        rings = []
        for (size, dilation), layers in self._kinds.items():
            shape, dtype = (len(layers), rows, layers[0].depthwise.shape[1]), layers[0].compute_dtype
            rings.append(Ring(ops.zeros((dilation * (size - 1), *shape), dtype=dtype), ops.zeros(shape, dtype=dtype)))
        return tuple(rings)

    def memory(self) -> tuple[Kernels, ...]:
        """The kernels, as every step reads them."""
        found = []
        for layers in self._kinds.values():
            kernels = [ops.cast(layer.depthwise, layer.compute_dtype) for layer in layers]
            past = ops.stack([kernel[:-1] for kernel in kernels], axis=1)
            found.append(Kernels(ops.concatenate([past, past]), tuple(kernel[-1] for kernel in kernels)))
        return tuple(found)

    def at(self, position, ancestors, state: tuple[Ring, ...], memory: tuple[Kernels, ...]) -> "Past":
        """What the step at `position`, an int32 scalar, reads. ancestors: int32 [T, B, W], see layers.ancestors."""
        rings: list[Any] = []
        sums: dict[int, Any] = {}
        for (kind, layers), ring, kernels in zip(self._kinds.items(), state, memory, strict=True):
            past, found = _read(*kind, ring, kernels.past, position, ancestors)
            rings.append(past)
            values = ops.unstack(found, len(layers))
            sums.update((id(layer), each) for layer, *each in zip(layers, values, kernels.present, strict=True))
        return Past(self._kinds, rings, sums)


class Past:
    """The past of every convolution at one position, and what they read there."""

    def __init__(self, kinds, rings, sums) -> None:
        self._kinds, self._rings, self._sums = kinds, rings, sums
        self._read: dict[int, Any] = {}

    def convolve(self, layer, x):
        """The depthwise convolution of `layer` at this position, where its input is x [R, C]. Returns [R, C]."""
        earlier, present = self._sums[id(layer)]
        self._read[id(layer)] = x
        return earlier + x * present

    def state(self) -> tuple[Ring, ...]:
        """The rings for the next position; all convolutions have been computed."""
        lasts = [ops.stack([self._read[id(layer)] for layer in layers]) for layers in self._kinds.values()]
        return tuple(Ring(*each) for each in zip(self._rings, lasts, strict=True))


def _read(size, dilation, ring: Ring, kernel, position, ancestors):
    """The ring with its last inputs put in, and the convolutions [n, R, C] at `position` of all that is in it."""
    places = size - 1
    shape = (places, *ops.shape(ring.past)[1:])
    before = position - 1
    newest = before % dilation * places + before // dilation % places
    past = ops.scatter_update(ring.past, ops.reshape(newest, (1, 1)), ring.last[None])
    start, turned = position % dilation * places, position // dilation % places
    values = ops.slice(past, (start, 0, 0, 0), shape)
    if ancestors.shape[2] > 1:
        ages = 1 + (turned - ops.arange(places, dtype="int32") - 1) % places  # before the start all rows have zeros
        lines = ops.take(ancestors, ops.maximum(position - dilation * ages, 0), axis=0)
        values = of_ancestors(values, lines)
    taps = ops.slice(kernel, (places - turned, 0, 0), (places, *kernel.shape[1:]))
    return past, ops.sum(values * taps[:, :, None], axis=0)


def of_ancestors(values, lines):
    """What the ancestors of each row kept: values [K, n, R, C] are what each kept itself, lines int32 [K, B, W] who wrote."""
    taps, count, _, channels = values.shape
    width = lines.shape[2]
    places = ops.arange(ops.size(values) // channels, dtype="int32")
    own = ops.reshape(places - places % width, (taps, count, -1))
    written = own + ops.reshape(lines, (taps, 1, -1))  # R is a multiple of W
    found = ops.take(ops.reshape(values, (-1, channels)), ops.reshape(written, (-1,)), axis=0)
    return ops.reshape(found, ops.shape(values))
