"""Gives TensorFlow's checkpoint readers a path without characters that they take for a pattern."""

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
    """Returns `folder`'s path, or the path of a symbolic link to it if the path has one of `[ * ? \\`.

    TensorFlow writes checkpoints to a folder with such a path but does not find them again. The process removes the link at its
    end.
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
