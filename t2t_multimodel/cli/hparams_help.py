"""Describes all hyperparameters, for `mm-trainer --hparams_help`. Run as a program, it prints docs/hyperparameters.md."""

from __future__ import annotations

import dataclasses
import importlib
import textwrap

from t2t_multimodel.config import DataConfig, HParams, ModelConfig, TrainingConfig, hparams_sets
from t2t_multimodel.hyperparameter import allowed, rules, written

TITLES = {"model": "The network", "data": "Records and batches", "training": "Training"}
PARTS = {"model": ModelConfig, "data": DataConfig, "training": TrainingConfig}


def hparams_help(hparams: HParams) -> str:
    """Returns a text with each hyperparameter's value in `hparams`, range and meaning; * marks values that are no defaults."""
    defaults = values_of(HParams())
    lines = ["Change them with --hparams=name=value,name=value. * marks what differs from the default, the paper's joint model."]
    for part, title in TITLES.items():
        lines += ["", f"{title}:"]
        for name, value in vars(getattr(hparams, part)).items():
            kind, rule = rules(PARTS[part])[name]
            mark = " " if value == defaults[name] else "*"
            lines.append(f"{mark} {name}={written(value)}  ({allowed(kind, rule)})")
            lines += textwrap.wrap(rule.about, 110, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def values_of(hparams: HParams) -> dict[str, object]:
    """Returns the values of all hyperparameters by name."""
    return {name: value for part in PARTS for name, value in vars(getattr(hparams, part)).items()}


def page() -> str:
    """Returns docs/hyperparameters.md: a table per part of HParams, and one of the registered sets."""
    lines = [
        "# Hyperparameters",
        "",
        "`python -m t2t_multimodel.cli.hparams_help > docs/hyperparameters.md` makes this page from `t2t_multimodel/config.py`.",
        "`mm-trainer --hparams_help --hparams_set=NAME` shows the same with the values of a set. Any of them is changed by",
        '`--hparams="name=value,name=value"`; the defaults are those of `multimodel_paper_joint`.',
    ]
    for part, title in TITLES.items():
        lines += ["", f"## {title}", "", "| name | default | values | meaning |", "|---|---|---|---|"]
        for field in dataclasses.fields(PARTS[part]):
            kind, rule = rules(PARTS[part])[field.name]
            cells = (f"`{field.name}`", _code(field.default), allowed(kind, rule), rule.about)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *_sets(), ""])


def _sets() -> list[str]:
    """Returns a table of the values in which the registered sets differ from the defaults."""
    importlib.import_module("t2t_multimodel.hparams")
    defaults = values_of(HParams())
    sets = {name: values_of(hparams_sets.get(name)()) for name in hparams_sets.names()}
    shown = {name: values for name, values in sets.items() if values != defaults}
    changed = [name for name in defaults if any(values[name] != defaults[name] for values in shown.values())]
    lines = ["", "## Registered sets", "", "An empty cell is the default.", ""]
    lines += [f"| name | default | {' | '.join(map(_code, shown))} |", f"|---{'|---' * (len(shown) + 1)}|"]
    for name in changed:
        cells = ("" if values[name] == defaults[name] else _code(values[name]) for values in shown.values())
        lines.append(f"| `{name}` | {_code(defaults[name])} | {' | '.join(cells)} |")
    return lines


def _code(value: object) -> str:
    text = written(value)
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    print(page(), end="")
