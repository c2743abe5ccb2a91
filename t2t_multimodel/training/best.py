"""The best checkpoints, kept beside the last ones: each in a directory that whatever takes an output_dir takes."""

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
    """Brings `output_dir/best/<name>-<metric>` up to date: config, vocabulary, one checkpoint, and `best.json` with its figure.

    The files are hard links where the file system has them, so that a checkpoint that is the best by several figures, or still
    one of the last, is on the disk once. Whenever the process is killed, the file `checkpoint` names a checkpoint that is whole.

    Args:
        output_dir: holds the checkpoint of every step in `best` that is not kept yet; one that is gone is left as it is.
        metric: what the figures are of.
        best: by name.
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
            # Without its time, tf.train.CheckpointManager would not count it.
            times = [files[0].stat().st_mtime]
            write_checkpoint_state(target, f"ckpt-{each.step}", times)
            for path in target.glob("*ckpt-*"):
                if path.stem != f"ckpt-{each.step}":
                    path.unlink()
            write_atomically(target / "best.json", content.encode())


def _holds(target: Path, content: str) -> bool:
    """Whether this is what was kept last. `best.json` is written after all else: what was left half done has another."""
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
    temporary.unlink(missing_ok=True)  # Renaming one link of a file to another one leaves both.
