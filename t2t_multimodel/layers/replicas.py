"""Random numbers for a replica's rows of a batch, independent of the number of replicas and of padding to fixed shapes.

Where replicas divide a batch, each draws the numbers of all rows and keeps its own rows. An example then gets the same noise and
dropout however many replicas there are. Where batches are padded to fixed shapes, numbers are drawn for the batch without this
padding. Rows that fill the batch are its last ones: their numbers come after all others and change none.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from keras import ops

_rows: contextvars.ContextVar[tuple[Any, Any, Any] | None] = contextvars.ContextVar("rows", default=None)


@contextlib.contextmanager
def replica_rows(rows: tuple[Any, Any, Any] | None) -> Iterator[None]:
    """Makes `draw_for_replica` draw for one replica's rows of a batch, in all that is traced within.

    Args:
        rows: (first row, number of rows, rows of the whole batch), int32 scalars; None is the whole batch.
    """
    token = _rows.set(rows)
    try:
        yield
    finally:
        _rows.reset(token)


class RealLengths(NamedTuple):
    """The lengths of a whole batch without the padding of fixed shapes, int32 scalars."""

    source: Any
    target: Any


_lengths: contextvars.ContextVar[RealLengths | None] = contextvars.ContextVar("lengths", default=None)
_axes: contextvars.ContextVar[tuple[str, str]] = contextvars.ContextVar("axes", default=("source", "source"))


@contextlib.contextmanager
def unpadded_draws(lengths: RealLengths | None) -> Iterator[None]:
    """Makes `draw_for_replica` draw for sequences of these lengths, in all that is traced within; None: for padded ones."""
    token = _lengths.set(lengths)
    try:
        yield
    finally:
        _lengths.reset(token)


@contextlib.contextmanager
def draws_over(positions: str, read: str) -> Iterator[None]:
    """Says what axes count in all that is drawn within: "source" or "target" positions, which read those of `read`."""
    token = _axes.set((positions, read))
    try:
        yield
    finally:
        _axes.reset(token)


def draw_for_replica(draw: Callable[[tuple[Any, ...]], Any], shape: tuple[Any, ...]) -> Any:
    """Returns draw(shape); within `replica_rows` and `unpadded_draws` the numbers of these rows and lengths.

    Args:
        draw: makes a random tensor of a shape; a larger first axis only adds numbers.
        shape: shape of the replica's part: [B, L], [B, L, ...], or [B, N, L, M] for attention of N heads. Padding gets 0.
    """
    rows, lengths = _rows.get(), _lengths.get()
    wanted = list(shape[1:])
    if lengths is not None:
        positions, read = (getattr(lengths, axis) for axis in _axes.get())
        wanted = [shape[1], positions, read] if len(shape) == 4 else [positions, *shape[2:]]
    if rows is None:
        drawn = draw((shape[0], *wanted))
    else:
        first, count, total = rows
        drawn = ops.slice(draw((total, *wanted)), (first, *(0 for _ in wanted)), (count, *wanted))
    return drawn if lengths is None else ops.pad(drawn, [[0, 0], *([0, a - b] for a, b in zip(shape[1:], wanted, strict=True))])
