"""The last section of a report: the run's size, version, date and seed, and the commands that repeat it."""

from __future__ import annotations

import datetime
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from t2t_multimodel.config import get_hparams, hparams_sets
from t2t_multimodel.reports.page import Block, Commands, Paragraph, Table
from t2t_multimodel.reports.scored_run import Run
from t2t_multimodel.training.checkpoints import newest_weights
from t2t_multimodel.utils.errors import DataError

COMMANDS_TEXT = "These commands make the same data, train the same steps and score them."


def origin_blocks(run: Run, output_dir: Path, data_dir: Path) -> list[Block]:
    """Returns a table of facts about the run, and the commands that repeat it."""
    config, changes = run.config, changed_hparams(run)
    trained = datetime.datetime.fromtimestamp((output_dir / "metrics.jsonl").stat().st_mtime, datetime.UTC)
    facts = [
        ("parameters", parameter_count(output_dir)),
        ("vocabulary", f"{config.vocab_size:,} pieces"),
        ("steps", f"{run.step:,} in {run.seconds / 60:.1f} minutes"),
        ("scored", f"{trained:%Y-%m-%d %H:%M} UTC"),
        ("seed", str(config.hparams.training.seed)),
        ("t2t_multimodel", config.version),
        ("set of hyperparameters", config.hparams_set),
        ("changes to the set", ", ".join(f"{name}={value}" for name, value in changes.items()) or "none"),
    ]
    names = ",".join(problem.name for problem in run.problems)
    flags = f"--hparams_set={config.hparams_set}" + (f" --hparams={_written(changes)}" if changes else "")
    data, output = (shlex.quote(str(path)) for path in (data_dir, output_dir))
    commands = [
        f"mm-datagen --problems={names} --hparams_set={config.hparams_set} --data_dir={data}",
        f"mm-trainer --problems={names} {flags} --data_dir={data} --output_dir={output}",
        f"mm-trainer --schedule=evaluate --data_dir={data} --output_dir={output}",
    ]
    return [Table(("fact", "value"), facts, anybodys=True), Paragraph(COMMANDS_TEXT), Commands(commands)]


def parameter_count(output_dir: Path) -> str:
    """Returns the number of weights in the newest checkpoint, as text; a remark if there is no checkpoint."""
    try:
        _, weights = newest_weights(output_dir, lambda line: None)
    except DataError:
        return "no checkpoint is left"
    return f"{sum(value.size for value in weights.values() if np.issubdtype(value.dtype, np.floating)):,}"


def changed_hparams(run: Run) -> dict[str, Any]:
    """Returns the hyperparameters that differ from the run's set, by name; none if the set is not registered."""
    config = run.config
    if config.hparams_set not in hparams_sets:
        return {}
    parts = zip(get_hparams(config.hparams_set).to_dict().values(), config.hparams.to_dict().values(), strict=True)
    return {name: value for ours, theirs in parts for name, value in theirs.items() if value != ours[name]}


def _written(changes: dict[str, Any]) -> str:
    """Returns hyperparameters in the form that --hparams takes, quoted for a shell."""
    texts = (":".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value) for value in changes.values())
    return shlex.quote(",".join(f"{name}={text}" for name, text in zip(changes, texts, strict=True)))
