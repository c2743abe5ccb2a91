"""Shows absl's log on a command's terminal: plain lines on stderr, above any progress bar."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import absl.logging

_PACKAGE = str(Path(__file__).resolve().parent.parent) + os.sep


class ConsoleHandler(logging.Handler):
    """Writes the message of each log record as a line to the current sys.stderr, above any progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        try:
            tqdm.write(self.format(record), file=sys.stderr)
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


@contextlib.contextmanager
def console_logging() -> Iterator[None]:
    """Shows absl's log by ConsoleHandler alone inside the context; afterwards restores the logger.

    Other installed packages, TensorFlow and Keras among them, log there too: only their errors are shown.
    """
    logger = absl.logging.get_absl_logger()
    if any(isinstance(handler, ConsoleHandler) for handler in logger.handlers):
        yield
        return
    handler = ConsoleHandler()
    handler.addFilter(_is_wanted)
    propagated, level = logger.propagate, logger.level
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated
        logger.setLevel(level)


def _is_wanted(record: logging.LogRecord) -> bool:
    foreign = "site-packages" in record.pathname and not record.pathname.startswith(_PACKAGE)
    return record.levelno >= logging.ERROR or not foreign
