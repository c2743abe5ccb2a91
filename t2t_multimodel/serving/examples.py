"""Inputs to click on the page, made by the problems themselves."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from t2t_multimodel.features import ProblemSpec
from t2t_multimodel.problem import groups, problems

# Problems of this group make their examples from nothing.
_MADE = "mini8"
PER_PROBLEM, _APART = 2, 7


def made_examples(specs: Iterable[ProblemSpec]) -> dict[str, list[Any]]:
    """Returns inputs of dev for the problems that need no raw data, by problem: sentences, or the bytes of files."""
    found: dict[str, list[Any]] = {}
    for spec in specs:
        if spec.name in groups.get(_MADE):
            problem = problems.get(spec.name)
            generated = problem.generate("dev", Path())
            chosen = islice(generated, 0, PER_PROBLEM * _APART, _APART)
            # A reversed problem generates the examples of the forward one.
            found[spec.name] = [example["targets"] if problem.reversed else example["inputs"] for example in chosen]
    return found
