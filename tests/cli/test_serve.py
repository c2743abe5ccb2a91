"""mm-serve's mistakes end in a line before the model is loaded."""

import importlib.util
import socket

import pytest
import small_run

from t2t_multimodel.cli import serve


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return small_run.make(tmp_path_factory.mktemp("run"))


def line(capsys, *flags):
    """The line of a command that fails."""
    assert serve.main(list(flags)) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_mistakes_are_a_line(capsys, run, tmp_path):
    assert "--output_dir must be given" in line(capsys)
    assert "--n_best=4 needs at least as many beams; --beam_size is 2" in line(capsys, "--output_dir=x", "--beam_size=2")
    assert "is no output_dir of mm-trainer" in line(capsys, f"--output_dir={tmp_path}")
    assert "--host=no.such.host.invalid: " in line(capsys, f"--output_dir={run}", "--host=no.such.host.invalid")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = line(capsys, f"--output_dir={run}", f"--port={port}")
    assert f"cannot serve at --host=127.0.0.1 --port={port}: Address already in use; name another one" in said


def test_a_missing_package_is_a_line_that_says_how_to_get_it(capsys, run, monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gradio" else there(name))
    assert "mm-serve needs the package gradio: pip install 't2t_multimodel[web]'" in line(capsys, f"--output_dir={run}")
