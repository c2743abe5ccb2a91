"""The hidden folder of a data_dir in which the records of a problem are made, and what a killed run has left there.

`.<name>.making/` holds `plan.json` (what is being made), `<split>.state` (how far it is), the buckets that records are dealt to
and the shards that are done. It is removed when the records are published, and when the data turns out to be damaged.
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
    """`with Workspace(...) as workspace`: the folder, for this process alone.

    What an earlier run with the same plan left is kept, anything else is removed. An error removes the folder; an interruption
    leaves what is done.

    Args:
        data_dir: an existing folder.
        records_name: of the problem.
        plan: everything that the records depend on; JSON.

    Raises:
        DataError: another process is making the same records.
    """

    def __init__(self, data_dir: Path, records_name: str, plan: dict[str, Any]) -> None:
        self.data_dir = data_dir
        self.folder = workspace_folder(data_dir, records_name)
        self._name = records_name
        self._plan = plan

    def state(self, split: str) -> dict[str, Any]:
        """What `save` last wrote about a split; empty if nothing."""
        return _read(self.folder / f"{split}.state") or {}

    def save(self, split: str, state: dict[str, Any]) -> None:
        """Writes how far a split is; a run that follows a kill finds either this or what was there before."""
        write_atomically(self.folder / f"{split}.state", json.dumps(state).encode())

    @property
    def spool(self) -> Path:
        """The folder of files that other processes make; another plan has another one, since they may outlive this process."""
        return self.folder / f"spool-{hashlib.sha256(json.dumps(self._plan, sort_keys=True).encode()).hexdigest()[:16]}"

    def keep(self, name: str) -> None:
        """Moves a finished file from the spool to the workspace; one that an earlier try has moved is there already."""
        made = self.spool / name
        if made.exists():
            made.replace(self.folder / name)

    def publish(self, files: list[str]) -> None:
        """Moves the finished files to the data_dir; those that an earlier try has moved are there already."""
        for name in files:
            made = self.folder / name
            if made.exists():
                made.replace(self.data_dir / name)

    def remove(self) -> None:
        """Removes the folder with all that is in it."""
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
        for path in self.spool.glob(".*"):  # Half-written.
            path.unlink(missing_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        failed = isinstance(error, Exception) and not isinstance(error, WorkerError)
        begun = any(self.folder.glob("*.state")) or any(self.spool.glob("*"))
        if failed or (error and not begun):
            self.remove()
        os.close(self._lock)


def workspace_plans(data_dir: Path) -> dict[str, dict[str, Any]]:
    """The plans of all workspaces in a data_dir, by records name."""
    found = {folder.name[1:].removesuffix(".making"): _read(folder / "plan.json") for folder in data_dir.glob(".*.making")}
    return {name: plan for name, plan in found.items() if isinstance(plan, dict)}


def workspace_folder(data_dir: Path, records_name: str) -> Path:
    """Where the records of a problem are made."""
    return data_dir / f".{records_name}.making"


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files of processes that are no more."""
    for path in folder.glob(".*-*"):
        found = _TEMPORARY.search(path.name)
        if found and not is_running(int(found.group(1))):
            path.unlink(missing_ok=True)


def _read(path: Path) -> Any:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return json.loads(path.read_text(encoding="utf-8"))
    return None
