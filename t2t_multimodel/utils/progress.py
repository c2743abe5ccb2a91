"""The progress of training on the terminal."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from typing import TextIO

from tqdm import tqdm

from t2t_multimodel.utils.console import print_line

SECONDS_BETWEEN_LINES = 60.0


class Progress:
    """Shows losses by problem, target tokens per second and the time left: in a live line, or without a terminal once a minute.

    Args:
        total: the number of steps of the whole run; infinity if it is not known.
        done: the number of steps that were done before.
        stream: the stream of the live line; None is stderr.
        seconds: the longest time that this process trains; 0 is no limit.
    """

    def __init__(self, total: float, done: int, stream: TextIO | None = None, seconds: float = 0.0) -> None:
        stream = stream or sys.stderr
        self._live = stream.isatty()
        # The format leaves out tqdm's own remaining time, which does not know of `seconds`.
        shown = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}, {rate_fmt}{postfix}]"
        settings = {"unit": "step", "dynamic_ncols": True, "bar_format": shown}
        self._bar = tqdm(
            total=None if math.isinf(total) else total, initial=done, file=stream, disable=not self._live, **settings
        )
        self._losses: dict[str, float] = {}
        self._recent: deque[tuple[float, float]] = deque(maxlen=200)
        self._total, self._step = total, done
        self._start = self._last_line = time.monotonic()
        self._end = self._start + seconds if seconds else float("inf")
        # Time and number of the first step at its end. That step is slow because it traces; speed is counted from there.
        self._begun: tuple[float, int] | None = None

    def update(self, step: int, problem: str, loss: float, tokens: float) -> None:
        """Takes the loss of a problem and the number of its target tokens after step `step`; called for each of its problems."""
        new, self._step = step - self._step, step
        self._losses[problem] = 0.95 * self._losses.get(problem, loss) + 0.05 * loss
        now = time.monotonic()
        self._recent.append((now, tokens))
        self._begun = self._begun or (now, step)
        if self._live:
            self._bar.update(new)
            self._bar.set_postfix_str(f"{self._speed(now)} | {self._described()}", refresh=False)
        elif now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.say(f"step {self._place(step)}, {self._speed(now)} | {self._described()}")

    def expect(self, total: int | None) -> None:
        """Takes the number of steps that the whole run is now expected to have; None changes nothing."""
        if total:
            self._bar.total = self._total = total

    def say(self, text: str) -> None:
        """Logs a line, which the commands show above the live one."""
        print_line(text)

    def close(self) -> None:
        """Ends the live line; it stays on the terminal."""
        self._bar.close()

    def _place(self, step: int) -> str:
        return f"{step}" if math.isinf(self._total) else f"{step}/{self._total}"

    def _speed(self, now: float) -> str:
        """Returns the target tokens per second of the last steps, and the time that this process will go on training."""
        left = self._end - now
        since, first = self._begun or (now, self._step)
        if self._step > first:
            left = min(left, (now - since) / (self._step - first) * (self._total - self._step))
        remaining = f"{duration(max(left, 0.0))} left" if left < float("inf") else "time left not known yet"
        if len(self._recent) < 2:
            return remaining
        seconds = self._recent[-1][0] - self._recent[0][0]
        rate = sum(tokens for _, tokens in list(self._recent)[1:]) / max(seconds, 1e-9)
        return f"{rate:.0f} tokens/s, {remaining}"

    def _described(self) -> str:
        return " ".join(f"{name} {loss:.2f}" for name, loss in sorted(self._losses.items()))


def duration(seconds: float) -> str:
    """Returns a time in the unit that people would use: "9 min", "14.5 h", "80 days"."""
    minutes = seconds / 60
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 48 * 60 else f"{minutes / 60 / 24:.0f} days"
