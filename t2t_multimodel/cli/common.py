"""What the commands share: flags, what is registered, one line for a mistake. Importing this does not import TensorFlow."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import t2t_multimodel
from t2t_multimodel.cli.quiet import quiet_tensorflow as quiet_tensorflow
from t2t_multimodel.cli.usr_dir import load_entry_points, load_usr_dir
from t2t_multimodel.config import HParams, get_hparams, hparams_sets
from t2t_multimodel.data.problem_file.load import register_problem_file
from t2t_multimodel.features import Audio, Feature, Image, Text
from t2t_multimodel.problem import Problem, groups, problems, resolve
from t2t_multimodel.registry import unknown
from t2t_multimodel.utils.errors import DataError, UnknownNameError, UserError, WorkerError


class Parser(argparse.ArgumentParser):
    """Reports a mistake in the flags in one line, and names the nearest flag."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        parsed, rest = self.parse_known_args(args, namespace)
        if rest and rest[0].startswith("-"):
            self.error(unknown("flag", rest[0].partition("=")[0], sorted(self._option_string_actions)))
        if rest:
            self.error(f"unexpected {rest[0]!r}")
        return parsed


def build_parser(description: str, prog: str | None = None) -> Parser:
    """A parser with what every command has: --usr_dir, --problem_file, --registry_help, --version."""
    formatter = argparse.ArgumentDefaultsHelpFormatter
    parser = Parser(prog=prog, description=description, allow_abbrev=False, formatter_class=formatter)
    parser.add_argument("--usr_dir", metavar="PATH", help="your own problems and sets: a folder with __init__.py, or a .py file")
    described = "problems described in TOML (examples/own_data); may be given several times"
    parser.add_argument("--problem_file", action="append", metavar="FILE", help=described)
    parser.add_argument("--registry_help", action="store_true", help="list problems, groups and hparams sets, and leave")
    parser.add_argument("--version", action="version", version=f"t2t_multimodel {t2t_multimodel.__version__}")
    return parser


def add_problems_flag(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """--problems."""
    parser.add_argument("--problems", default=default, metavar="NAMES", help="problems or groups, separated by commas or dashes")


def add_hparams_flags(parser: argparse.ArgumentParser, default_set: str | None = None) -> None:
    """--hparams_set and --hparams."""
    parser.add_argument("--hparams_set", default=default_set, metavar="NAME", help="a registered set of hyperparameters")
    parser.add_argument("--hparams", default="", metavar="NAME=VALUE,...", help="changes to the set")


def add_data_dir_flag(parser: argparse.ArgumentParser) -> None:
    """--data_dir."""
    parser.add_argument("--data_dir", metavar="DIR", help="records and vocabulary, as mm-datagen writes them")


def add_tmp_dir_flag(parser: argparse.ArgumentParser) -> None:
    """--tmp_dir."""
    parser.add_argument("--tmp_dir", metavar="DIR", help="where the raw data lies")


def add_output_dir_flag(parser: argparse.ArgumentParser) -> None:
    """--output_dir."""
    parser.add_argument("--output_dir", metavar="DIR", help="config, checkpoints and metrics of a training run")


def positive(text: str) -> int:
    """An argparse type: an integer above 0."""
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {text!r}")
    return value


def at_least_0(text: str) -> int:
    """An argparse type: an integer, 0 or above."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, 0 or above, got {text!r}")
    return int(text)


def require(args: argparse.Namespace, *flags: str) -> None:
    """Raises UserError if one of `flags` ("data_dir", without dashes) was not given."""
    missing = [f"--{flag}" for flag in flags if not getattr(args, flag)]
    if missing:
        raise UserError(f"{' and '.join(missing)} must be given; see --help")


def selected_problems(args: argparse.Namespace) -> list[Problem]:
    """The problems that --problems names; UserError without the flag, UnknownNameError for an unknown name."""
    if not args.problems:
        raise UserError(f"--problems must be given; there are: {', '.join(groups.names() + problems.names())}")
    return resolve(args.problems)


def selected_hparams(args: argparse.Namespace) -> HParams:
    """The set of --hparams_set changed by --hparams; UserError for a wrong name or value."""
    if not args.hparams_set:
        raise UserError(f"--hparams_set must be given; there are: {', '.join(hparams_sets.names())}")
    hparams_sets.get(args.hparams_set)
    try:
        return get_hparams(args.hparams_set, args.hparams)
    except ValueError as error:
        raise UserError(f"--hparams: {error}") from error


def load_registries(usr_dir: str | Path | None = None, problem_files: Sequence[str | Path] = ()) -> None:
    """Registers what is built in, what installed packages offer, what `usr_dir` holds and what `problem_files` describe.

    Raises:
        UserError: the code of a package or of `usr_dir` is faulty; it names the line.
        DataError: a problem file is; it names the key.
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
    """All problems, groups and hparams sets, a line each."""
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
    """A feature in a few words: "image 64x64", "label (81 classes)"."""
    if isinstance(feature, Text):
        return "parse tree" if feature.format == "tree" else "text"
    if isinstance(feature, Image):
        return f"image {feature.height}x{feature.width}"
    if isinstance(feature, Audio):
        return f"sound at {feature.sample_rate} Hz"
    return f"label ({len(feature.classes) or 'its own'} classes)"


def run_command(parser: Parser, body: Callable[[argparse.Namespace], int | None], argv: Sequence[str] | None = None) -> int:
    """Parses `argv`, answers --registry_help, otherwise runs `body(args)`; returns the exit code.

    The registries are loaded before `body` runs. A mistake of the user (UserError, DataError, UnknownNameError,
    WorkerError, an OSError that names a file, a full disk, a package that is not installed) ends as one line on stderr and code
    2; an interrupt as "interrupted" and 130. Anything else is a fault of ours and keeps its traceback.
    """
    args = parser.parse_args(argv)
    try:
        load_registries(args.usr_dir, args.problem_file or ())
        if args.registry_help:
            print(registry_help(), flush=True)
            return 0
        return body(args) or 0
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        message = _one_line(error)
        if message is None:
            raise
        print(f"{parser.prog}: error: {message}", file=sys.stderr)
        return 2


def _one_line(error: Exception) -> str | None:
    """The message for an error that the user can mend, or None."""
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
