"""Where the past of a row lies, when rows of a sentence go on from each other's.

Beam search makes rows go on from other rows. What layers have kept of earlier positions stays in the row that computed it; a row
knows, for each position, which row of its sentence that is: a table int32 [T, B, W], cheap to rewrite where states are not.

Letters in shapes: B sentences, W rows a sentence, T positions.
"""

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
        past: of the convolutions, as layers.rings.Rings.at gives it.
    """

    def __init__(self, position, ancestors, past):
        self.position = position
        self.ancestors = ancestors
        self.past = past
        self.width = ancestors.shape[2]
        self._hidden = self._timing = self._places = None

    def places(self, holders):
        """int32 [holders * W, 2]: where the keys and values of the position go, of each holder's W rows."""
        if self._places is None:
            own = ops.arange(holders * self.width, dtype="int32")
            self._places = ops.stack([own // self.width, self.position * self.width + own % self.width], axis=1)
        return self._places

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
