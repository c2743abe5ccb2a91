"""Random numbers for a replica's rows of a batch, independent of the number of replicas.

Where replicas divide a batch, each draws the numbers of all rows and keeps its own rows. An example then gets the same noise and
dropout however many replicas there are.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

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


def draw_for_replica(draw: Callable[[tuple[Any, ...]], Any], shape: tuple[Any, ...]) -> Any:
    """Returns draw(shape); within `replica_rows` it draws for the whole batch and returns the replica's rows.

    Args:
        draw: makes a random tensor of a shape.
        shape: shape of the replica's part; the first axis counts rows.
    """
    rows = _rows.get()
    if rows is None:
        return draw(shape)
    first, count, total = rows
    return ops.slice(draw((total, *shape[1:])), (first, *(0 for _ in shape[1:])), (count, *shape[1:]))
