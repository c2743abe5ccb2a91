"""Scores outputs against their references: all metrics of a problem, and for labels the confusions of classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from t2t_multimodel.data.trees import clean, linearise, read_tree, spans
from t2t_multimodel.evaluation.metrics import scored, with_companions
from t2t_multimodel.evaluation.scored import Scored, Scoring
from t2t_multimodel.features import Label, ProblemSpec, is_tree
from t2t_multimodel.problem import Problem
from t2t_multimodel.registry import unknown
from t2t_multimodel.utils.errors import DataError

MOST_CLASSES = 20


class Decoded(NamedTuple):
    """An example and the model's output.

    Attributes:
        inputs: the input as text; "" for pictures and sound.
        references: the right answers, at least one.
        output: the model's answer.
    """

    inputs: str
    references: list[str]
    output: str


class Confusions(NamedTuple):
    """How often examples of each class got which class.

    Attributes:
        counts: the number of examples by (right class, class that was given).
    """

    counts: Counter[tuple[str, str]]

    @classmethod
    def of(cls, decoded: Sequence[Decoded]) -> Confusions:
        """Returns the confusions of outputs that are names of classes."""
        return cls(Counter((row.references[0], row.output) for row in decoded))

    @property
    def classes(self) -> list[str]:
        """Returns all classes that occur, sorted."""
        return sorted({name for pair in self.counts for name in pair})

    @property
    def accuracy(self) -> float:
        """Returns the fraction of examples whose class is right."""
        return sum(count for (right, given), count in self.counts.items() if right == given) / self.counts.total()

    def per_class(self) -> dict[str, tuple[int, int]]:
        """Returns by right class the number of examples that got it, and the number of its examples."""
        found = {name: (self.counts[name, name], 0) for name in sorted({right for right, _ in self.counts})}
        for (right, _), count in self.counts.items():
            found[right] = (found[right][0], found[right][1] + count)
        return found

    def accuracies(self, shown: Callable[[str], str] = str) -> list[tuple[str, ...]]:
        """Returns a table of the accuracy of each class, its header first.

        Args:
            shown: a function from a class's name to the text that people read, see features.Label.
        """
        rows = [(shown(name), f"{n / of:.3f}", f"{of:,}") for name, (n, of) in self.per_class().items()]
        return [("class", "accuracy", "examples"), *rows]

    def matrix(self) -> list[tuple[str, ...]]:
        """Returns the confusion matrix as a table, its header first and a row per right class.

        Of more than MOST_CLASSES classes it returns the most frequent confusions instead.
        """
        if len(self.classes) <= MOST_CLASSES:
            rows = [(right, *(f"{self.counts[right, given]:,}" for given in self.classes)) for right in self.classes]
            return [("right \\ given", *self.classes), *rows]
        wrong = Counter({pair: count for pair, count in self.counts.items() if pair[0] != pair[1]})
        most = [(right, given, f"{count:,}") for (right, given), count in wrong.most_common(MOST_CLASSES)]
        return [("right", "given", f"examples (of {wrong.total():,} wrong ones)"), *most]


def scored_by(problem: Problem | ProblemSpec, decoded: Sequence[Decoded], metrics: Sequence[str] | None = None) -> Scored:
    """Returns the scores of decoded examples.

    Args:
        metrics: names of metrics; None takes the problem's.

    The metrics that `with_companions` adds are computed too.
    """
    outputs, references = [row.output for row in decoded], [row.references for row in decoded]
    figures: dict[str, float] = {}
    settings: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    for name in with_companions(problem.metrics if metrics is None else metrics, references, problem.target_space):
        found = scored(name, outputs, references, [row.inputs for row in decoded], Scoring.of(problem))
        figures, settings, notes = figures | found.figures, settings | found.settings, notes + found.notes
    return Scored(figures, settings, notes)


def checked_reference(spec: Problem | ProblemSpec, text: str, place: str) -> str:
    """Returns a right answer as metrics compare it: a tree in Penn bracketing becomes a linearised one.

    Args:
        place: the beginning of error messages.

    Raises:
        DataError: it is empty, no class of the problem, or no tree.
    """
    if not text:
        raise DataError(f"{place} is empty; expected a reference per line")
    if isinstance(spec.targets, Label) and spec.targets.classes and text not in spec.targets.classes:
        raise DataError(f"{place}: {unknown('class', text, list(spec.targets.classes))[:300]}")
    if is_tree(spec.targets) and spans(text := linearised(text)) is None:
        raise DataError(f"{place} is no tree, neither in Penn bracketing nor linearised: {text[:60]!r}")
    return text


def linearised(tree: str) -> str:
    """Returns the linearised form of a tree in Penn bracketing; a text that is no such tree, or linearised, stays as it is."""
    if spans(tree) is not None:
        return tree
    try:
        return linearise(clean(read_tree(tree)))[1]
    except (ValueError, DataError):
        return tree
