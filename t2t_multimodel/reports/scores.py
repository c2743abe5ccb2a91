"""The tables of a report: each problem's scores beside a trivial baseline, which does not look at the input, and the goal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from t2t_multimodel.data.records import parse_example, shard_paths
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.evaluation.baselines import copied_source, most_frequent_class, most_frequent_token
from t2t_multimodel.evaluation.metrics import score, with_companions
from t2t_multimodel.evaluation.outputs import Decoded
from t2t_multimodel.evaluation.scored import Scoring
from t2t_multimodel.features import Label, Text
from t2t_multimodel.problem import Problem
from t2t_multimodel.reports.examples import what_it_does
from t2t_multimodel.reports.page import Table
from t2t_multimodel.reports.scored_run import Run
from t2t_multimodel.utils.constants import EOS_ID
from t2t_multimodel.utils.units import LOWER_IS_BETTER, unit

SHORT_HEADER = ("problem", "what it does", "score", "without looking", "goal", "verdict")
HEADER = ("problem", "metric", "unit", "model", "trivial", "which is", "goal", "verdict")
NOT_REACHED = "below its goal"
OF_REFERENCES = 0.9  # the goal for CIDEr, as a share of the references' own CIDEr
_RECORDS_AT_ONCE = 500
_OF_TRANSLATIONS = ("bleu", "chrf", "ter")
_DIGITS = {"bleu": 1, "chrf": 1, "ter": 1, "cider": 2}


class Trivial(NamedTuple):
    """The score of a trivial baseline, and the baseline's name."""

    value: float
    name: str


class Goals(NamedTuple):
    """The goals of a problem, one of which is enough.

    Attributes:
        values: by metric, the score to reach; None for a metric without a goal.
        references_own: by metric, the score of the first references as outputs.
    """

    values: dict[str, float | None]
    references_own: dict[str, float]

    def reached(self, scores: dict[str, Any]) -> list[str]:
        """Returns the metrics that have reached their goals."""
        return [name for name, goal in self.values.items() if goal is not None and _is_reached(name, scores[name], goal)]


def goals_of(problem: Problem, decoded: list[Decoded]) -> Goals:
    """Returns the goals of a problem, which are those of mini8's problems of its kind."""
    if isinstance(problem.targets, Label):
        return Goals({"accuracy": 0.95}, {})
    values: dict[str, float | None] = {"accuracy": None, "accuracy_per_sequence": None}
    own: dict[str, float] = {}
    for metric in with_companions(problem.metrics, [example.references for example in decoded], problem.target_space):
        values[metric] = {"bleu": 90.0, "wer": 0.15}.get(metric)
        if metric == "parse_f1":
            values["accuracy_per_sequence"] = 0.95
        if metric == "cider":
            references = [example.references for example in decoded]
            own = score("cider", [alternatives[0] for alternatives in references], references)
            values |= {"accuracy_per_sequence": 0.8, "cider": OF_REFERENCES * own["cider"]}
    return Goals(values, own)


def trivial_of(problem: Problem, decoded: list[Decoded], data_dir: Path, vocabulary: Vocabulary) -> dict[str, Trivial]:
    """Returns by metric the score of a trivial baseline on dev.

    The baseline is the most frequent class, the most frequent token per position, or for translations the source copied.
    """
    train, dev = (target_ids(problem, data_dir, split) for split in ("train", "dev"))
    if isinstance(problem.targets, Label):
        return {"accuracy": Trivial(most_frequent_class(train, dev), "most frequent class")}
    name = "most frequent tokens"
    found = {metric: Trivial(value, name) for metric, value in most_frequent_token(train, dev).items()}
    inputs, references = [example.inputs for example in decoded], [example.references for example in decoded]
    answer = vocabulary.decode([Counter(filter(None, column)).most_common(1)[0][0] for column in zip_longest(*train)])
    for metric in with_companions(problem.metrics, references, problem.target_space):
        scoring = Scoring.of(problem)
        if metric in _OF_TRANSLATIONS and isinstance(problem.inputs, Text):
            found[metric] = Trivial(copied_source(inputs, references, metric, scoring)[metric], "source copied")
        else:
            found[metric] = Trivial(score(metric, [answer] * len(decoded), references, inputs, scoring)[metric], name)
    return found


