"""Registries of named values: problems, groups of problems, modalities, models, metrics and hparams sets."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from t2t_multimodel.utils.errors import UnknownNameError

T = TypeVar("T")
_MOST_NAMED, _FIRST_NAMED = 12, 8


class Registry(Generic[T]):
    """Maps names to values and refuses a second value under the same name.

    Args:
        kind: a noun for a value in messages, such as "problem".
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._values: dict[str, T] = {}

    def register(self, name: str, value: T) -> T:
        """Adds `value` under `name` and returns it.

        Raises:
            ValueError: the name is taken.
        """
        if name in self._values:
            raise ValueError(f"{self.kind} {name!r} is registered already")
        self._values[name] = value
        return value

    def registered(self, name: str) -> Callable[[T], T]:
        """Returns a decorator that registers what it decorates under `name`."""
        return lambda value: self.register(name, value)

    def get(self, name: str) -> T:
        """Returns the value under `name`.

        Raises:
            UnknownNameError: there is none; the message has the nearest names.
        """
        if name not in self._values:
            raise UnknownNameError(unknown(self.kind, name, self.names()))
        return self._values[name]

    def names(self) -> list[str]:
        """Returns all names, sorted."""
        return sorted(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    @contextlib.contextmanager
    def temporary(self, **values: T) -> Iterator[None]:
        """Registers `values` until the end of a `with` block, for tests."""
        for name, value in values.items():
            self.register(name, value)
        try:
            yield
        finally:
            for name in values:
                del self._values[name]


def unknown(kind: str, name: str, known: list[str]) -> str:
    """Returns the message for a name that is not in `known`, with the nearest names, or the first of them if none is near."""
    return f"unknown {kind} {name!r}; {nearest(name, known) or f'there are: {first_of(known)}'}"


def first_of(names: list[str]) -> str:
    """Returns all of a few names, or the first of many with the number of the others."""
    if len(names) <= _MOST_NAMED:
        return ", ".join(names) or "none"
    return f"{', '.join(names[:_FIRST_NAMED])} and {len(names) - _FIRST_NAMED:,} others"


def nearest(name: str, known: list[str]) -> str:
    """Returns "did you mean a or b?" with the names in `known` that are similar to `name`, or "" without any."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else ""
