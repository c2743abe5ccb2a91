"""Loads problems that are described in a TOML file (`--problem_file`); each mistake in the file is one line."""

from __future__ import annotations

import codecs
import functools
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from t2t_multimodel.data.problem_file import kinds
from t2t_multimodel.data.problem_file.description import DEV_FRACTION, Description, Source
from t2t_multimodel.data.problem_file.schema import COMMON, KINDS, REVERSE, SIDES, SPLITS, Kind, check_table, columns_of
from t2t_multimodel.features import Feature, Label
from t2t_multimodel.problem import NAME, NAME_RULE, Problem, problems
from t2t_multimodel.registry import nearest, unknown
from t2t_multimodel.utils.errors import DataError

# In double quotes TOML reads a backslash and the letter behind it as one character.
SINGLE_QUOTES = "a path with backslashes goes in single quotes, as 'C:\\data\\train.tsv'"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def register_problem_file(path: Path) -> None:
    """Registers the problems of a file; registering the same problems again does nothing.

    Raises:
        DataError: the file is missing or is not TOML, a key is misspelt or missing, a value is wrong, or a name is taken.
    """
    register(read_problem_file(path), path)


def register(described: Iterable[Problem], path: Path) -> None:
    """Registers problems that a file describes; registering the same problems again does nothing.

    Raises:
        DataError: a name is taken.
    """
    for problem in described:
        if problem.name not in problems:
            problems.register(problem.name, problem)
        elif _identity(problems.get(problem.name)) != _identity(problem):
            raise DataError(f"{path}, problems.{problem.name}: another problem has this name already; choose a new one")


