"""Signals that end training between two steps."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def stopping(request: Callable[[int], None]) -> Iterator[None]:
    """Makes SIGTERM and Ctrl-C call `request` with the signal's number until the end of a `with` block.

    After the first signal, Ctrl-C raises KeyboardInterrupt again.
    """

    def handle(number: int, frame: Any) -> None:
        request(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    old = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
