"""Trivial baselines, which do not look at the input. A trained model must beat them."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeVar

from t2t_multimodel.evaluation.metrics import score
from t2t_multimodel.evaluation.scored import Scoring

T = TypeVar("T")


def most_frequent_class(train: Sequence[Hashable], dev: Sequence[Hashable]) -> float:
    """Returns the accuracy on `dev` of always answering the class that is most frequent in `train`."""
    [(answer, _)] = Counter(_some(train, "training")).most_common(1)
    return sum(label == answer for label in dev) / len(_some(dev, "dev"))


def most_frequent_token(train: Sequence[Sequence[int]], dev: Sequence[Sequence[int]]) -> dict[str, float]:
    """Scores on `dev` the answer that has, at each position, the token that is most frequent there in `train`.

    Args:
        train, dev: the token ids of the targets, each with EOS at its end, as a model has to predict it.

    Returns:
        "accuracy" (per token) and "accuracy_per_sequence". Positions after the longest training target count as wrong.
    """
    positions: list[Counter[int]] = [Counter() for _ in range(max(map(len, _some(train, "training"))))]
    for sequence in train:
        for position, token in zip(positions, sequence, strict=False):
            position[token] += 1
    answer = [position.most_common(1)[0][0] for position in positions]
    right = [sum(map(operator.eq, answer, sequence)) for sequence in _some(dev, "dev")]
    lengths = list(map(len, dev))
    return {
        "accuracy": sum(right) / max(sum(lengths), 1),
        "accuracy_per_sequence": sum(map(operator.eq, right, lengths)) / len(dev),
    }


def copied_source(
    inputs: Sequence[str], references: Sequence[Sequence[str]], metric: str = "bleu", scoring: Scoring | None = None
) -> dict[str, float]:
    """Returns the figures of `metric` for translations that are the source itself."""
    return score(metric, _some(inputs, "dev"), references, None, scoring)


def _some(examples: Sequence[T], split: str) -> Sequence[T]:
    if len(examples) == 0:
        raise ValueError(f"a baseline needs {split} examples, got none")
    return examples
