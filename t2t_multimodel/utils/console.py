"""Lines for the person at the terminal."""

from __future__ import annotations

import sys

from tqdm import tqdm


def print_line(line: str) -> None:
    """Prints a line on stderr, clear of a progress bar."""
    tqdm.write(line, file=sys.stderr)
