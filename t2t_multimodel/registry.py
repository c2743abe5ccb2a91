"""Named things: problems, groups of problems, modalities, metrics and hparams sets."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from t2t_multimodel.utils.errors import UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps names to values; refuses a second value under one name.

    Args:
        kind: what the values are, in the singular, for messages: "problem".
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._values: dict[str, T] = {}

    def register(self, name: str, value: T) -> T:
        """Adds `value` under `name` and returns it; raises ValueError if the name is taken."""
        if name in self._values:
            raise ValueError(f"{self.kind} {name!r} is registered already")
        self._values[name] = value
        return value

    def registered(self, name: str) -> Callable[[T], T]:
        """The decorator form of `register`."""
        return lambda value: self.register(name, value)

    def get(self, name: str) -> T:
        """The value under `name`; raises UnknownNameError with the nearest names."""
        if name not in self._values:
            raise UnknownNameError(unknown(self.kind, name, self.names()))
        return self._values[name]

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    @contextlib.contextmanager
    def temporary(self, **values: T) -> Iterator[None]:
        """Lends entries for the length of a `with` block (tests)."""
        for name, value in values.items():
            self.register(name, value)
        try:
            yield
        finally:
            for name in values:
                del self._values[name]


def unknown(kind: str, name: str, known: list[str]) -> str:
    """The message for a name that is not among `known`."""
    hint = nearest(name, known) or f"there are: {', '.join(known) or 'none'}"
    return f"unknown {kind} {name!r}; {hint}"


def nearest(name: str, known: list[str]) -> str:
    """ "did you mean a or b?" with the names of `known` that are near, or ""."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else ""
