"""Activation recomputation (Chen et al. 2016, arXiv 1604.06174): inner values are computed again for the gradient, not kept.

Random values must be the same both times. So every seed is drawn once, before the first computation, and every random state moves
on once.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

_drawn: contextvars.ContextVar[dict[int, Any]] = contextvars.ContextVar("drawn", default={})  # noqa: B039 (never changed)


class _DrawnSeed(keras.random.SeedGenerator):
    """A SeedGenerator that gives the same seed at every use."""

    def __init__(self, seed: Any) -> None:
        self._seed = seed

    def next(self, ordered: bool = True) -> Any:
        return self._seed


def seed_of(generator: Any) -> Any:
    """Returns the seed argument of random operations: `generator`, or within `recomputed` the seed drawn from it beforehand."""
    seeds = _drawn.get()
    return _DrawnSeed(seeds[id(generator)]) if id(generator) in seeds else generator


def recomputed(function: Callable[..., Any], generators: Sequence[Any], *tensors: Any) -> Any:
    """Returns function(*tensors) and keeps none of its inner values for the gradient.

    Args:
        function: maps tensors to a tensor. Gradients flow to `tensors` and to variables, not to other captured tensors.
        generators: the SeedGenerators from which it draws, once each, through `seed_of`; None is skipped.
        tensors: arguments of floating type.
    """
    seeds = {id(generator): generator.next() for generator in generators if generator is not None}
    with _drawn_seeds(seeds):
        context = contextvars.copy_context()  # The gradient computes the function again when the callers' contexts have ended.

    def run(*values: Any) -> Any:
        return context.copy().run(function, *values)

    return keras.remat(run)(*tensors)


@contextlib.contextmanager
def _drawn_seeds(seeds: dict[int, Any]) -> Iterator[None]:
    token = _drawn.set(seeds)
    try:
        yield
    finally:
        _drawn.reset(token)
