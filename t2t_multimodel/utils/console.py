"""Lines for the person at the terminal."""

from __future__ import annotations

import absl.logging


def print_line(line: str) -> None:
    """Logs a line by absl.logging; the commands show it on stderr, clear of progress bars."""
    absl.logging.info("%s", line)
