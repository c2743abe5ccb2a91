"""The timing signal of section 2.2."""

from keras import ops

MAX_TIMESCALE = 1e4


def timing_signal(length, depth: int, start=0):
    """Returns the timing signal: interleaved sine and cosine curves of the position (arXiv 1706.05137, section 2.2).

    Args:
        length: number of positions, an int or a scalar tensor.
        depth: number of channels, even.
        start: the first position, an int or a scalar tensor.

    Returns:
        float32 [length, depth]: channel 2d is sin(t * 1e4^(-2d/depth)), channel 2d+1 the cosine of the same, t from `start` on.

    Raises:
        ValueError: `depth` is odd.
    """
    if depth % 2:
        raise ValueError(f"the timing signal needs an even depth, got {depth}")
    t = ops.cast(ops.arange(length, dtype="int32") + start, "float32")[:, None]
    channels = ops.arange(0, depth, 2, dtype="float32")
    angle = t * ops.power(MAX_TIMESCALE, -channels / depth)
    return ops.reshape(ops.stack([ops.sin(angle), ops.cos(angle)], axis=-1), (-1, depth))
