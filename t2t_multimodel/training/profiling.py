"""Profiling some steps of a run with TensorFlow's profiler."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf


class ProfiledSteps:
    """Writes `output_dir/profile` (TensorBoard's profile page reads it) for the steps from `first` to `last`, counted from 1.

    Args:
        steps: (first, last); None profiles nothing.
    """

    def __init__(self, steps: tuple[int, int] | None, output_dir: Path) -> None:
        self._first, self._last = steps or (0, -1)
        self._directory = str(output_dir / "profile")
        self._running = False

    def before(self, step: int) -> None:
        """To be called before step number `step`."""
        if not self._running and self._first <= step <= self._last:
            tf.profiler.experimental.start(self._directory)
            self._running = True

    def after(self, step: int) -> str:
        """To be called after step number `step`; returns where the profile lies once it is written, else ""."""
        return self.close() if step >= self._last else ""

    def close(self) -> str:
        """Ends a profile that is running, as `after` does at the last step."""
        if not self._running:
            return ""
        self._running = False
        tf.profiler.experimental.stop()
        return self._directory
