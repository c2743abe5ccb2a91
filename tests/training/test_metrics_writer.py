"""The file of figures, and progress on a terminal and in a file."""

import io
import json

import pytest

from t2t_multimodel.training import metrics_writer
from t2t_multimodel.training.metrics_writer import MetricsWriter, Progress, formatted


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_line_a_record_is_appended(tmp_path):
    for step in (1, 2):
        writer = MetricsWriter(tmp_path, step - 1)
        writer.write(step, "copy", "dev", {"loss": 1.5})
        writer.close()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(row["step"], row["problem"], row["split"], row["loss"]) for row in rows] == [
        (1, "copy", "dev", 1.5),
        (2, "copy", "dev", 1.5),
    ]
    assert all(row["time"] >= 0 for row in rows)
    assert len(list((tmp_path / "events").iterdir())) == 2


def test_lines_behind_the_step_a_run_goes_on_from_are_taken_out(tmp_path):
    writer = MetricsWriter(tmp_path)
    for step in (1, 2, 3):
        writer.write(step, "copy", "dev", {"loss": 1.5})
    writer.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1, "cut')
    MetricsWriter(tmp_path, 2).close()
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [1, 2]


def test_a_terminal_has_a_live_line_with_losses_speed_and_time_left():
    stream = Terminal()
    progress = Progress(10, 2, stream)
    for step in range(3, 6):
        progress.update(step, "copy", 2.0, 100.0)
    progress._bar.refresh()
    progress.say("saved")
    progress.close()
    shown = stream.getvalue()
    assert "5/10" in shown and "tok/s" in shown and "copy 2.00" in shown and "saved\n" in shown


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass as the test says."""

    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    made = Clock()
    monkeypatch.setattr(metrics_writer, "time", made)
    return made


def test_a_file_has_a_plain_line_a_minute(clock):
    stream = io.StringIO()
    progress = Progress(100, 0, stream)
    for step in range(1, 31):
        clock.now = 5.0 * step
        progress.update(step, "ab"[step % 2], 3.0, 50.0)
    progress.close()
    lines = stream.getvalue().splitlines()
    assert lines == [
        "step 12/100, 10 tokens/s, 7 min left | a 3.00 b 3.00",
        "step 24/100, 10 tokens/s, 6 min left | a 3.00 b 3.00",
    ]


def test_figures_are_shown_in_order():
    assert formatted({"loss": 1.23456, "accuracy": 0.5}) == "loss 1.235  accuracy 0.5"
