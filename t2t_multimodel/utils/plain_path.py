"""Folders under names that TensorFlow's checkpoint readers take as they are."""

from __future__ import annotations

import atexit
import functools
import os
import re
import shutil
import tempfile
from pathlib import Path

# TensorFlow looks for a checkpoint's files by a pattern (Env::GetMatchingPaths), and these are no letters in one.
_PATTERN = re.compile(r"[\[*?\\]")


def plain_path(folder: Path | str) -> str:
    """Returns a path of `folder` without `[ * ? \\`: its own, or that of a symbolic link that this process removes at its end.

    TensorFlow writes checkpoints to any folder, but in one whose path has such a sign it finds none of them again.
    """
    return str(folder) if not _PATTERN.search(str(folder)) else _link(os.path.abspath(folder))


@functools.cache
def _link(folder: str) -> str:
    temporary = tempfile.gettempdir()
    made = tempfile.mkdtemp(prefix="t2t_multimodel-", dir="/tmp" if _PATTERN.search(temporary) else temporary)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    link = os.path.join(made, "output_dir")
    os.symlink(folder, link)
    return link
