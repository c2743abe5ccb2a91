"""Reads run files (`--config=run.toml`): the flags, the hyperparameters and the problems of a run, for all commands."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from t2t_multimodel.cli.flags import CommandFlags
from t2t_multimodel.config import HParams
from t2t_multimodel.data.problem_file.load import described_problems
from t2t_multimodel.problem import Problem
from t2t_multimodel.registry import unknown
from t2t_multimodel.utils.errors import DataError

TABLES = ("hparams", "problem")
_HYPERPARAMETERS = [name for part in HParams().to_dict().values() for name in part]


def apply_run_file(flags: CommandFlags, path: Path) -> list[Problem]:
    """Gives each flag that is not on the command line its value in a run file; returns the problems described in the file.

    Keys are names of flags; flags of other commands are ignored. Hyperparameters on the command line change single
    ones of the file's. Paths are relative to the file's folder.

    Raises:
        DataError: the file is missing or is not TOML, a key is misspelt, or a value is not what its flag takes.
    """
    content = _read(path)
    known = _known_keys(flags)
    for key in content:
        if key not in known:
            hint = f"; {key} is a hyperparameter, which stands below [hparams]" if key in _HYPERPARAMETERS else ""
            raise DataError(f"{path}: {unknown('key', key, sorted(known))}{hint}")
    if isinstance(content.get("problems"), dict):
        named = next(iter(content["problems"]), "its_name")
        raise DataError(f"{path}, problems: must be names; a description begins with [problem.{named}]")
    described = [
        problem
        for name, values in _table(path, "problem", content).items()
        for problem in described_problems(path, "problem", name, values)
    ]
    if described and "problems" not in content:
        content["problems"] = [problem.name for problem in described]
    changes = _hparams_text(path, _table(path, "hparams", content))
    if changes and "hparams" in flags.values:
        flags.values["hparams"].value = ",".join(filter(None, [changes, flags.values["hparams"].value]))
        flags.values["hparams"].using_default_value = False
    for key, value in content.items():
        if key not in TABLES and key in flags.values and key not in flags.beyond_run_files:
            _set(flags, path, key, value)
    return described


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"--config={path}: {error.strerror}; give a TOML file") from None
    except ValueError as error:
        raise DataError(f"{path} is not TOML: {error}") from None


def _table(path: Path, key: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
    values = content.get(key, {})
    if not isinstance(values, dict):
        wanted = {"hparams": "[hparams], with a name = value per line", "problem": "[problem.its_name]"}[key]
        raise DataError(f"{path}, {key}: must be a table, which begins with {wanted}")
    return values


def _known_keys(flags: CommandFlags) -> set[str]:
    """Returns the names of the flags of the commands that run files are for, and of the tables."""
    from t2t_multimodel.cli import datagen, decoder, trainer

    commands = [flags, trainer.command_flags(), datagen.command_flags(), decoder.command_flags()]
    names = {name for command in commands for name in command.own_names() if not command.exits(name)}
    return (names | set(TABLES)) - {"config"}


def _hparams_text(path: Path, values: Mapping[str, Any]) -> str:
    """Returns hyperparameters as --hparams takes them."""
    parts = []
    for name, value in values.items():
        if name not in _HYPERPARAMETERS:
            raise DataError(f"{path}, hparams: {unknown('hyperparameter', name, _HYPERPARAMETERS)}")
        text = ":".join(map(str, value)) if isinstance(value, list) else _text(value)
        if text is None or "," in text:
            raise DataError(f"{path}, hparams.{name}: must be a number, true, false, a list of numbers or a text without commas")
        parts.append(f"{name}={text}")
    return ",".join(parts)


def _set(flags: CommandFlags, path: Path, key: str, value: Any) -> None:
    flag = flags.values[key]
    if not flag.using_default_value:
        return
    several = isinstance(flag, absl_flags.MultiFlag)
    texts = [_text(each) for each in (value if isinstance(value, list) else [value])]
    if None in texts or (isinstance(value, list) and not value):
        raise DataError(f"{path}, {key}: must be a text, a number, true, false, or a list of these")
    if key in flags.path_names:
        texts = [_beside(path, str(text)) for text in texts]
    try:
        flag.parse(texts if several else ",".join(map(str, texts)))
    except (absl_flags.Error, ValueError) as error:
        reason = str(error).partition(": ")[2] or str(error)
        raise DataError(f"{path}, {key}: {' '.join(reason.split())}, got {value!r}") from None
    flag.using_default_value = False


def _text(value: Any) -> str | None:
    """Returns a value as a flag's text; None for a table, a date or a list."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None


def _beside(path: Path, name: str) -> str:
    return name if name.startswith("~") or not name else os.path.normpath(path.parent / name)
