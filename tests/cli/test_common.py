"""All commands print one line per mistake, return the right exit code, and import TensorFlow only when it is needed."""

import errno
import subprocess
import sys
from pathlib import Path

import absl.logging
import pytest
import registries
from absl import flags

from t2t_multimodel.cli import common, datagen, decoder, export
from t2t_multimodel.config import HParams, hparams_sets
from t2t_multimodel.problem import problems
from t2t_multimodel.testing import fake_problem
from t2t_multimodel.utils.console import print_line
from t2t_multimodel.utils.errors import DataError, UnknownNameError


def run(body, *argv: str) -> int:
    command = common.command_flags("mm-test", "A test.")
    common.add_problems_flag(command)
    common.add_hparams_flags(command)
    common.add_data_dir_flag(command)
    return common.run_command(command, body, argv)


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
        (["--hparams"], "Missing value for flag --hparams"),
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


def parsed(*argv: str):
    command = common.command_flags("mm-test", "A test.")
    command.boolean("quick", None, "be quick")
    command.integer("count", 3, "how many", least=1)
    command.number("share", 0.5, "how much", least=0, below=1)
    command.path("folder", "here", "where")
    command.parsed("words", str.split, (), "some words")
    common.add_data_dir_flag(command)
    return command.parse(argv)


@pytest.mark.parametrize(
    ("argv", "value"),
    [([], None), (["--quick"], True), (["--quick=true"], True), (["--quick=False"], False), (["--noquick"], False)],
)
def test_boolean_flags_take_all_usual_forms(argv, value):
    assert parsed(*argv).quick is value


def test_values_stand_behind_an_equals_sign_or_a_blank_and_the_last_one_counts():
    args = parsed("--count", "4", "--share=0", "-folder=x", "--words", "a b", "--count=5")
    assert (args.count, args.share, args.folder, args.words) == (5, 0.0, "x", ["a", "b"])
    assert (parsed().count, parsed().share, parsed().words) == (3, 0.5, ())


def test_home_is_expanded_in_every_path_flag(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    for command in (
        datagen.command_flags(),
        decoder.command_flags(),
        export.command_flags(),
        common.command_flags("mm-test", ""),
    ):
        names = [name for name in command.values if name.endswith(("_dir", "_file")) or name in ("warm_start", "folder")]
        assert names
        args = command.parse([f"--{name}=~/a" for name in names])
        assert [args[name].value for name in names] == [
            [f"{tmp_path}/a"] if name == "problem_file" else f"{tmp_path}/a" for name in names
        ]
    with pytest.raises(SystemExit):
        parsed("--data_dir=~nobody_of_that_name/a")
    assert "there is no user 'nobody_of_that_name'; write ./~nobody_of_that_name/a" in capsys.readouterr().err


def test_flags_may_stand_in_a_file(tmp_path, capsys):
    (tmp_path / "flags").write_text("# how\n--count=7\n\n--noquick\n")
    args = parsed(f"--flagfile={tmp_path / 'flags'}", "--share=0.25")
    assert (args.count, args.quick, args.share) == (7, False, 0.25)
    with pytest.raises(SystemExit) as ended:
        parsed("--flagfile=none")
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.count("\n") == 1 and "No such file or directory: 'none'" in error


@pytest.mark.parametrize(("flag", "foreign"), [("--help", False), ("--helpfull", True), ("-h", False)])
def test_help_shows_our_flags_and_helpfull_those_of_absl_too(flag, foreign, capsys):
    with pytest.raises(SystemExit) as ended:
        parsed(flag)
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert "  --count\n      how many (an integer, at least 1; default: 3)\n" in text and "  --[no]quick\n" in text
    assert ("--verbosity" in text) == ("absl.logging:" in text) == foreign


def test_help_of_a_flag_that_may_be_repeated_is_ours_alone():
    text = " ".join(common.command_flags("mm-test", "Tests.").help().split())  # lines are as long as the terminal is wide
    assert " --problem_file problems described in TOML (examples/own_data); may be given several times --" in text


def test_absls_flags_are_as_before_after_a_command():
    before = {name: flags.FLAGS[name].value for name in ("verbosity", "logger_levels", "pdb_post_mortem")}
    assert run(lambda args: None, "--verbosity=-3", "--pdb_post_mortem") == 0
    assert {name: flags.FLAGS[name].value for name in before} == before
    assert not {"data_dir", "problems"} & set(flags.FLAGS)


def test_the_log_can_be_silenced_and_redirected(capsys):
    def body(args):
        print_line("a line")
        absl.logging.warning("careful")

    assert run(body) == 0
    assert capsys.readouterr().err == "a line\ncareful\n"
    assert run(body, "--verbosity=-1") == 0
    assert capsys.readouterr().err == "careful\n"


def test_an_embedding_program_has_the_log_in_its_own_hands(tmp_path):
    code = (
        "import absl.logging, logging, sys; from t2t_multimodel.data.generation.generate import print_line\n"
        "print_line('unseen')\n"
        "logging.getLogger('absl').propagate = False\n"
        "absl.logging.set_verbosity(absl.logging.INFO)\n"
        "logging.getLogger('absl').addHandler(logging.FileHandler(sys.argv[1]))\n"
        "print_line('kept')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "log")], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "log").read_text() == "kept\n"


def flags_of(*argv):
    flags = common.command_flags("mm-datagen", "")
    common.add_problems_flag(flags)
    common.add_data_dir_flag(flags)
    common.add_tmp_dir_flag(flags)
    return flags.parse(list(argv))


def test_an_unknown_problem_may_be_in_a_file_that_was_not_named():
    with pytest.raises(UnknownNameError, match="or is it in a file for --problem_file or --usr_dir, which is not given"):
        common.selected_problems(flags_of("--problems=my_own"))


def test_a_problem_file_alone_stands_for_all_its_problems(tmp_path):
    (tmp_path / "mine.toml").write_text(
        '[problems.p_one]\nkind = "text_pairs"\ntrain = {inputs = "a", targets = "b"}\n'
        'target_space = "to_german"\nreverse = {target_space = "to_english"}\n'
    )
    args = flags_of(f"--problem_file={tmp_path / 'mine.toml'}")
    common.load_registries()
    with registries.as_before(problems):
        common.load_registries(None, args.problem_file)
        assert [problem.name for problem in common.selected_problems(args)] == ["p_one", "p_one_rev"]


def test_a_folder_of_raw_data_must_be_there(tmp_path):
    with pytest.raises(common.UserError, match="there is no folder --tmp_dir=/nowhere; name the folder of the raw data"):
        common.tmp_dir_of(flags_of("--tmp_dir=/nowhere"))
    assert common.tmp_dir_of(flags_of("--data_dir=d")) == Path("d")
