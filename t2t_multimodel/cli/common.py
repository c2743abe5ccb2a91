"""The parts that all commands share: common flags, loading the registries, and one line per mistake.

Importing this module does not import TensorFlow.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import absl.logging
from absl import app
from absl import flags as absl_flags
from absl.flags import FlagValues
from absl.testing import flagsaver

import t2t_multimodel
from t2t_multimodel.cli.console_log import console_logging
from t2t_multimodel.cli.flags import CommandFlags
from t2t_multimodel.cli.quiet import quiet_tensorflow as quiet_tensorflow
from t2t_multimodel.cli.run_file import apply_run_file
from t2t_multimodel.cli.usr_dir import load_entry_points, load_usr_dir
from t2t_multimodel.config import HParams, get_hparams, hparams_sets
from t2t_multimodel.data.problem_file.load import read_problem_file, register, register_problem_file
from t2t_multimodel.features import Audio, Feature, Image, Text
from t2t_multimodel.problem import Problem, all_names, groups, problems, resolve, split_names
from t2t_multimodel.registry import first_of
from t2t_multimodel.utils.errors import DataError, UnknownNameError, UserError, WorkerError


def command_flags(command: str, about: str) -> CommandFlags:
    """Returns a command's flags with those of every command: --usr_dir, --problem_file, --config, --registry_help, --version."""
    flags = CommandFlags(command, about)
    flags.path("usr_dir", None, "your own problems and sets: a folder with __init__.py, or a .py file")
    flags.paths("problem_file", "problems described in TOML (examples/own_data); may be given several times")
    flags.path("config", None, "a run in one TOML file: flags of these commands, hyperparameters and problems (docs/training.md)")
    flags.boolean("registry_help", False, "list problems, groups and hparams sets, and exit")
    flags.exiting("version", "show the version and exit", lambda: f"t2t_multimodel {t2t_multimodel.__version__}")
    return flags


def add_problems_flag(flags: CommandFlags) -> None:
    """Adds --problems."""
    flags.string("problems", None, "problems or groups, separated by commas or dashes")


def add_hparams_flags(flags: CommandFlags, default_set: str | None = None) -> None:
    """Adds --hparams_set and --hparams."""
    flags.string("hparams_set", default_set, "a registered set of hyperparameters")
    flags.string("hparams", "", "changes to the set: name=value,name=value (mm-trainer --hparams_help lists them)")


def add_data_dir_flag(flags: CommandFlags) -> None:
    """Adds --data_dir."""
    flags.path("data_dir", None, "folder of records and vocabulary, as mm-datagen writes them")


def add_tmp_dir_flag(flags: CommandFlags) -> None:
    """Adds --tmp_dir."""
    flags.path("tmp_dir", None, "folder of the raw data")


def add_output_dir_flag(flags: CommandFlags) -> None:
    """Adds --output_dir."""
    flags.path("output_dir", None, "folder of a training run: config, checkpoints and metrics")


def require(args: FlagValues, *flags: str) -> None:
    """Raises UserError if one of `flags` ("data_dir", without dashes) was not given."""
    missing = [f"--{flag}" for flag in flags if not getattr(args, flag)]
    if missing:
        raise UserError(f"{' and '.join(missing)} must be given; see --help")


def selected_problems(args: FlagValues) -> list[Problem]:
    """Returns the problems that --problems names; without it, all problems in the files of --problem_file.

    Raises:
        UserError: neither flag is given.
        UnknownNameError: there is no such problem; the message names the flags that may be missing.
    """
    if not args.problems and args.problem_file:
        described = [problem.name for path in args.problem_file for problem in read_problem_file(Path(path))]
        return resolve(described)
    if not args.problems:
        raise UserError(f"--problems must be given; there are: {first_of(all_names())}; --registry_help lists them")
    try:
        return resolve(args.problems)
    except UnknownNameError as error:
        absent = [f"--{flag}" for flag in ("problem_file", "usr_dir") if not getattr(args, flag)]
        if not absent:
            raise
        raise UnknownNameError(f"{error}; or is it in a file for {' or '.join(absent)}, which is not given?") from None


def named_problems(args: FlagValues) -> list[str] | None:
    """Returns the names in --problems, with groups replaced by their problems; None without the flag.

    The problems need not be registered: a run's directory describes its own.
    """
    names = split_names(args.problems or "")
    members = (groups.get(name) if name in groups else (name,) for name in names)
    return list(dict.fromkeys(name for several in members for name in several)) or None


def tmp_dir_of(args: FlagValues) -> Path:
    """Returns the folder of --tmp_dir, or without it of --data_dir; raises UserError if --tmp_dir does not exist."""
    if args.tmp_dir and not Path(args.tmp_dir).is_dir():
        raise UserError(f"there is no folder --tmp_dir={args.tmp_dir}; name the folder of the raw data")
    return Path(args.tmp_dir or args.data_dir)


