"""Noise of a replica's rows that equals the noise the whole batch would get.

Where replicas divide a batch, each draws the noise of all rows and takes its own. The noise of an example then does not depend on
the number of replicas.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

from keras import ops

_rows: contextvars.ContextVar[tuple[Any, Any, Any] | None] = contextvars.ContextVar("rows", default=None)


@contextlib.contextmanager
def replica_rows(rows: tuple[Any, Any, Any] | None) -> Iterator[None]:
    """Declares what is traced within to be a replica's part of a batch.

    Args:
        rows: (first, count, total), int32 scalars; None is the whole batch.
    """
    token = _rows.set(rows)
    try:
        yield
    finally:
        _rows.reset(token)


def draw_for_replica(draw: Callable[[tuple[Any, ...]], Any], shape: tuple[Any, ...]) -> Any:
    """Returns draw(shape). Within `replica_rows` it draws for the whole batch and returns the replica's rows.

    Args:
        draw: from a shape to a tensor.
        shape: of the replica's part; the first axis counts rows.
    """
    rows = _rows.get()
    if rows is None:
        return draw(shape)
    first, count, total = rows
    return ops.slice(draw((total, *shape[1:])), (first, *(0 for _ in shape[1:])), (count, *shape[1:]))
