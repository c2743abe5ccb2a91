"""A lock that lets one process at a time write to a folder, on one machine or on several that share the folder."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.processes import is_running

FILE_NAME = ".writer.lock"
# Not every file system shows one machine's locks to another. So the holder also rewrites the file every BEAT_SECONDS, and a
# process on another machine watches it for WATCHED_SECONDS; no clocks are compared.
BEAT_SECONDS, WATCHED_SECONDS = 10.0, 60.0
_SIZE = 400  # bytes; the file's size never changes, so that a reader never sees parts of two writings


class WriterLock:
    """A context in which this process is the only one that writes to `folder`.

    The lock ends with the process, however it ends. The lock file of a process that has died is taken over.

    Args:
        folder: the folder, which is made if it is missing.
        report: takes a line for the user while the lock watches whether a process on another machine is alive.

    Raises:
        DataError: another process writes to the folder; the message has its id, its machine and the time when it began.
    """

    def __init__(self, folder: Path, report: Callable[[str], None]) -> None:
        self._folder, self._path, self._report = folder, folder / FILE_NAME, report
        self._ended = threading.Event()

    def __enter__(self) -> WriterLock:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = self._acquired()
        now = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        self._content = {"host": socket.gethostname(), "process": os.getpid(), "since": now}
        self._write(0)
        self._beats = threading.Thread(target=self._beat, daemon=True)
        self._beats.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._beats.join()
        if self._is_ours():
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self._file)

    def _acquired(self) -> int:
        """Opens the file and locks it; returns its descriptor."""
        while True:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                locked = _lock(file)
                owner = _owner(file)
                elsewhere = owner.get("host") != socket.gethostname()
                if owner and (self._lives(owner) if elsewhere else not locked and _is_another(owner)):
                    raise BlockingIOError
                if os.fstat(file).st_nlink:  # The holder before may have removed the file after it was opened here.
                    return file
                os.close(file)
            except BlockingIOError:
                owner = _owner(file)
                os.close(file)
                raise DataError(self._taken(owner)) from None
            except BaseException:
                os.close(file)
                raise

    def _lives(self, owner: dict[str, Any]) -> bool:
        """Whether a process on another machine rewrites the file while this one watches."""
        self._report(f"{self._described(owner)}; seeing for {WATCHED_SECONDS:g} seconds whether it is alive")
        end = time.monotonic() + WATCHED_SECONDS
        while time.monotonic() < end:
            time.sleep(min(1.0, WATCHED_SECONDS / 10))
            with contextlib.suppress(FileNotFoundError):
                file = os.open(self._path, os.O_RDONLY)  # Opened anew, because a shared file system may cache.
                try:
                    now = _owner(file)
                finally:
                    os.close(file)
                if now and now != owner:
                    return True
        self._report("it is not; its place is taken")
        return False

    def _beat(self) -> None:
        number = 0
        while not self._ended.wait(BEAT_SECONDS):
            number += 1
            if not self._is_ours():  # A process on another machine took this one for dead, as after a long sleep.
                return
            with contextlib.suppress(OSError):  # A full disk, for example, is reported elsewhere.
                self._write(number)

    def _is_ours(self) -> bool:
        owner = _owner(self._file)
        return {key: owner.get(key) for key in self._content} == self._content

    def _write(self, number: int) -> None:
        os.pwrite(self._file, json.dumps({**self._content, "beat": number}).encode().ljust(_SIZE), 0)

    def _described(self, owner: dict[str, Any]) -> str:
        known = owner or {"process": "of unknown number", "host": "an unknown machine", "since": "an unknown time"}
        return f"process {known['process']} on {known['host']} writes to {self._folder} since {known['since']}"

    def _taken(self, owner: dict[str, Any]) -> str:
        return f"{self._described(owner)}; wait until it ends, or choose another --output_dir"


def _lock(file: int) -> bool:
    """Locks an open file. Returns False if its file system has no locks; raises BlockingIOError if another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def _is_another(owner: dict[str, Any]) -> bool:
    """Whether the owner, of this machine, is alive and not this process: processes of two containers may have the same id."""
    return owner["process"] != os.getpid() and is_running(owner["process"])


def _owner(file: int) -> dict[str, Any]:
    """Returns who wrote an open file: "host", "process", "since", "beat"; {} if nobody has written it yet."""
    with contextlib.suppress(ValueError, OSError):
        found = json.loads(os.pread(file, _SIZE, 0))
        if isinstance(found, dict) and isinstance(found.get("process"), int) and found.keys() >= {"host", "since"}:
            return found
    return {}
