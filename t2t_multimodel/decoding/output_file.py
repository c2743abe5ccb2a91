"""Writes decoded outputs to a file, a device, a pipe, or stdout, and loses none of them."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import BinaryIO

from t2t_multimodel.utils.errors import DataError

PARTIAL = ".partial"


class OutputFile:
    """Writes outputs as they are decoded. It is a context manager, to be entered before a model is loaded.

    A regular file is written as `<name>.partial` and renamed when all outputs are in it. A link is followed. Anything else (a
    device, a FIFO, `/dev/fd/63`) is written to directly. If writing fails, all outputs go to stdout.

    Args:
        path: the file; None means stdout.
        flag: the name of the flag in messages.

    Raises:
        DataError: on entering, the file cannot be opened; on leaving, writing has failed. The message says where the outputs are.
    """

    def __init__(self, path: Path | None, flag: str = "--decode_to_file") -> None:
        self._name = f"{flag}={path}"
        self._in_place = path is not None and (_is_special(path) or (path.exists() and not path.is_file()))
        self._path = None if path is None else path if self._in_place else path.resolve()
        self._file: BinaryIO = sys.stdout.buffer
        self._taken: list[bytes] = []
        self._failure: OSError | None = None

    def __enter__(self) -> OutputFile:
        if self._path is None:
            return self
        try:
            self._file = (self._path if self._in_place else self._partial).open("wb")
            if not self._in_place and self._path.exists():
                os.chmod(self._partial, self._path.stat().st_mode)
        except OSError as error:
            raise DataError(f"{self._name}: {error.strerror}; nothing has been decoded") from None
        return self

    def write(self, outputs: list[str]) -> None:
        """Writes further outputs, which are whole lines, and flushes them."""
        content = "".join(outputs).encode()
        self._taken.append(content)
        try:
            self._file.write(content)
            self._file.flush()
        except OSError as error:
            if self._path is None or self._failure:  # it was stdout that failed
                raise
            self._to_stdout(error)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._path is None:
            return
        if self._failure is None:
            self._finish(complete=kind is None)
        if self._failure is not None and kind is None:
            reason = "the disk is full" if self._failure.errno == errno.ENOSPC else self._failure.strerror
            raise DataError(f"{self._name}: {reason}; the outputs went to stdout instead")

    @property
    def kept(self) -> str:
        """Returns where the outputs written before an interruption are, in words."""
        if self._path is None or self._failure is not None:
            return "on stdout"
        return f"in {self._path if self._in_place else self._partial}"

    @property
    def _partial(self) -> Path:
        assert self._path is not None
        return self._path.with_name(self._path.name + PARTIAL)

    def _finish(self, complete: bool) -> None:
        assert self._path is not None
        try:
            self._file.close()
            if complete and not self._in_place:
                self._partial.replace(self._path)
        except OSError as error:
            self._to_stdout(error)
        if not complete and not self._in_place and not self._taken:
            self._partial.unlink(missing_ok=True)

    def _to_stdout(self, error: OSError) -> None:
        """Goes on with stdout, which gets all outputs so far."""
        with contextlib.suppress(OSError):  # closing flushes, which fails again
            self._file.close()
        self._failure, self._file = error, sys.stdout.buffer
        if not self._in_place:
            self._partial.unlink(missing_ok=True)  # the disk may be full, and stdout gets everything
        self._file.write(b"".join(self._taken))
        self._file.flush()


def _is_special(path: Path) -> bool:
    """Returns whether a path is under /dev or /proc, and so may name an open file, such as /dev/stdout."""
    return path.is_absolute() and path.parts[1] in ("dev", "proc")
