"""Holds back what libraries write to standard error, in C++ too."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def standard_error_held_back(show: Callable[[bytes], bool] = lambda line: False) -> Iterator[None]:
    """Holds back all output to stderr inside the context; afterwards writes the lines for which `show` returns true.

    If an exception ends the context, all lines are written.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            os.write(2, b"".join(line for line in held if failed or show(line)))
