"""mm-decoder: a trained model's answers, at a prompt or for a file of inputs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t2t_multimodel.cli import common
from t2t_multimodel.cli.datagen import positive
from t2t_multimodel.data.problem import DataError
from t2t_multimodel.registry import unknown

if TYPE_CHECKING:
    from t2t_multimodel.run import RunConfig

MOST_REPORTED = 20


def build_parser() -> common.Parser:
    """The flags of mm-decoder."""
    parser = common.build_parser("Decodes with the newest checkpoint of --output_dir, at a prompt or from a file.", "mm-decoder")
    common.add_output_dir_flag(parser)
    parser.add_argument("--problems", metavar="NAME", help="the problem to decode; at a prompt it can be changed")
    parser.add_argument("--decode_from_file", metavar="FILE", help="an input a line: text, or the path of an image or a sound")
    parser.add_argument("--decode_to_file", metavar="FILE", help="an output a line; without it they go to stdout")
    parser.add_argument("--batch_size", type=positive, default=32, metavar="N", help="inputs decoded together")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return common.run_command(build_parser(), run, argv)


def run(args: argparse.Namespace) -> int:
    """Checks all that can be checked before the model is loaded, and decodes; 1 if an input was damaged."""
    common.require(args, "output_dir")
    from t2t_multimodel.run import RunConfig

    config = RunConfig.load(args.output_dir)
    problem = _problem(args, config)
    if not args.decode_from_file:
        if args.decode_to_file:
            raise common.UserError("--decode_to_file goes with --decode_from_file")
        _interact(args, problem)
        return 0
    from t2t_multimodel.decoding.files import read_lines

    lines = read_lines(Path(args.decode_from_file))
    if args.decode_to_file:
        _check_target(Path(args.decode_to_file), Path(args.decode_from_file))
    return _decode_file(args, problem, lines)


def _problem(args: argparse.Namespace, config: RunConfig) -> str:
    """The problem to begin with: the one named, or the first; a file needs it named where there are several."""
    names = [spec.name for spec in config.problems]
    if args.problems and args.problems not in names:
        raise common.UserError(f"{unknown('problem', args.problems, names)} (of the run in {args.output_dir})")
    if not args.problems and args.decode_from_file and len(names) > 1:
        raise common.UserError(f"--problems must say which problem the file is for; there are: {', '.join(names)}")
    return args.problems or names[0]


def _check_target(target: Path, source: Path) -> None:
    if target.is_dir():
        raise common.UserError(f"--decode_to_file={target} is a folder; name a file")
    if not target.parent.is_dir():
        raise common.UserError(f"--decode_to_file={target}: there is no folder {target.parent}")
    if target.exists() and target.samefile(source):
        raise common.UserError(f"--decode_to_file={target} is the file to decode; name another one")


def _interact(args: argparse.Namespace, problem: str) -> None:
    decoder, banner = load(args.output_dir)
    from t2t_multimodel.decoding.interactive import interact

    interact(decoder, problem, banner)


def _decode_file(args: argparse.Namespace, problem: str, lines: list[bytes]) -> int:
    decoder, _ = load(args.output_dir)
    from tqdm import tqdm

    from t2t_multimodel.data.vocabulary import write_beside
    from t2t_multimodel.decoding.files import decode_lines

    source = Path(args.decode_from_file)
    damaged: list[str] = []

    def report(number: int, error: DataError) -> None:
        damaged.append(f"{source}, line {number}: {' '.join(str(error).split())}")

    with tqdm(total=len(lines), unit="line", disable=None, file=sys.stderr) as bar:
        outputs = decode_lines(decoder, problem, lines, source.parent, args.batch_size, report, bar.update)
    content = "".join(f"{output}\n" for output in outputs).encode()
    if args.decode_to_file:
        write_beside(Path(args.decode_to_file), content)
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
    _say_what_is_damaged(damaged)
    return 1 if damaged else 0


def _say_what_is_damaged(damaged: Sequence[str]) -> None:
    for line in damaged[:MOST_REPORTED]:
        print(f"mm-decoder: {line}", file=sys.stderr)
    if len(damaged) > MOST_REPORTED:
        print(f"mm-decoder: and {len(damaged) - MOST_REPORTED} more damaged lines", file=sys.stderr)


def load(output_dir: str) -> tuple[Any, str]:
    """A Decoder with the newest weights of `output_dir`, and a line that says what it is."""
    common.quiet_tensorflow()
    import tensorflow as tf

    from t2t_multimodel.decoding.decoder import Decoder
    from t2t_multimodel.run import open_run

    # Grappler's passes took seconds before the first answer and made later ones no faster (docs/architecture.md).
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    config, vocabulary, model, step = open_run(output_dir)
    decoder = Decoder(model, config.problems, vocabulary, config.hparams)
    names = ", ".join(decoder.specs)
    return decoder, f"{output_dir} at step {step:,}: {names}"
