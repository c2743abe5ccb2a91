"""Profiling some steps of a run with TensorFlow's profiler."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from t2t_multimodel.utils.console import only_informs

WHAT = "the profile"


class ProfiledSteps:
    """Writes `output_dir/profile` (TensorBoard's plugin xprof reads it) for the steps from `first` to `last`, counted from 1.

    Args:
        steps: (first, last); None profiles nothing.
    """

    def __init__(self, steps: tuple[int, int] | None, output_dir: Path) -> None:
        self._first, self._last = steps or (0, -1)
        self._directory = str(output_dir / "profile")
        self._running = False

    @contextlib.contextmanager
    def step(self, number: int) -> Iterator[None]:
        """Within, step `number` is done; where it is one of those to profile, the profile has it marked as a step."""
        if not self._running and self._first <= number <= self._last:
            self._begin()
        if not self._running:
            yield
            return
        with tf.profiler.experimental.Trace("train", step_num=number, _r=1):
            yield

    def _begin(self) -> None:
        """Starts the profiler; after a failure there is no second attempt."""
        with only_informs(WHAT):
            tf.profiler.experimental.start(self._directory)
            self._running = True
        if not self._running:
            self._last = -1

    def after(self, step: int) -> str:
        """To be called after step number `step`; returns where the profile lies once it is written, else ""."""
        return self.close() if step >= self._last else ""

    def close(self) -> str:
        """Ends a profile that is running, as `after` does at the last step."""
        if not self._running:
            return ""
        self._running = False
        with only_informs(WHAT):
            tf.profiler.experimental.stop()
            return self._directory
        return ""