def selected_hparams(args: FlagValues, default_set: str = "") -> HParams:
    """Returns the set of --hparams_set, or `default_set`, changed by --hparams; raises UserError for a wrong name or value."""
    name = args.hparams_set or default_set
    if not name:
        raise UserError(f"--hparams_set must be given; there are: {first_of(hparams_sets.names())}")
    hparams_sets.get(name)
    try:
        return get_hparams(name, args.hparams)
    except ValueError as error:
        raise UserError(f"--hparams: {error}") from error


def load_registries(usr_dir: str | Path | None = None, problem_files: Sequence[str | Path] = ()) -> None:
    """Registers the built-in problems and sets, and those of installed packages, of `usr_dir` and of `problem_files`.

    Raises:
        UserError: the code of a package or of `usr_dir` is faulty; the message names the line.
        DataError: a problem file is faulty; the message names the key.
    """
    importlib.import_module("t2t_multimodel.problems")
    importlib.import_module("t2t_multimodel.hparams")
    try:
        load_entry_points()
        if usr_dir:
            load_usr_dir(Path(usr_dir))
    except ImportError as error:
        raise UserError(str(error)) from error
    for path in problem_files:
        register_problem_file(Path(path))


def registry_help() -> str:
    """Returns a text with all problems, groups and sets of hyperparameters, one per line."""
    lines = ["Problems:"]
    for problem in map(problems.get, problems.names()):
        lines.append(f"  {problem.name}: {_describe(problem.inputs)} -> {_describe(problem.targets)} ({problem.target_space})")
        if problem.source:
            lines.append(f"      {problem.source}")
    lines += ["", "Groups of problems:"]
    lines += [f"  {name}: {', '.join(groups.get(name))}" for name in groups.names()]
    lines += ["", "Sets of hyperparameters:"]
    for name in hparams_sets.names():
        doc = (hparams_sets.get(name).__doc__ or "").strip().splitlines()
        lines.append(f"  {name}: {doc[0]}" if doc else f"  {name}")
    return "\n".join(lines)


def _describe(feature: Feature) -> str:
    """Returns a feature in a few words, as "image 64x64" or "label (81 classes)"."""
    if isinstance(feature, Text):
        return "parse tree" if feature.format == "tree" else "text"
    if isinstance(feature, Image):
        return f"image {feature.height}x{feature.width}"
    if isinstance(feature, Audio):
        return f"sound at {feature.sample_rate} Hz"
    return f"label ({len(feature.classes) or 'its own'} classes)"


def run_command(flags: CommandFlags, body: Callable[[FlagValues], int | None], argv: Sequence[str] | None = None) -> int:
    """Parses `argv`, loads the registries, and runs `body(args)`, or answers --registry_help; returns the exit code.

    An error that the user can mend (UserError, DataError, UnknownNameError, WorkerError, an OSError that names a file, a full
    disk, a package that is not installed) becomes one line on stderr and code 2, an interrupt the line "interrupted" and code
    130. Any other exception is a fault of this package and keeps its traceback. While the command runs, absl's log is shown on
    stderr. Afterwards absl's flags are as they were.

    Args:
        argv: the flags, without the command's name; None takes the process's.

    Raises:
        SystemExit: the flags are wrong (code 2), or ask for help (code 0).
    """
    codes: list[int] = []

    def parse(argv: Sequence[str]) -> FlagValues:
        args = flags.parse(argv[1:])
        absl_flags.FLAGS.mark_as_parsed()
        if args["verbosity"].using_default_value:
            absl.logging.set_verbosity(absl.logging.INFO)
        return args

    def main(args: FlagValues) -> int:
        codes.append(_run(flags, body, args))
        return codes[0]

    with console_logging(), flagsaver.flagsaver():
        try:
            app.run(main, [flags.command, *(sys.argv[1:] if argv is None else argv)], flags_parser=parse)
        except SystemExit:
            if not codes:
                raise
    return codes[0]


def _run(flags: CommandFlags, body: Callable[[FlagValues], int | None], args: FlagValues) -> int:
    """Applies a run file, loads the registries and runs a command's body; turns errors into exit codes."""
    command = flags.command
    try:
        described = apply_run_file(flags, Path(args.config)) if args.config else []
        load_registries(args.usr_dir, args.problem_file or ())
        register(described, Path(args.config or ""))
        if args.registry_help:
            print(registry_help(), flush=True)
            return 0
        return body(args) or 0
    except KeyboardInterrupt:
        print(f"{command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        message = _one_line(error)
        if message is None:
            raise
        print(f"{command}: error: {message}", file=sys.stderr)
        return 2


def _one_line(error: Exception) -> str | None:
    """Returns the message for an error that the user can mend; None for any other."""
    if (isinstance(error, OSError) and error.errno == errno.ENOSPC) or "No space left on device" in str(error):
        where = f" while writing {error.filename}" if isinstance(error, OSError) and error.filename else ""
        return f"the disk is full{where}; free some space or name a folder on another disk, then run the same command again"
    if isinstance(error, (UserError, DataError, UnknownNameError, WorkerError)):
        return " ".join(str(error).split())
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("t2t_multimodel"):
        return f"the package {error.name} is not installed for {sys.executable}; `pip install -e .` in the checkout installs all"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return None
