"""Signals that end training between two steps."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def stopping(request: Callable[[int], None]) -> Iterator[None]:
    """Within, SIGTERM and Ctrl-C call `request` with their number; after the first of them Ctrl-C interrupts at once."""

    def handle(number: int, frame: Any) -> None:
        request(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    old = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
