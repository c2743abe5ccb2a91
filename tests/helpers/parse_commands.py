"""Reads [[folder, command line], ...] as JSON, and prints what the commands' own parsers find wrong in each: names of flags,
values, problems and sets. A program, because problems of files and user modules are registered once per process."""

import contextlib
import io
import json
import os
import shlex
import sys

from t2t_multimodel.cli import common, datagen, decoder, experiment, export, score, serve, trainer
from t2t_multimodel.problem import problems

COMMANDS = {
    "mm-datagen": datagen.main,
    "mm-decoder": decoder.main,
    "mm-experiment": experiment.main,
    "mm-export": export.main,
    "mm-score": score.main,
    "mm-serve": serve.main,
    "mm-trainer": trainer.main,
}


def parse(flags, body, argv=None):
    """Stands in for common.run_command: parses the flags, and looks up the problems and sets that they name."""
    args = flags.parse(argv)
    common.load_registries(args.usr_dir, args.problem_file or ())
    if "problems" in args and args.problems:
        common.selected_problems(args)
    if "hparams_set" in args and args.hparams_set:
        common.selected_hparams(args)
    return 0


def forget_problem_files():
    """Removes the problems of problem files from the registry, since files of several folders may use the same names."""
    for name in [name for name in problems.names() if name.startswith("my_")]:
        del problems._values[name]


def complaint(folder, line):
    """Returns what is wrong with a command line; "" if nothing is."""
    if folder != os.getcwd():
        forget_problem_files()
    os.chdir(folder)
    name, *argv = shlex.split(line)
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            COMMANDS[name](argv)
        except SystemExit:
            return said.getvalue()
        except (KeyError, ImportError, common.UserError, common.DataError) as error:
            return f"{line}: {error}"
    return ""


if __name__ == "__main__":
    common.run_command = parse
    json.dump([complaint(*item) for item in json.load(sys.stdin)], sys.stdout)
