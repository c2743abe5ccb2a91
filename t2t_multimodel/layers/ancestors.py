"""Where the past of a row lies, when rows of a sentence go on from each other's.

Beam search makes rows go on from other rows. What layers have kept of earlier positions stays in the row that computed it; a row
knows, for each position, which row of its sentence that is: a table int32 [T, B, W], cheap to rewrite where states are not.

Letters in shapes: B sentences, W rows a sentence, T positions.
"""

from typing import Any, NamedTuple

from keras import ops

from t2t_multimodel.layers.position import timing_signal


def initial_ancestors(sentences, width: int, length):
    """int32 [T, B, W]: every row is its own ancestor."""
    return ops.broadcast_to(ops.arange(width, dtype="int32"), (length, sentences, width))


def follow(ancestors, parents, position):
    """The table after `position`, when row w of a sentence goes on from its row `parents[:, w]`, int32 [B, W]."""
    length, width = ops.shape(ancestors)[0], ancestors.shape[2]
    past = ops.arange(length, dtype="int32")[:, None, None] <= position
    lines = sum(ops.where(parents == row, ancestors[:, :, row : row + 1], 0) for row in range(width))
    return ops.where(past, lines, ops.arange(width, dtype="int32"))


class Moment:
    """The position of a step, and what many layers derive from it, each computed once: without XLA, small operations take time.

    Args:
        position: int32 scalar.
        ancestors: int32 [T, B, W].
    """

    def __init__(self, position, ancestors):
        self.position = position
        self.ancestors = ancestors
        self.width = ancestors.shape[2]
        self._rings = {}
        self._hidden = self._timing = None

    def ring(self, size: int, dilation: int) -> "Ring":
        """The ring of the last `size` inputs at a distance of `dilation`."""
        if (size, dilation) not in self._rings:
            start, newest = self.position % dilation * size, self.position // dilation % size
            ages = (newest - ops.arange(size, dtype="int32")) % size
            lines = None
            if self.width > 1:  # positions before the start are zeros in all rows
                lines = ops.take(self.ancestors, ops.maximum(self.position - dilation * ages, 0), axis=0)
            self._rings[size, dilation] = Ring(start, ops.reshape(start + newest, (1, 1)), size - 1 - ages, lines)
        return self._rings[size, dilation]

    def timing(self, depth: int):
        """The timing signal of the position, float32 [1, D]; all layers have one depth."""
        if self._timing is None:
            self._timing = timing_signal(1, depth, self.position)
        return self._timing

    def hidden(self):
        """float32: 1 where a row may not look, else 0: [T], or [B, 1, W, T * W] of the positions of all of a sentence's rows."""
        if self._hidden is None:
            length = ops.shape(self.ancestors)[0]
            read = ops.arange(length, dtype="int32") <= self.position
            if self.width > 1:
                lines = ops.transpose(self.ancestors, (1, 2, 0))[..., None]
                read = ops.logical_and(lines == ops.arange(self.width, dtype="int32"), read[:, None])  # [B, W, T, W]
                read = ops.reshape(read, (-1, 1, self.width, length * self.width))
            self._hidden = 1.0 - ops.cast(read, "float32")
        return self._hidden


class Ring(NamedTuple):
    """Places in a convolution's state.

    Attributes:
        start: int32 scalar, where the ring of this phase begins.
        newest: int32 [1, 1], where the step's own input goes.
        taps: int32 [K], the kernel's tap that reads each place of the ring.
        lines: int32 [K, B, W], the ancestor that wrote each place, or None with one row a sentence.
    """

    start: Any
    newest: Any
    taps: Any
    lines: Any


def of_ancestors(values, lines):
    """What the ancestors of each row kept: values [K, R, C], what each row kept itself; lines as a Ring's. Returns [K, R, C]."""
    if lines is None:
        return values
    taps, rows, channels = values.shape[0], ops.shape(values)[1], values.shape[2]
    own = ops.arange(taps * rows, dtype="int32")
    places = own - own % lines.shape[2] + ops.reshape(lines, (-1,))  # R is a multiple of W
    return ops.reshape(ops.take(ops.reshape(values, (-1, channels)), places, axis=0), (taps, rows, channels))
