"""The small world of the mini8 problems: coloured shapes of two sizes, how they are placed, and which are kept for dev.

A thing is a (size, colour, shape) triple. The triples of `HELD_OUT` never occur in training, and every dev example has at least
one of them. So dev asks for new combinations of known attributes: training has every size, colour and shape, and every pair of
them.
"""

from __future__ import annotations

import dataclasses
import zlib
from typing import NamedTuple

import numpy as np

SIZES = ("big", "small")
COLOURS = ("red", "green", "blue", "yellow", "white", "purple")
SHAPES = ("circle", "square", "triangle", "cross", "star", "line")
SPLITS = ("train", "dev")
PIXELS = 48
_SEED = 2017
_GAP = 2.0


class Thing(NamedTuple):
    """One coloured shape."""

    size: str
    colour: str
    shape: str


HELD_OUT = frozenset(
    {
        Thing("big", "red", "circle"),
        Thing("small", "green", "square"),
        Thing("big", "blue", "triangle"),
        Thing("small", "yellow", "cross"),
        Thing("big", "white", "star"),
        Thing("small", "purple", "line"),
    }
)


@dataclasses.dataclass(frozen=True)
class Placed:
    """A thing in a picture: its centre and half its extent, in pixels."""

    thing: Thing
    x: float
    y: float
    radius: float


@dataclasses.dataclass(frozen=True)
class Scene:
    """The things in a picture. `arrangement` is "row" (named left to right), "column" (top to bottom) or "scattered"."""

    placed: tuple[Placed, ...]
    arrangement: str


def generator(problem: str, split: str) -> np.random.Generator:
    """Returns the random generator of a problem's split, which starts with the same seed each time.

    Raises:
        ValueError: the problem has no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"{problem} has no split {split!r}; there are: {', '.join(SPLITS)}")
    return np.random.default_rng([_SEED, zlib.crc32(problem.encode()), SPLITS.index(split)])


def pick(rng: np.random.Generator, options: tuple[str, ...], weights: tuple[float, ...] | None = None) -> str:
    """Returns one of `options`, drawn with probabilities `weights`; None means equal probabilities."""
    return options[int(rng.choice(len(options), p=weights))]


def draw_things(
    rng: np.random.Generator, split: str, count: int, sizes: tuple[str, ...] = (), shape: str = "", most_big: int = 3
) -> tuple[Thing, ...]:
    """Returns `count` different random things: none is held out in "train", at least one in "dev".

    Args:
        sizes: the size of each thing; () draws them.
        shape: the shape of the first thing; "" draws it.
        most_big: largest number of big things.
    """
    while True:
        things = tuple(
            Thing(sizes[i] if sizes else pick(rng, SIZES), pick(rng, COLOURS), shape if shape and i == 0 else pick(rng, SHAPES))
            for i in range(count)
        )
        held_out = any(thing in HELD_OUT for thing in things)
        big = sum(thing.size == "big" for thing in things)
        if held_out == (split == "dev") and big <= most_big and len(set(things)) == count:
            return things


def draw_lined_up(rng: np.random.Generator, split: str) -> Scene:
    """Returns a scene of one to three things in a row, or of two in a column."""
    count = int(rng.choice([1, 2, 3], p=[0.35, 0.5, 0.15]))
    things = draw_things(rng, split, count, most_big=1 if count == 3 else 2)
    radii = np.array([rng.uniform(8.0, 9.2) if thing.size == "big" else rng.uniform(4.4, 5.2) for thing in things])
    spare = PIXELS - 2 * radii.sum() - _GAP * (count + 1)
    before = _GAP + rng.dirichlet(np.ones(count + 1))[:count] * spare
    along = np.cumsum(before + 2 * radii) - radii
    middle = rng.uniform(18, 30)
    across = np.clip(middle + rng.uniform(-3, 3, size=count), radii + 1, PIXELS - radii - 1)
    column = count == 2 and bool(rng.integers(2))
    x, y = (across, along) if column else (along, across)
    placed = tuple(Placed(things[i], float(x[i]), float(y[i]), float(radii[i])) for i in range(count))
    return Scene(placed, "column" if column else "row")


def draw_scattered(rng: np.random.Generator, split: str, shape: str) -> Scene:
    """Returns a scene of one big thing of the given shape and one or two small things, at random places where none touch."""
    count = 1 + int(rng.integers(1, 3))
    things = draw_things(rng, split, count, sizes=("big", "small", "small")[:count], shape=shape)
    radii = [rng.uniform(9.0, 11.5)] + [rng.uniform(3.5, 4.5) for _ in things[1:]]
    while True:
        x, y = ([float(rng.uniform(radius + 1, PIXELS - radius - 1)) for radius in radii] for _ in range(2))
        distances = [np.hypot(x[i] - x[j], y[i] - y[j]) - radii[i] - radii[j] for i in range(count) for j in range(i)]
        if min(distances) > _GAP:
            return Scene(tuple(Placed(*values) for values in zip(things, x, y, radii, strict=True)), "scattered")
