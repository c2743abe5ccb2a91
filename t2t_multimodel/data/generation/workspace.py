"""The hidden folder of a data_dir in which the records of a problem are made, and from which a killed run is resumed.

`.<name>.making/` holds `plan.json` (what is being made), `<split>.state` (the progress), the buckets among which records are
partitioned, and the finished shards. It is removed when the records are published, and when the data is found to be damaged.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

from t2t_multimodel.utils.errors import DataError, WorkerError
from t2t_multimodel.utils.files import write_atomically
from t2t_multimodel.utils.processes import is_running

_TEMPORARY = re.compile(r"\.(?:tmp|made)-(\d+)$")


class Workspace:
    """The folder, locked for this process, as a context manager.

    Files of an earlier run with the same plan are kept, all others are removed. An error removes the folder; an interruption
    keeps what is done.

    Args:
        data_dir: an existing folder.
        records_name: the records' name.
        plan: everything that the records depend on, as JSON.

    Raises:
        DataError: another process is making the same records.
    """

    def __init__(self, data_dir: Path, records_name: str, plan: dict[str, Any]) -> None:
        self.data_dir = data_dir
        self.folder = workspace_folder(data_dir, records_name)
        self._name = records_name
        self._plan = plan

    def state(self, split: str) -> dict[str, Any]:
        """Returns what `save` last wrote about a split; {} if nothing."""
        return _read(self.folder / f"{split}.state") or {}

    def save(self, split: str, state: dict[str, Any]) -> None:
        """Writes the progress of a split; after a kill either this state or the previous one is found."""
        write_atomically(self.folder / f"{split}.state", json.dumps(state).encode())

    @property
    def spool(self) -> Path:
        """Returns the folder for files that other processes make.

        Each plan has its own folder, because these processes may outlive this one.
        """
        return self.folder / f"spool-{hashlib.sha256(json.dumps(self._plan, sort_keys=True).encode()).hexdigest()[:16]}"

    def keep(self, name: str) -> None:
        """Moves a finished file from the spool to the workspace, unless an earlier try has moved it."""
        made = self.spool / name
        if made.exists():
            made.replace(self.folder / name)

    def publish(self, files: list[str]) -> None:
        """Moves the finished files to the data_dir, except files that an earlier try has moved."""
        for name in files:
            made = self.folder / name
            if made.exists():
                made.replace(self.data_dir / name)

    def remove(self) -> None:
        """Removes the folder with everything in it."""
        shutil.rmtree(self.folder)

    def __enter__(self) -> Workspace:
        self.folder.mkdir(exist_ok=True)
        self._lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise DataError(
                f"another process is making the records of {self._name} in {self.data_dir}; wait until it ends"
            ) from None
        if _read(self.folder / "plan.json") != self._plan:
            for path in self.folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            write_atomically(self.folder / "plan.json", json.dumps(self._plan).encode())
        remove_leftovers(self.folder)
        self.spool.mkdir(exist_ok=True)
        for path in self.spool.glob(".*"):  # half-written files
            path.unlink(missing_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        failed = isinstance(error, Exception) and not isinstance(error, WorkerError)
        begun = any(self.folder.glob("*.state")) or any(self.spool.glob("*"))
        if failed or (error and not begun):
            self.remove()
        os.close(self._lock)


def workspace_plans(data_dir: Path) -> dict[str, dict[str, Any]]:
    """Returns the plans of all workspaces in a data_dir, by records name."""
    found = {folder.name[1:].removesuffix(".making"): _read(folder / "plan.json") for folder in data_dir.glob(".*.making")}
    return {name: plan for name, plan in found.items() if isinstance(plan, dict)}


def workspace_folder(data_dir: Path, records_name: str) -> Path:
    """Returns the folder in which the records of a problem are made."""
    return data_dir / f".{records_name}.making"


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files of processes that have ended."""
    for path in folder.glob(".*-*"):
        found = _TEMPORARY.search(path.name)
        if found and not is_running(int(found.group(1))):
            path.unlink(missing_ok=True)


def _read(path: Path) -> Any:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return json.loads(path.read_text(encoding="utf-8"))
    return None
