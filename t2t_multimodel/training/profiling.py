"""Profiling some steps of a run with TensorFlow's profiler."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from t2t_multimodel.utils.console import only_informs

WHAT = "the profile"


class ProfiledSteps:
    """Profiles some steps and writes `output_dir/profile`, which TensorBoard's plugin xprof reads.

    Args:
        steps: the first and the last step to profile, counted from 1; None profiles nothing.
        output_dir: the run's folder.
    """

    def __init__(self, steps: tuple[int, int] | None, output_dir: Path) -> None:
        self._first, self._last = steps or (0, -1)
        self._directory = str(output_dir / "profile")
        self._running = False

    @contextlib.contextmanager
    def step(self, number: int) -> Iterator[None]:
        """Profiles step `number`, which is done within, if it is one of the steps to profile."""
        if not self._running and self._first <= number <= self._last:
            self._begin()
        if not self._running:
            yield
            return
        with tf.profiler.experimental.Trace("train", step_num=number, _r=1):
            yield

    def _begin(self) -> None:
        """Starts the profiler. After a failure it is not tried again."""
        with only_informs(WHAT):
            tf.profiler.experimental.start(self._directory)
            self._running = True
        if not self._running:
            self._last = -1

    def after(self, step: int) -> str:
        """Ends the profile if `step` was its last step, and returns its folder, otherwise ""; call it after every step."""
        return self.close() if step >= self._last else ""

    def close(self) -> str:
        """Ends the profile if it is running, and returns its folder, otherwise ""."""
        if not self._running:
            return ""
        self._running = False
        with only_informs(WHAT):
            tf.profiler.experimental.stop()
            return self._directory
        return ""
