"""mm-decoder: a trained model's answers, at a prompt or for a file of inputs."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t2t_multimodel.cli import common
from t2t_multimodel.cli.common import positive
from t2t_multimodel.registry import unknown

if TYPE_CHECKING:
    from t2t_multimodel.decoding.predictor import Prediction
    from t2t_multimodel.decoding.strategies import Strategy
    from t2t_multimodel.runs.run_config import RunConfig

MOST_REPORTED = 20


def build_parser() -> common.Parser:
    """The flags of mm-decoder."""
    parser = common.build_parser("Decodes with the newest checkpoint of --output_dir, at a prompt or from a file.", "mm-decoder")
    common.add_output_dir_flag(parser)
    parser.add_argument("--problems", metavar="NAME", help="the problem to decode; at a prompt it can be changed")
    parser.add_argument("--decode_from_file", metavar="FILE", help="an input a line: text, or the path of an image or a sound")
    parser.add_argument("--decode_to_file", metavar="FILE", help="an output a line; without it they go to stdout")
    parser.add_argument(
        "--output_format", choices=("text", "jsonl"), default="text", help="jsonl: inputs, outputs, scores, times"
    )
    parser.add_argument("--batch_size", type=positive, default=32, metavar="N", help="inputs decoded together")
    parser.add_argument("--xla", action="store_true", help="compile the loop over tokens: worth it for thousands of inputs")
    parser.add_argument("--shards", type=positive, default=1, metavar="N", help="decode one of N parts of the file")
    parser.add_argument("--shard_id", type=int, default=0, metavar="I", help="which part, from 0")
    add_search_flags(parser)
    return parser


def add_search_flags(parser: argparse.ArgumentParser) -> None:
    """How outputs are searched for; `check_search` and `strategy_of` read them."""
    search = parser.add_argument_group("search")
    search.add_argument("--beam_size", type=positive, default=4, metavar="N", help="beams a sentence; 1 is greedy")
    search.add_argument("--alpha", type=float, default=0.6, metavar="A", help="length penalty of beam search; 0 is none")
    search.add_argument("--n_best", type=positive, default=1, metavar="N", help="outputs an input; more than one need jsonl")
    search.add_argument("--sample", action="store_true", help="draw tokens at random instead")
    search.add_argument("--temperature", type=float, default=1.0, metavar="T", help="of --sample; below 1 is less random")
    search.add_argument("--top_k", type=int, default=0, metavar="K", help="of --sample: of the K likeliest tokens; 0 is all")
    search.add_argument("--top_p", type=float, default=1.0, metavar="P", help="of --sample: of the likeliest that make up P")
    search.add_argument("--seed", type=int, default=0, metavar="N", help="of --sample")
    search.add_argument("--well_formed_trees", action="store_true", help="parse trees are always trees over the input's words")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return common.run_command(build_parser(), run, argv)


def run(args: argparse.Namespace) -> int:
    """Checks all that can be checked before the model is loaded, and decodes; 1 if an input was damaged."""
    common.require(args, "output_dir")
    check_search(args)
    if args.n_best > 1 and args.decode_from_file and args.output_format == "text":
        raise common.UserError("--n_best above 1 needs --output_format=jsonl: text has one line an input")
    if not 0 <= args.shard_id < args.shards:
        raise common.UserError(f"--shard_id must lie between 0 and {args.shards - 1}, got {args.shard_id}")
    from t2t_multimodel.runs.run_config import RunConfig

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


def check_search(args: argparse.Namespace) -> None:
    """Finds what is wrong with the flags of the search before TensorFlow is imported."""
    if args.n_best > 1 and args.sample:
        raise common.UserError("--n_best goes with beams, not with --sample")
    if args.n_best > args.beam_size:
        raise common.UserError(f"--n_best={args.n_best} needs at least as many beams; --beam_size is {args.beam_size}")
    if not args.temperature > 0:
        raise common.UserError(f"--temperature must be above 0, got {args.temperature}")
    if args.top_k < 0:
        raise common.UserError(f"--top_k must be 0 (all) or more, got {args.top_k}")
    if not 0 < args.top_p <= 1:
        raise common.UserError(f"--top_p must lie above 0 and up to 1, got {args.top_p}")


def strategy_of(args: argparse.Namespace) -> Strategy:
    """The search that the flags ask for."""
    from t2t_multimodel.decoding.strategies import BeamSearch, Greedy, Sampling

    if args.sample:
        return Sampling(args.temperature, args.top_k, args.top_p, args.seed)
    return Greedy() if args.beam_size == 1 else BeamSearch(args.beam_size, args.alpha, args.n_best)


def _check_target(target: Path, source: Path) -> None:
    if target.is_dir():
        raise common.UserError(f"--decode_to_file={target} is a folder; name a file")
    if not target.parent.is_dir():
        raise common.UserError(f"--decode_to_file={target}: there is no folder {target.parent}")
    if target.exists() and target.samefile(source):
        raise common.UserError(f"--decode_to_file={target} is the file to decode; name another one")


def _interact(args: argparse.Namespace, problem: str) -> None:
    decoder, banner = load(args)
    from t2t_multimodel.decoding.interactive import interact

    interact(decoder, problem, banner)


def _decode_file(args: argparse.Namespace, problem: str, lines: list[bytes]) -> int:
    decoder, _ = load(args)
    from tqdm import tqdm

    from t2t_multimodel.decoding.files import decode_lines
    from t2t_multimodel.utils.files import write_atomically

    source = Path(args.decode_from_file)
    first, last = (len(lines) * part // args.shards for part in (args.shard_id, args.shard_id + 1))
    reported: dict[int, str] = {}
    changed: Counter[str] = Counter()
    start = time.monotonic()
    with tqdm(total=last - first, unit="line", disable=None, file=sys.stderr) as bar:
        answers = decode_lines(
            decoder, problem, lines[first:last], source.parent, args.batch_size, reported.__setitem__, bar.update, changed
        )
    _say_speed(answers, time.monotonic() - start)
    if changed:
        print(f"changed: {', '.join(f'{count:,} {change}' for change, count in changed.items())}", file=sys.stderr)
    content = "".join(_formatted(args, *row) for row in zip(lines[first:last], answers, strict=True)).encode()
    if args.decode_to_file:
        write_atomically(_shard_of(args), content)
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
    _say_what_is_damaged([f"{source}, line {first + number}: {' '.join(what.split())}" for number, what in reported.items()])
    return 1 if any(answers[number - 1] is None for number in reported) else 0


def _shard_of(args: argparse.Namespace) -> Path:
    """The file to write: each shard has its own, beside the others."""
    target = Path(args.decode_to_file)
    return target if args.shards == 1 else target.with_name(f"{target.name}-{args.shard_id:05d}-of-{args.shards:05d}")


def _formatted(args: argparse.Namespace, line: bytes, answer: Prediction | None) -> str:
    """A line of output: empty text, or no outputs, for an empty or damaged input."""
    from t2t_multimodel.decoding.files import one_line

    if args.output_format == "text":
        return f"{one_line(answer.outputs[0].text) if answer else ''}\n"
    outputs = [{"text": output.text, "score": round(output.score, 5)} for output in answer.outputs] if answer else []
    seconds = round(answer.seconds, 5) if answer else 0.0
    row = {"input": line.decode("utf-8", "replace"), "outputs": outputs, "seconds": seconds}
    return json.dumps(row, ensure_ascii=False) + "\n"


def _say_speed(answers: Sequence[Prediction | None], seconds: float) -> None:
    tokens = sum(answer.tokens for answer in answers if answer)
    speed = f"{tokens / seconds:,.0f} tokens/s" if seconds > 0 else ""
    print(f"{len(answers):,} lines, {tokens:,} tokens, {seconds:.1f} s, {speed}", file=sys.stderr)


def _say_what_is_damaged(damaged: Sequence[str]) -> None:
    for line in damaged[:MOST_REPORTED]:
        print(f"mm-decoder: {line}", file=sys.stderr)
    if len(damaged) > MOST_REPORTED:
        print(f"mm-decoder: and {len(damaged) - MOST_REPORTED} more such lines", file=sys.stderr)


def load(args: argparse.Namespace) -> tuple[Any, str]:
    """A Predictor with the newest weights of --output_dir that searches as the flags say, and a line that says what it is."""
    # oneDNN prepares each small product anew: steps of one sentence take half the time without it.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    common.quiet_tensorflow()
    from t2t_multimodel.inference import open_predictor

    decoder, step = open_predictor(args.output_dir, strategy_of(args), args.well_formed_trees, args.xla)
    return decoder, f"{args.output_dir} at step {step:,}: {', '.join(decoder.specs)}"
