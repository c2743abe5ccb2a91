"""Activation recomputation (Chen et al. 2016, arXiv 1604.06174): inner values are computed again for the gradient, not kept.

What is random must be the same both times. So the seeds are drawn once, in front, and the random states move on once.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

_drawn: contextvars.ContextVar[dict[int, Any]] = contextvars.ContextVar("drawn", default={})  # noqa: B039 (never changed)


class _DrawnSeed(keras.random.SeedGenerator):
    """A seed in the place of a generator: each use draws the same."""

    def __init__(self, seed: Any) -> None:
        self._seed = seed

    def next(self, ordered: bool = True) -> Any:
        return self._seed


def seed_of(generator: Any) -> Any:
    """What random operations take as their seed: `generator`, or within `recomputed` the seed that it drew in front."""
    seeds = _drawn.get()
    return _DrawnSeed(seeds[id(generator)]) if id(generator) in seeds else generator


def recomputed(function: Callable[..., Any], generators: Sequence[Any], *tensors: Any) -> Any:
    """function(*tensors), of whose inner values none is kept for the gradient.

    Args:
        function: of tensors to a tensor; gradients flow to `tensors` and to variables, not to what else it captures.
        generators: the SeedGenerators it draws from, once each, by way of `seed_of`; a None is passed over.
        tensors: of floating type.
    """
    seeds = {id(generator): generator.next() for generator in generators if generator is not None}
    with _these(seeds):
        around = contextvars.copy_context()  # The second time comes when what surrounds the first has been left.

    def run(*values: Any) -> Any:
        return around.copy().run(function, *values)

    return keras.remat(run)(*tensors)


@contextlib.contextmanager
def _these(seeds: dict[int, Any]) -> Iterator[None]:
    token = _drawn.set(seeds)
    try:
        yield
    finally:
        _drawn.reset(token)
