"""What libraries write to standard error past Python, held back."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def standard_error_held_back(show: Callable[[bytes], bool] = lambda line: False) -> Iterator[None]:
    """Holds back what C++ and Python write to stderr; an exception shows all of it, otherwise lines that `show` is true of."""
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