def target_ids(problem: Problem, data_dir: Path, split: str) -> list[Any]:
    """Returns the targets of the records of `split`: class indices, or lists of token ids that end with EOS."""
    forward, side = problem.forward(), "inputs" if problem.reversed else "targets"
    records = tf.data.TFRecordDataset(shard_paths(data_dir, problem.records_name, split)).batch(_RECORDS_AT_ONCE)
    targets = [parse_example(batch, forward.inputs, forward.targets)[side].numpy() for batch in records]
    if isinstance(problem.targets, Label):
        return [index for batch in targets for index in batch.tolist()]
    return [[*filter(None, ids), EOS_ID] for batch in targets for ids in batch.tolist()]


def score_table(run: Run, goals: dict[str, Goals], data_dir: Path, vocabulary: Vocabulary) -> Table:
    """Returns the table with a row per problem and metric."""
    rows: list[tuple[str, ...]] = []
    for problem in run.problems:
        trivial = trivial_of(problem, run.decoded[problem.name], data_dir, vocabulary)
        rows += _rows(problem.name, run.scores(problem), goals[problem.name], trivial)
    return Table(HEADER, rows)


def short_table(table: Table, problems: Sequence[Problem]) -> Table:
    """Returns a table with one row per problem of `score_table`: a metric that has reached its goal, or the first with a goal."""
    place = {name: HEADER.index(name) for name in HEADER}
    rows = []
    for problem in problems:
        own = [[str(cell) for cell in row] for row in table.rows if row[0] == problem.name]
        with_goal = [row for row in own if row[place["goal"]]] or own
        best = next((row for row in with_goal if row[place["verdict"]] == "reached"), with_goal[0])
        metric, _, model, trivial, which, goal, verdict = best[1:]
        rows.append((problem.name, what_it_does(problem), f"{metric} {model}", f"{trivial} ({which})", goal, verdict))
    return Table(SHORT_HEADER, rows)


def not_reached(run: Run, goals: dict[str, Goals]) -> list[str]:
    """Returns a text per problem that missed its goals, with its scores and the goals."""
    lines = []
    for problem in run.problems:
        scores, wanted = run.scores(problem), goals[problem.name]
        if not wanted.reached(scores):
            missing = [(name, goal) for name, goal in wanted.values.items() if goal is not None]
            parts = [f"{name} {shown(name, scores[name])}, wanted {_goal(name, goal)}" for name, goal in missing]
            lines.append(f"{problem.name} ({' or '.join(parts)})")
    return lines


def shown(metric: str, value: float) -> str:
    """Returns a score as text, with the number of decimals that suits the metric."""
    return f"{value:.{_DIGITS.get(metric, 3)}f}"


def _rows(problem: str, scores: dict[str, Any], goals: Goals, trivial: dict[str, Trivial]) -> list[tuple[str, ...]]:
    reached = goals.reached(scores)
    rows: list[tuple[str, ...]] = []
    for name, goal in goals.values.items():
        if name not in scores:  # scored by a version that did not have this metric
            continue
        model = shown(name, scores[name])
        if name in goals.references_own:
            model += f" (references: {shown(name, goals.references_own[name])})"
        verdict = "" if goal is None else "reached" if name in reached else f"reached by {reached[0]}" if reached else NOT_REACHED
        without = shown(name, trivial[name].value), trivial[name].name
        rows.append((problem, name, unit(name), model, *without, _goal(name, goal), verdict))
    return rows


def _goal(name: str, goal: float | None) -> str:
    if goal is None:
        return ""
    return f"{'at most' if name in LOWER_IS_BETTER else 'at least'} {shown(name, goal)}"


def _is_reached(name: str, value: float, goal: float) -> bool:
    return value <= goal if name in LOWER_IS_BETTER else value >= goal
