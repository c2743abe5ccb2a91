"""Imports modules outside the package that register problems and sets: --usr_dir, and entry points of installed packages."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import traceback
import zlib
from pathlib import Path

ENTRY_POINTS = "t2t_multimodel.problems"


def load_usr_dir(path: Path) -> None:
    """Imports a folder with __init__.py, or a .py file, unless that was done before.

    Raises:
        ImportError: there is no such module, or its code is faulty; the message is one line and names the file and the line.
    """
    file = path / "__init__.py" if path.is_dir() else path
    if not file.is_file():
        what = "has no __init__.py" if path.is_dir() else "does not exist"
        raise ImportError(f"--usr_dir={path} {what}; give a folder with __init__.py, or a .py file")
    if file.suffix != ".py":
        raise ImportError(f"--usr_dir={path} is not Python; give a folder with __init__.py, or a .py file")
    file = file.resolve()
    name = f"usr_dir_{path.resolve().stem}_{zlib.crc32(str(file).encode()):08x}"
    if name in sys.modules:
        return
    folders = [str(file.parent)] if path.is_dir() else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=folders)
    assert spec is not None and spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ImportError(f"--usr_dir={path}: {_where(error, file.parent)}") from error


def load_entry_points() -> None:
    """Loads the entry points of installed packages in the group `t2t_multimodel.problems`.

    Raises:
        ImportError: an entry point cannot be loaded; the message names the package.
    """
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            entry.load()
        except Exception as error:
            package = entry.dist.name if entry.dist else entry.value
            raise ImportError(f"the problems of the installed package {package} ({entry.value}): {_summary(error)}") from error


def _where(error: Exception, folder: Path) -> str:
    """Returns file, line and message of an error that user code raised."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {error.msg}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if folder in Path(f.filename).parents]
    place = f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""
    return place + _summary(error)


def _summary(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
