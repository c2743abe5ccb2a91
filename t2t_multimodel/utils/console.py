"""Lines for the person at the terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import absl.logging

MOST_WORDS = 40  # the words of an exception that a line shows


def print_line(line: str) -> None:
    """Logs a line by absl.logging; the commands show it on stderr, clear of progress bars."""
    absl.logging.info("%s", line)


def print_warning(line: str) -> None:
    """Logs a line by absl.logging as a warning."""
    absl.logging.warning("%s", line)


@contextlib.contextmanager
def only_informs(what: str, say: Callable[[str], None] = print_warning, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turns an exception inside the context into one warning line, so that the run goes on without `what`.

    Args:
        what: the thing that is made or shown inside the context and that a run can do without, as "the start report".
        say: takes the line.
        but: exceptions that are raised all the same.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, but):
            raise
        reason = " ".join(str(error).split()[:MOST_WORDS])
        say(f"warning: {what} is left out: {type(error).__name__}{': ' if reason else ''}{reason}")
