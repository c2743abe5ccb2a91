"""Lines for the person at the terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import absl.logging

MOST_WORDS = 40  # of an exception in a line


def print_line(line: str) -> None:
    """Logs a line by absl.logging; the commands show it on stderr, clear of progress bars."""
    absl.logging.info("%s", line)


def print_warning(line: str) -> None:
    """As `print_line`, at the level of warnings."""
    absl.logging.warning("%s", line)


@contextlib.contextmanager
def only_informs(what: str, say: Callable[[str], None] = print_warning, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turns an exception of the block, which makes or shows `what`, into one warning line given to `say`.

    For what a run can do without: a report on it, a profile, examples to look at. The exceptions `but` pass.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, but):
            raise
        reason = " ".join(str(error).split()[:MOST_WORDS])
        say(f"warning: {what} is left out: {type(error).__name__}{': ' if reason else ''}{reason}")
