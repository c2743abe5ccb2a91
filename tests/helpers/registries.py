"""Registries that are as before behind a test."""

import contextlib


@contextlib.contextmanager
def as_before(registry):
    """Removes what was registered within the block. Load the built-in entries before it: they are registered once per process."""
    before = set(registry.names())
    try:
        yield
    finally:
        for name in set(registry.names()) - before:
            del registry._values[name]
