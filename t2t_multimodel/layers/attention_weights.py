"""Collects the weights with which the positions of a decoder read the source, for people to look at.

Nothing is collected, and nothing computed, outside of `collected_weights`.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

from keras import ops

_collected: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar("collected", default=None)


@contextlib.contextmanager
def collected_weights() -> Iterator[list[Any]]:
    """Yields a list that gets the weights float32 [B, N, T, S] of every attention over a source which is computed within.

    The weights are in the order of computation, for B inputs, N heads, T target and S source positions.
    """
    weights: list[Any] = []
    token = _collected.set(weights)
    try:
        yield weights
    finally:
        _collected.reset(token)


def collect_weights(weights: Callable[[], Any]) -> None:
    """Calls `weights` and adds its result [B, N, T, S] as float32 to the list of `collected_weights`, if there is one."""
    found = _collected.get()
    if found is not None:
        found.append(ops.cast(weights(), "float32"))
