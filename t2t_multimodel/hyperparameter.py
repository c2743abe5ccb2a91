"""Rules of single hyperparameters: meaning, range, parsing, and the one-line message for a wrong value."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, get_type_hints

LARGEST_INTEGER = 2**31 - 1  # TensorFlow counts in int32 and computes in float32.
LARGEST_FLOAT = 3.4028234e38


@dataclasses.dataclass(frozen=True)
class Rule:
    """The meaning and the range of a hyperparameter, stored under "rule" in the metadata of its dataclass field.

    Attributes:
        about: the meaning in one sentence.
        least, most: inclusive bounds of a number, or of each integer in a tuple; None means no bound.
        above, below: exclusive bounds.
        choices: the allowed strings; empty allows any string.
        count: smallest and largest length of a tuple.
    """

    about: str
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    choices: Sequence[str] = ()
    count: tuple[int, float] = (1, math.inf)

    def bounds(self) -> str:
        """Returns the bounds in words, like "at least 0 and below 1", or "" without bounds."""
        named = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        return " and ".join(f"{words} {bound:,}" for words, bound in named.items() if bound is not None)

    def holds(self, number: float) -> bool:
        """Returns whether a number is within the bounds and within the range of float32 or int32."""
        largest = LARGEST_FLOAT if isinstance(number, float) else max(LARGEST_INTEGER, self.most or 0)
        return (
            abs(number) <= largest
            and (self.least is None or number >= self.least)
            and (self.above is None or number > self.above)
            and (self.most is None or number <= self.most)
            and (self.below is None or number < self.below)
        )


def setting(default: Any, about: str, **limits: Any) -> Any:
    """Returns a dataclass field with a default and a `Rule` made of `about` and `limits`."""
    return dataclasses.field(default=default, metadata={"rule": Rule(about, **limits)})


def rules(part: type) -> dict[str, tuple[Any, Rule]]:
    """Returns the type and the rule of each field of a dataclass of hyperparameters, by name."""
    kinds = get_type_hints(part)
    return {field.name: (kinds[field.name], field.metadata["rule"]) for field in dataclasses.fields(part)}


def check(part: Any) -> None:
    """Raises a ValueError of one line for the first hyperparameter of a dataclass whose value its rule does not allow."""
    for name, (kind, rule) in rules(type(part)).items():
        value = getattr(part, name)
        if not _is_of(kind, value):
            raise ValueError(f"hyperparameter {name} takes {KINDS[kind]}, got {value!r}")
        if not allows(kind, rule, value):
            too_large = kind is int and rule.most is None and value > LARGEST_INTEGER
            most = f" and at most {LARGEST_INTEGER:,}" if too_large else ""
            raise ValueError(f"hyperparameter {name} is {allowed(kind, rule)}{most}, got {_written(value)}")


def allows(kind: Any, rule: Rule, value: Any) -> bool:
    """Returns whether `rule` allows `value`, which is of type `kind`."""
    if kind is str:
        return not rule.choices or value in rule.choices
    if kind == tuple[int, ...]:
        return rule.count[0] <= len(value) <= rule.count[1] and all(map(rule.holds, value))
    return kind is bool or rule.holds(value)


def allowed(kind: Any, rule: Rule) -> str:
    """Returns the allowed values in words, like "one of adam, adafactor" or "a finite number, at least 0"."""
    if rule.choices:
        return f"one of {', '.join(rule.choices)}"
    if kind == tuple[int, ...]:
        fewest, most = rule.count
        count = f"{fewest}" if fewest == most else f"{fewest} or more"
        return f"{count} integers as 16:32, each {rule.bounds()}"
    bounds = rule.bounds()
    return f"{'a finite number' if kind is float else KINDS[kind]}{', ' if bounds else ''}{bounds}"


def parse(name: str, value: Any, kind: Any) -> Any:
    """Returns `value` as a `kind`: parsed if it is text, as in --hparams, converted if it is an integer and `kind` is float.

    Values of other types are returned unchanged; `check` refuses them.

    Raises:
        ValueError: the text cannot be parsed.
    """
    if kind is str or not isinstance(value, int | str) or isinstance(value, bool):
        return value
    try:
        if isinstance(value, int):
            return float(value) if kind is float else value
        if kind is bool:
            return {"true": True, "false": False}[value.lower()]
        return tuple(map(int, value.split(":"))) if kind == tuple[int, ...] else kind(value)
    except (KeyError, ValueError, OverflowError):
        raise ValueError(f"hyperparameter {name} takes {KINDS[kind]}, got {value!r}") from None


KINDS: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "a string",
    tuple[int, ...]: "integers as 16:32",
}


def written(value: Any) -> str:
    """Returns a value as --hparams takes it, like true or 16:32."""
    if isinstance(value, tuple):
        return ":".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _written(value: Any) -> str:
    return repr(value) if isinstance(value, str) else written(value)


def _is_of(kind: Any, value: Any) -> bool:
    if kind == tuple[int, ...]:
        return isinstance(value, tuple) and all(_is_of(int, item) for item in value)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)
