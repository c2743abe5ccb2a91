"""The order of the demo's steps, with a trainer and a scorer that do nothing."""

import subprocess
import sys

import pytest

from t2t_multimodel.cli import demo as command
from t2t_multimodel.reports import demo
from t2t_multimodel.reports.page import Table


@pytest.fixture
def ends():
    """A list whose first item is the exception with which training ends; None ends it without one."""
    return [None]


@pytest.fixture
def done(monkeypatch, ends):
    """The functions that run_demo called, in order, and the seconds that training was given."""
    calls = []
    monkeypatch.setattr(
        demo, "generate", lambda problems, data_dir, *rest: calls.append(("generate", len(problems), data_dir.name))
    )

    def train(*args, seconds, by_clock):
        calls.append(("train", args[1], seconds, by_clock))
        if ends[0]:
            raise ends[0]

    monkeypatch.setattr(demo, "train_run", train)
    monkeypatch.setattr(demo, "score_run", lambda output_dir, data_dir, names, split: calls.append(("score", names, split)))
    monkeypatch.setattr(
        demo, "write_report", lambda *args, **more: calls.append(("report", args[0].name)) or Table(("a",), [("b",)])
    )
    return calls


def test_a_run_stopped_by_a_signal_is_not_scored(done, ends, tmp_path):
    ends[0] = KeyboardInterrupt
    assert command.main([f"--output_dir={tmp_path / 'out'}"]) == 130
    assert [call[0] for call in done] == ["generate", "train"]


@pytest.mark.parametrize(("flags", "seconds"), [([], 60 * demo.TRAIN_MINUTES), (["--minutes=2"], 120.0), (["--full"], 0.0)])
def test_it_generates_trains_scores_and_reports(done, flags, seconds, tmp_path, capsys):
    assert command.main([f"--output_dir={tmp_path / 'out'}", *flags]) == 0
    train = ("train", "multimodel_mini", seconds, seconds > 0)
    assert done == [("generate", 8, "data"), train, ("score", None, "dev"), ("report", "out")]
    assert f"{tmp_path / 'out' / 'report.html'} shows" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [["--minutes=0"], ["--minutes=soon"]])
def test_minutes_must_be_above_0(flags, capsys):
    with pytest.raises(SystemExit) as exit_:
        command.main(flags)
    assert exit_.value.code == 2
    assert "must be a finite number, above 0" in capsys.readouterr().err


def test_full_excludes_minutes(done, capsys):
    assert command.main(["--full", "--minutes=3"]) == 2
    assert not done
    assert "give one of them" in capsys.readouterr().err


def test_importing_the_command_imports_no_tensorflow(root):
    code = "import sys; from t2t_multimodel.cli import demo; sys.exit(7 if 'tensorflow' not in sys.modules else demo.__name__)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True).returncode == 7
