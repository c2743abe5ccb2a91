"""What the commands share: one line for a mistake, the right exit code, and no TensorFlow before it is needed."""

import errno
import subprocess
import sys

import pytest

from t2t_multimodel.cli import common
from t2t_multimodel.config import HParams, hparams_sets
from t2t_multimodel.problem import problems
from t2t_multimodel.testing import fake_problem
from t2t_multimodel.utils.errors import DataError, UnknownNameError


def run(body, *argv: str) -> int:
    parser = common.build_parser("A test.", prog="mm-test")
    common.add_problems_flag(parser)
    common.add_hparams_flags(parser)
    common.add_data_dir_flag(parser)
    return common.run_command(parser, body, argv)


def raising(error: BaseException):
    def body(args):
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (common.UserError("--x is wrong;\ngive y"), "--x is wrong; give y"),
        (DataError("a.jpg is cut off"), "a.jpg is cut off"),
        (UnknownNameError("unknown problem 'x'"), "unknown problem 'x'"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/d/f"), "/d/f: No such file or directory"),
        (OSError(errno.ENOSPC, "No space left on device", "/d/f"), "the disk is full while writing /d/f; free some space"),
        (ModuleNotFoundError("No module named 'soxr'", name="soxr"), "the package soxr is not installed for "),
        (RuntimeError("/d/ckpt; No space left on device"), "the disk is full; free some space"),
    ],
)
def test_mistake_ends_with_one_line_and_code_2(error, line, capsys):
    assert run(raising(error)) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"mm-test: error: {line}")
    assert captured.err.count("\n") == 1 and not captured.out


def test_interrupt_ends_with_130(capsys):
    assert run(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "mm-test: interrupted\n"


@pytest.mark.parametrize("error", [ValueError("ours"), KeyError("ours"), RuntimeError("ours")])
def test_fault_of_ours_keeps_its_traceback(error):
    with pytest.raises(type(error), match="ours"):
        run(raising(error))


def test_exit_code_is_the_bodys():
    assert run(lambda args: None) == 0
    assert run(lambda args: 3) == 3


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--dta_dir=x"], "unknown flag '--dta_dir'; did you mean --data_dir"),
        (["--hparams"], "argument --hparams: expected one argument"),
        (["stray"], "unexpected 'stray'"),
    ],
)
def test_wrong_flag_is_one_line(argv, line, capsys):
    with pytest.raises(SystemExit) as caught:
        run(lambda args: None, *argv)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"mm-test: error: {line}") and error.count("\n") == 1


def test_missing_flags_are_named(capsys):
    assert run(lambda args: common.require(args, "problems", "data_dir")) == 2
    assert "--problems and --data_dir must be given" in capsys.readouterr().err


def test_unknown_problem_and_set_name_the_nearest(capsys):
    with problems.temporary(fake_sorting=fake_problem("fake_sorting")), hparams_sets.temporary(fake_set=HParams):
        assert run(common.selected_problems, "--problems=fake_sortin") == 2
        assert "did you mean fake_sorting" in capsys.readouterr().err
        assert run(common.selected_hparams, "--hparams_set=fake_ste") == 2
        assert "did you mean fake_set" in capsys.readouterr().err
        assert run(common.selected_hparams, "--hparams_set=fake_set", "--hparams=hiden_size=3") == 2
        assert "--hparams: unknown hyperparameter 'hiden_size'; did you mean hidden_size" in capsys.readouterr().err


def test_registry_help_lists_everything(capsys):
    assert run(raising(AssertionError("not called")), "--registry_help") == 0
    text = capsys.readouterr().out
    assert "mini_class: image" in text and "\n  mini8: " in text and "\n  multimodel_tiny: " in text


def test_help_of_the_registry_needs_no_tensorflow():
    code = (
        "import sys; from t2t_multimodel.cli import common as c; c.load_registries(); c.registry_help();"
        "sys.exit(str({'tensorflow', 'keras', 'matplotlib', 'nltk'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_tensorflow_is_quiet():
    code = "from t2t_multimodel.cli.common import quiet_tensorflow as q; q(); import tensorflow as tf; tf.ones(1) + 1"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
