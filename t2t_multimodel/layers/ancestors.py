"""Where the past of a row lies, when rows of a sentence go on from each other's.

Beam search makes rows go on from other rows. What layers have kept of earlier positions stays in the row that computed it; a row
knows, for each position, which row of its sentence that is: a table int32 [T, B, W], cheap to rewrite where states are not.

Letters in shapes: B sentences, W rows a sentence, T positions.
"""

from keras import ops


def initial_ancestors(sentences, width: int, length):
    """int32 [T, B, W]: every row is its own ancestor."""
    return ops.broadcast_to(ops.arange(width, dtype="int32"), (length, sentences, width))


def follow(ancestors, parents, position):
    """The table after `position`, when row w of a sentence goes on from its row `parents[:, w]`, int32 [B, W]."""
    length, width = ops.shape(ancestors)[0], ancestors.shape[2]
    past = ops.arange(length, dtype="int32")[:, None, None] <= position
    lines = sum(ops.where(parents == row, ancestors[:, :, row : row + 1], 0) for row in range(width))
    return ops.where(past, lines, ops.arange(width, dtype="int32"))


def at_positions(values, ancestors, positions):
    """What the ancestors of each row kept of some positions.

    Args:
        values: [K, R, C], what each row kept of `positions` int32 [K]; negative ones are before the start, where all rows are
            alike.

    Returns:
        [K, R, C].
    """
    width = ancestors.shape[2]
    if width == 1:
        return values
    taps, rows, channels = values.shape[0], ops.shape(values)[1], values.shape[2]
    lines = ops.reshape(ops.take(ancestors, ops.maximum(positions, 0), axis=0), (-1,))
    own = ops.arange(taps * rows, dtype="int32")
    places = own - own % width + lines  # R is a multiple of W
    return ops.reshape(ops.take(ops.reshape(values, (-1, channels)), places, axis=0), (taps, rows, channels))
