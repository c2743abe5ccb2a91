"""Brings the words of classes from raw data into manifests."""

from __future__ import annotations

from pathlib import Path

from t2t_multimodel.data import records
from t2t_multimodel.data.generation.vocabulary_sample import Report
from t2t_multimodel.data.manifest import Manifest
from t2t_multimodel.features import Label
from t2t_multimodel.problem import Problem
from t2t_multimodel.utils.errors import DataError

_NAMED = 6


def with_words(problem: Problem, data_dir: Path, tmp_dir: Path, report: Report) -> Problem:
    """Returns a forward problem with the words that raw data has for its classes, and reports which classes have none.

    Raises:
        DataError: the words cannot be read, and there are no records yet; or they are those of other classes.
    """
    if not problem.find_words:
        return problem
    try:
        words = problem.find_words(tmp_dir)
    except DataError as error:
        if not records.manifest_path(data_dir, problem.records_name).exists():
            raise
        report(f"{problem.name}: the words of its classes stay as they are, because {error}")
        return problem
    problem = problem.with_words(words)
    assert isinstance(problem.targets, Label)
    classes = problem.targets.classes
    without = [name for name in classes if not words.get(name)]
    if words and len(without) == len(classes):
        named = ", ".join(classes[:_NAMED])
        raise DataError(f"{problem.name}: the list of words has none of the classes ({named}); it has {next(iter(words))!r}")
    if words and without:
        named = ", ".join(without[:_NAMED]) + ", ..." * (len(without) > _NAMED)
        report(f"{problem.name}: {len(without):,} of {len(classes):,} classes have no words: {named}")
    return problem


def update_words(problem: Problem, manifest: Manifest, data_dir: Path, report: Report) -> None:
    """Writes the words of `problem` into the manifest of its complete records, if it has some that the manifest does not."""
    words = list(problem.targets.words) if isinstance(problem.targets, Label) else []
    if words and words != manifest["targets"].get("words", []):
        manifest["targets"]["words"] = words
        records.write_manifest(data_dir, problem.records_name, manifest)
        report(f"{problem.name}: the words of its classes are in {records.manifest_path(data_dir, problem.records_name)}")
