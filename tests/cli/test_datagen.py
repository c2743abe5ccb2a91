"""mm-datagen prints a table, and one line per mistake."""

import subprocess
import sys

import pytest

from t2t_multimodel.cli import common, datagen
from t2t_multimodel.config import HParams, hparams_sets
from t2t_multimodel.features import Text
from t2t_multimodel.problem import Problem, groups, problems
from t2t_multimodel.utils.errors import DataError


def sentences(split, tmp_dir):
    yield {"inputs": "ein Hund", "targets": "a dog"}
    yield {"error": DataError("line 2 is binary")}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    # Other tests of the same process may have registered what is built in.
    for registry in (problems, groups, hparams_sets):
        monkeypatch.setattr(registry, "_values", {})
    monkeypatch.setattr(common, "load_registries", lambda *args: None)
    problem = Problem("tiny_deen", Text(), Text(), "to_english", generate=sentences)
    with problems.temporary(tiny_deen=problem), hparams_sets.temporary(tiny_set=HParams):
        yield


def run(tmp_path, *flags):
    return datagen.main([f"--data_dir={tmp_path / 'data'}", "--hparams_set=tiny_set", "--vocab_size=300", *flags])


def test_the_table_shows_what_was_made(tmp_path, capsys):
    assert run(tmp_path, "--problems=tiny_deen", "--on_error=skip") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["problem", "split", "examples", "skipped", "bytes", "tokens/word", "byte", "tokens", "unknown"]
    assert [line.split()[:4] for line in lines[1:]] == [["tiny_deen", "train", "1", "1"], ["tiny_deen", "dev", "1", "1"]]


MISTAKES = [
    (["--problems=tiny_deen"], "tiny_deen-train, example 1: line 2 is binary (--on_error=skip goes on without it)"),
    (["--problems=tiny_den"], "unknown problem 'tiny_den'; did you mean tiny_deen"),
    (["--problems=tiny_deen", "--hparams=vocab_siz=3"], "unknown hyperparameter 'vocab_siz'; did you mean vocab_size"),
    (["--problems=tiny_deen", "--hparams_set=tiny_sett"], "unknown hparams set 'tiny_sett'; did you mean tiny_set"),
    (["--problems=tiny_deen", "--data_dir="], "--data_dir must be given"),
    ([], "--problems must be given; there are: tiny_deen"),
    (["--problems=tiny_deen", "--runner=DirectRunner", "--num_workers=2"], "--num_workers is for processes of this machine"),
    (
        ["--problems=tiny_deen", "--runner_options=--direct_num_workers=2"],
        "--runner_options are for --runner",
    ),
    (["--problems=tiny_deen", "--runner=DirectRunner", "--data_dir=gs://a/b"], "--data_dir=gs://a/b must be a folder"),
    (["--problems=tiny_deen", "--vocab_size=100", "--on_error=skip"], "a vocabulary of 100 pieces is too small"),
]


@pytest.mark.parametrize(("flags", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_code_2(tmp_path, capsys, flags, message):
    assert run(tmp_path, *flags) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert len(errors) == 1
    assert errors[0].startswith("mm-datagen: error: ")
    assert message in errors[0]


WRONG_FLAGS = [
    ("--on_error=stop", "value should be one of <fail|skip>"),
    ("--num_workers=0", "flag --num_workers=0: must be an integer, at least 1"),
    ("--image_size=-1", "flag --image_size=-1: must be an integer, at least 0"),
    ("--clean=duplicate", "unknown rule 'duplicate'; did you mean duplicates"),
    ("--num_shards=0", "flag --num_shards=0: must be an integer, at least 1"),
    ("--problem=x", "did you mean --problems"),
    ("--runner_options='", "No closing quotation"),
]


@pytest.mark.parametrize(("flag", "message"), WRONG_FLAGS)
def test_a_wrong_flag_is_one_line_and_code_2(tmp_path, capsys, flag, message):
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, flag)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_help_needs_no_tensorflow():
    code = "import sys, t2t_multimodel.cli.datagen as d\ntry: d.main(['--help'])\nfinally: print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")
    assert "--problems" in done.stdout


def test_verifying_records_that_nothing_describes_names_the_flags_and_the_others(tmp_path, capsys):
    second = Problem("tiny_deen_2", Text(), Text(), "to_english", generate=sentences)
    with problems.temporary(tiny_deen_2=second):
        assert run(tmp_path, "--problems=tiny_deen,tiny_deen_2", "--on_error=skip") == 0
    capsys.readouterr()
    assert run(tmp_path, "--verify") == 2
    error = capsys.readouterr().err
    assert "records of tiny_deen_2, which no flag describes" in error
    assert "give --problem_file or --usr_dir, or verify the others alone: --problems=tiny_deen\n" in error
    assert run(tmp_path, "--verify", "--problems=tiny_deen", "--on_error=skip") == 0