def read_problem_file(path: Path) -> list[Problem]:
    """Returns the problems of a file, reversed ones included.

    Raises:
        DataError: the file is missing or is not TOML, a key is misspelt or missing, or a value is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = tomllib.loads(text)
    except OSError as error:
        raise DataError(f"--problem_file={path}: {error.strerror}; give a TOML file") from None
    except UnicodeError as error:
        raise DataError(f"{path} is not TOML: {error}") from None
    except ValueError as error:
        raise DataError(f"{path} is not TOML: {error}{_hint(text, str(error))}") from None
    for key in content.keys() - {"problems"}:
        raise DataError(f"{path}: {unknown('key', key, ['problems'])}; a problem begins with [problems.its_name]")
    described = content.get("problems")
    if not isinstance(described, dict) or not described:
        raise DataError(f"{path} describes no problem; one begins with [problems.its_name]")
    return [problem for name, values in described.items() for problem in described_problems(path, "problems", name, values)]


def _hint(text: str, error: str) -> str:
    """Returns how to write a path with backslashes if the line that `error` names has one, else ""."""
    place = re.search(r"at line (\d+)", error)
    line = text.split("\n")[int(place[1]) - 1] if place else ""
    return f"; {SINGLE_QUOTES}" if "\\" in line else ""


def _identity(problem: Problem) -> tuple[Any, ...]:
    """Returns a value that is equal for two readings of the same description, in one file or in two."""
    description = _description_of(problem)
    return problem.spec(), problem.records_name, problem.described, description and description.folder.resolve()


def described_problems(path: Path, above: str, name: str, values: Any) -> list[Problem]:
    """Returns the problem of one table of a file, and its reverse if it has one.

    Args:
        above: the table in which the problem's table is, for messages.
        name: the problem's name.
        values: the problem's table.

    Raises:
        DataError: a key is misspelt or missing, or a value is wrong.
    """
    place = f"{path}, {above}.{name}"
    if not NAME.fullmatch(name):
        raise DataError(f"{place}: {NAME_RULE}")
    if not isinstance(values, dict):
        raise DataError(f"{place}: must be a table that begins with [{above}.{name}]")
    kind = KINDS[_kind(place, values)]
    needed = ("root",) if "root" in values else ("train",)
    check_table(place, values, COMMON | kind.keys, needed if kind.target_space else (*needed, "target_space"))
    if "root" in values and (given := [split for split in SPLITS if split in values]):
        raise DataError(f"{place}, root: {' and '.join(given)} is given too; root alone finds all splits")
    if "dev" in values and "dev_fraction" in values:
        raise DataError(f"{place}, dev_fraction: dev has files of its own; leave one of the two out")
    problem = _problem(kind, _description(path.resolve(), place, name, values), values)
    if "reverse" not in values:
        return [problem]
    check_table(f"{place}, reverse", values["reverse"], REVERSE, ("target_space",))
    return [problem, problem.reverse(**values["reverse"])]


def table_of(problem: Problem) -> tuple[str, dict[str, Any]] | None:
    """Returns the name and the table of the description of a problem or its reverse, with its folder; None if there is none."""
    description = _description_of(problem)
    return (description.name, dict(description.table) | {"folder": str(description.folder)}) if description else None


def _description_of(problem: Problem) -> Description | None:
    description = next(iter(getattr(problem.generate, "args", ())), None)
    return description if isinstance(description, Description) else None


def _kind(place: str, values: Mapping[str, Any]) -> str:
    if "kind" not in values:
        misspelt = next((key for key in values if nearest(key, ["kind"])), "")
        hint = f"; did you mean it by {misspelt!r}?" if misspelt else f"; there are: {', '.join(KINDS)}"
        raise DataError(f"{place}: the key kind is missing{hint}")
    if not isinstance(values["kind"], str) or values["kind"] not in KINDS:
        raise DataError(f"{place}, kind: {unknown('kind', str(values['kind']), list(KINDS))}")
    return values["kind"]


def _description(file: Path, place: str, name: str, values: Mapping[str, Any]) -> Description:
    return Description(
        file,
        name,
        values["kind"],
        {split: _sources(place, split, values[split]) for split in SPLITS if split in values},
        values.get("root", ""),
        0.0 if "dev" in values else float(values.get("dev_fraction", DEV_FRACTION)),
        values.get("max_train_words", 0),
        columns_of(place, values["kind"], values),
        codecs.lookup(values.get("encoding", "utf-8")).name,
        values.get("files_in", ""),
        values.get("sample_rate", 16000),
        values.get("class_words", ""),
        file.parent / values.get("folder", ""),
        values,
    )


def _sources(place: str, split: str, value: Any) -> tuple[Source, ...]:
    """Returns the sources of a split; their paths have keys, which messages name.

    Raises:
        DataError: a path has a control character, which a backslash in double quotes has become.
    """
    sources = []
    for each in value if isinstance(value, list) else [value]:
        table = each if isinstance(each, dict) else {"path": each}
        aligned = "path" not in table
        paths = tuple((f"{split}.{side}", table[side]) for side in SIDES) if aligned else ((split, table["path"]),)
        for key, path in paths:
            if control := _CONTROL.search(path):
                raise DataError(f"{place}, {key}: the path {path!r} has the character {control[0]!r}; {SINGLE_QUOTES}")
        sources.append(Source(paths, float(table.get("weight", 1)), aligned))
    return tuple(sources)


def _content(description: Description) -> dict[str, Any]:
    """Returns the values that records depend on besides the features.

    Keys that the file leaves out are not in it, so that a new key does not change the records of files without it.
    """
    sources = description.sources
    content: dict[str, Any] = {"kind": description.kind}
    content["paths"] = {split: [path for source in each for path in source.paths] for split, each in sources.items()}
    content |= {"dev_fraction": description.dev_fraction, "max_train_words": description.max_train_words}
    weights = {split: [source.weight for source in each] for split, each in sources.items()}
    given = {key: getattr(description, key) for key in ("root", "columns", "files_in") if getattr(description, key)}
    given |= {"encoding": description.encoding} if description.encoding != "utf-8" else {}
    return content | given | ({"weights": weights} if any(weight != 1 for each in weights.values() for weight in each) else {})


def _problem(kind: Kind, description: Description, values: Mapping[str, Any]) -> Problem:
    inputs, targets = kind.features(description.name, values)
    return Problem(
        description.name,
        inputs,
        targets,
        values.get("target_space", kind.target_space),
        functools.partial(kinds.generate, description),
        metrics=tuple(values.get("metrics", kind.metrics)),
        splits=tuple(split for split in SPLITS if split != "test" or split in values or description.root),
        loss_weight=float(values.get("loss_weight", 1.0)),
        source=values.get("source", ""),
        check=functools.partial(kinds.check, description),
        find_classes=functools.partial(kinds.find_classes, description) if _lacks_classes(targets) else None,
        find_words=functools.partial(kinds.find_words, description) if description.class_words else None,
        described=json.dumps(_content(description), ensure_ascii=False),
        bleu_tokenizer=values.get("bleu_tokenizer", ""),
        wer_ignores=tuple(values.get("wer_ignores", ())),
    )


def _lacks_classes(feature: Feature) -> bool:
    return isinstance(feature, Label) and not feature.classes
