"""Keeps the best checkpoints beside the last ones, each in a folder that can be used like an output_dir."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from t2t_multimodel.data.vocabulary import FILE_NAME
from t2t_multimodel.tf_internals import write_checkpoint_state
from t2t_multimodel.training.decisions import Best
from t2t_multimodel.utils.files import write_atomically

FOLDER = "best"
_RUN = ("config.json", FILE_NAME)


def keep_best(output_dir: Path, metric: str, best: Mapping[str, Best]) -> None:
    """Brings `output_dir/best/<name>-<metric>` up to date: config, vocabulary, one checkpoint, and `best.json` with its value.

    The files are hard links where the file system has them. A checkpoint that is the best for several names, or is still one of
    the last, is then on the disk once. If the process is killed, the file `checkpoint` names a complete checkpoint.

    Args:
        output_dir: the run's folder, with the checkpoint of every step in `best` that is not kept yet. If one has been removed,
            its folder stays as it is.
        metric: the metric of the values in `best`.
        best: the best evaluations, by problem or "mean".
    """
    for name, each in best.items():
        target = output_dir / FOLDER / f"{name}-{metric}"
        files = sorted(output_dir.glob(f"ckpt-{each.step}.*"))
        content = json.dumps({"step": each.step, "metric": metric, "value": each.value}) + "\n"
        if files and not _holds(target, content):
            target.mkdir(parents=True, exist_ok=True)
            for path in [*(output_dir / file for file in _RUN), *files]:
                if path.exists():
                    _link(path, target / path.name)
            # tf.train.CheckpointManager ignores a checkpoint without a time.
            times = [files[0].stat().st_mtime]
            write_checkpoint_state(target, f"ckpt-{each.step}", times)
            for path in target.glob("*ckpt-*"):
                if path.stem != f"ckpt-{each.step}":
                    path.unlink()
            write_atomically(target / "best.json", content.encode())


def _holds(target: Path, content: str) -> bool:
    """Returns whether `target` keeps this checkpoint completely: `best.json` is written last."""
    path = target / "best.json"
    return path.exists() and path.read_text() == content


def _link(source: Path, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    temporary.replace(target)
    temporary.unlink(missing_ok=True)  # If both are links to the same file, renaming leaves both.
