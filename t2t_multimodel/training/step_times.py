"""The time that steps take, without the tracing of the first ones, and when a run will end."""

from __future__ import annotations

import datetime
import statistics

from t2t_multimodel.utils.progress import duration

COUNTED = 20
_TRACED = 3.0  # times the median, from which on a step is taken for one that was traced


class StepTimes:
    """The times of the first COUNTED steps of a process. A step of more than three times their median is one that was traced."""

    def __init__(self) -> None:
        self._seconds: list[float] = []

    def add(self, seconds: float) -> bool:
        """Adds the time of a step unless COUNTED are known; returns whether it was the last one to be counted."""
        if len(self._seconds) == COUNTED:
            return False
        self._seconds.append(seconds)
        return len(self._seconds) == COUNTED

    @property
    def typical(self) -> float:
        """Returns the mean time in seconds of the steps that were not traced; 0 before the third step."""
        if len(self._seconds) < 3:
            return 0.0
        most = _TRACED * statistics.median(self._seconds)
        return statistics.fmean(each for each in self._seconds if each <= most)

    @property
    def tracing(self) -> float:
        """Returns the time in seconds that tracing added to the steps so far."""
        return sum(self._seconds) - self.typical * len(self._seconds) if self.typical else 0.0

    def line(self, left: float, now: datetime.datetime) -> str:
        """Returns the line for the user on the speed of this machine.

        Args:
            left: the time in seconds until the run ends, evaluations left out.
            now: the time of day.
        """
        end = now + datetime.timedelta(seconds=min(left, 1e9))
        shown = f"{end:%H:%M}" if left < 20 * 3600 else f"{end:%d %B %H:%M}"
        speed = f"{self.typical * 1000 / 60:.3g} minutes per 1,000 steps on this machine"
        return f"{speed}, evaluations left out; {duration(left)} left, until {shown}"
