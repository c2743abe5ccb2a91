"""Noise for a part of a batch that is the same as for the batch as a whole.

Where a batch is divided among replicas, each draws for all rows and takes those of its own: the noise of an example does not
depend on how many replicas there are.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

from keras import ops

_rows: contextvars.ContextVar[tuple[Any, Any, Any] | None] = contextvars.ContextVar("rows", default=None)


@contextlib.contextmanager
def part_of_a_batch(rows: tuple[Any, Any, Any] | None) -> Iterator[None]:
    """What is traced within is a replica's part: rows (first, count, total), int32 scalars; None is the whole batch."""
    token = _rows.set(rows)
    try:
        yield
    finally:
        _rows.reset(token)


def drawn(draw: Callable[[tuple[Any, ...]], Any], shape: tuple[Any, ...]) -> Any:
    """draw(shape); of a part of a batch, its rows (the first axis of `shape`) of what is drawn for the whole."""
    rows = _rows.get()
    if rows is None:
        return draw(shape)
    first, count, total = rows
    return ops.slice(draw((total, *shape[1:])), (first, *(0 for _ in shape[1:])), (count, *shape[1:]))
