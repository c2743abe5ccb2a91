"""Progress is a live line on a terminal, and a line per minute elsewhere."""

import io

import pytest

from t2t_multimodel.utils import progress as module
from t2t_multimodel.utils.progress import Progress, duration


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_has_a_live_line_with_losses_speed_and_time_left():
    stream = Terminal()
    progress = Progress(10, 2, stream)
    for step in range(3, 6):
        progress.update(step, "copy", 2.0, 100.0)
    progress._bar.refresh()
    progress.close()
    shown = stream.getvalue()
    assert "5/10" in shown and "tokens/s, 0 min left" in shown and "copy 2.00" in shown


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""

    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def test_without_a_terminal_a_line_a_minute_is_logged(clock, capsys):
    progress = Progress(100, 0, io.StringIO())
    for step in range(1, 31):
        clock.now = 5.0 * step
        progress.update(step, "ab"[step % 2], 3.0, 50.0)
    progress.say("saved")
    progress.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "step 12/100, 10 tokens/s, 7 min left | a 3.00 b 3.00",
        "step 24/100, 10 tokens/s, 6 min left | a 3.00 b 3.00",
        "saved",
    ]


def test_the_time_left_is_no_longer_than_the_process_may_train(clock, capsys):
    progress = Progress(100_000, 0, io.StringIO(), seconds=600.0)
    for step, now in ((1, 65.0), (2, 66.0), (3, 130.0)):
        clock.now = now
        progress.update(step, "a", 3.0, 50.0)
    assert [line.partition(" |")[0] for line in capsys.readouterr().err.splitlines()] == [
        "step 1/100000, 9 min left",
        "step 3/100000, 2 tokens/s, 8 min left",
    ]
    progress = Progress(100_000, 0, io.StringIO())
    for now in (200.0, 300.0):
        clock.now = now
        progress.update(int(now), "a", 3.0, 50.0)
    shown = capsys.readouterr().err
    assert "time left not known yet |" in shown and "27.7 h left |" in shown


def test_times_are_in_the_unit_people_use():
    assert [duration(seconds) for seconds in (540, 52_200, 6_912_000)] == ["9 min", "14.5 h", "80 days"]
