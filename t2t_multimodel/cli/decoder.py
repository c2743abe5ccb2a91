"""mm-decoder: decodes with a trained model, at a prompt or for a file of inputs."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import absl.logging
from absl.flags import FlagValues

from t2t_multimodel.cli import common
from t2t_multimodel.registry import unknown

if TYPE_CHECKING:
    from t2t_multimodel.decoding.forced import PairScore
    from t2t_multimodel.decoding.hypothesis import Hypothesis, Prediction
    from t2t_multimodel.decoding.output_file import OutputFile
    from t2t_multimodel.decoding.strategies import Strategy
    from t2t_multimodel.runs.run_config import RunConfig

MOST_REPORTED = 20


def command_flags() -> common.CommandFlags:
    """Returns the flags of mm-decoder."""
    flags = common.command_flags("mm-decoder", "Decodes with the newest checkpoint of --output_dir, at a prompt or from a file.")
    common.add_output_dir_flag(flags)
    flags.beyond_run_files.add("problems")
    flags.string("problems", None, "the problem to decode; without it a prompt begins with the first one of the run")
    flags.path(
        "decode_from_file",
        None,
        "file with one input per line: a text, or the path of a picture or sound, relative to the file's folder",
    )
    flags.path("decode_to_file", None, "file, device or pipe for one output per line; without it, stdout")
    flags.path("data_dir", None, "records from which the prompt's :example takes examples; without it, those of the run")
    flags.choice("output_format", ("text", "jsonl"), "text", "the outputs alone, or JSON with inputs, scores and times")
    flags.boolean("token_scores", False, "add each output's tokens and their log-probabilities to the JSON lines")
    flags.boolean("attention", False, "the same, and how much each token reads each position of the input")
    flags.integer("batch_size", 32, "inputs decoded together", least=1)
    flags.boolean("xla", False, "compile the loop over tokens, which pays off for thousands of inputs")
    flags.integer("shards", 1, "equal parts of the file; this process decodes one of them", least=1)
    flags.integer("shard_id", 0, "the part to decode, from 0", least=0)
    add_search_flags(flags)
    return flags


def add_search_flags(flags: common.CommandFlags) -> None:
    """Adds the flags that `check_search` and `strategy_of` read."""
    flags.section = "search"
    flags.integer("beam_size", 4, "beams per input; 1 is greedy", least=1)
    flags.number("alpha", 0.6, "exponent of beam search's length penalty; 0 is none")
    flags.integer("n_best", 1, "hypotheses per input; more than one needs --output_format=jsonl", least=1)
    flags.boolean("sample", False, "draw tokens at random instead of searching with beams")
    flags.number("temperature", 1.0, "with --sample: divides the logits; below 1 is less random", above=0)
    flags.integer("top_k", 0, "with --sample: draw among the K likeliest tokens; 0 is all", least=0)
    flags.number("top_p", 1.0, "with --sample: draw among the likeliest tokens whose probabilities reach P", above=0, most=1)
    flags.integer("seed", 0, "with --sample: the seed", least=-(2**31))
    words = "allow only well-formed trees over the input's words; --nowell_formed_trees writes the model's own text, linearised"
    flags.boolean("well_formed_trees", True, words)
    flags.section = "flags"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return common.run_command(command_flags(), run, argv)


def run(args: FlagValues) -> int:
    """Checks flags and files before the model is loaded, then decodes; returns 1 if an input was damaged, else 0."""
    common.require(args, "output_dir")
    check_search(args)
    if args.n_best > 1 and args.decode_from_file and args.output_format == "text":
        raise common.UserError("--n_best above 1 needs --output_format=jsonl: text has one line per input")
    for name in ("token_scores", "attention"):
        if getattr(args, name) and not (args.decode_from_file and args.output_format == "jsonl"):
            raise common.UserError(f"--{name} goes with --decode_from_file and --output_format=jsonl")
    if not 0 <= args.shard_id < args.shards:
        raise common.UserError(f"--shard_id must lie between 0 and {args.shards - 1}, got {args.shard_id}")
    from t2t_multimodel.runs.run_config import RunConfig

    config = RunConfig.load(args.output_dir)
    problem = _problem(args, config)
    if not args.decode_from_file:
        if args.decode_to_file:
            raise common.UserError("--decode_to_file goes with --decode_from_file")
        _interact(args, problem, Path(args.data_dir or config.data_dir))
        return 0
    from t2t_multimodel.decoding.files import read_lines

    lines = read_lines(Path(args.decode_from_file))
    if args.decode_to_file:
        _check_target(Path(args.decode_to_file), Path(args.decode_from_file))
    return _decode_file(args, problem, lines)


def _problem(args: FlagValues, config: RunConfig) -> str:
    """Returns the problem to begin with: that of --problems, or the run's first.

    Raises:
        UserError: the run has no such problem, or a file is to be decoded and the run's several problems leave it open which.
    """
    names = [spec.name for spec in config.problems]
    if args.problems and args.problems not in names:
        raise common.UserError(f"{unknown('problem', args.problems, names)} (of the run in {args.output_dir})")
    if not args.problems and args.decode_from_file and len(names) > 1:
        raise common.UserError(f"--problems must say which problem the file is for; there are: {', '.join(names)}")
    return args.problems or names[0]


def check_search(args: FlagValues) -> None:
    """Raises UserError if flags of the search do not go together; needs no TensorFlow."""
    if args.n_best > 1 and args.sample:
        raise common.UserError("--n_best goes with beams, not with --sample")
    if args.n_best > args.beam_size:
        raise common.UserError(f"--n_best={args.n_best} needs at least as many beams; --beam_size is {args.beam_size}")


def strategy_of(args: FlagValues) -> Strategy:
    """Returns the decoding strategy that the flags ask for."""
    from t2t_multimodel.decoding.strategies import BeamSearch, Greedy, Sampling

    if args.sample:
        return Sampling(args.temperature, args.top_k, args.top_p, args.seed)
    return Greedy() if args.beam_size == 1 else BeamSearch(args.beam_size, args.alpha, args.n_best)


def _check_target(target: Path, source: Path) -> None:
    if target.is_dir():
        raise common.UserError(f"--decode_to_file={target} is a folder; name a file")
    if not target.resolve().parent.is_dir():
        raise common.UserError(f"--decode_to_file={target}: there is no folder {target.parent}")
    if target.exists() and target.samefile(source):
        raise common.UserError(f"--decode_to_file={target} is the file to decode; name another one")


def _interact(args: FlagValues, problem: str, data_dir: Path) -> None:
    decoder, banner = load(args)
    from t2t_multimodel.decoding.interactive import interact

    interact(decoder, problem, banner, data_dir)


def _decode_file(args: FlagValues, problem: str, lines: list[bytes]) -> int:
    from t2t_multimodel.decoding.output_file import OutputFile

    first, last = (len(lines) * part // args.shards for part in (args.shard_id, args.shard_id + 1))
    with OutputFile(_shard_of(args)) as output:
        decoder, _ = load(args)
        with _told_where_outputs_are(output, last - first) as count:
            return _decode_lines(args, decoder, problem, lines[first:last], first, output, count)


def _decode_lines(
    args: FlagValues, decoder: Any, problem: str, lines: list[bytes], first: int, output: OutputFile, count: list[int]
) -> int:
    """Decodes `lines` into `output`; returns 1 if one of them was damaged, else 0.

    Args:
        first: the number of lines of the file before `lines`.
        count: a list of one number, which is kept at the number of lines that are decoded.
    """
    from tqdm import tqdm

    from t2t_multimodel.decoding.files import decode_lines

    source = Path(args.decode_from_file)
    reported: dict[int, str] = {}
    changed: Counter[str] = Counter()
    answers: list[Prediction | None] = []
    start = time.monotonic()
    with tqdm(total=len(lines), unit="line", disable=None, file=sys.stderr) as bar:
        report = reported.__setitem__
        details = {name: True for name in ("token_scores", "attention") if getattr(args, name)}
        for block in decode_lines(
            decoder, problem, lines, source.parent, args.batch_size, report, bar.update, changed, **details
        ):
            output.write([_formatted(args, lines[len(answers) + i], answer) for i, answer in enumerate(block)])
            answers += block
            count[0] = len(answers)
    _say_speed(answers, time.monotonic() - start)
    if changed:
        absl.logging.info("changed: %s", ", ".join(f"{count:,} {change}" for change, count in changed.items()))
    _say_what_is_damaged([f"{source}, line {first + number}: {' '.join(what.split())}" for number, what in reported.items()])
    return 1 if any(answers[number - 1] is None for number in reported) else 0


@contextlib.contextmanager
def _told_where_outputs_are(output: OutputFile, total: int) -> Iterator[list[int]]:
    """Logs how many outputs are kept, and where, if an exception ends the context. SIGTERM raises KeyboardInterrupt inside it."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    count = [0]
    before = signal.signal(signal.SIGTERM, interrupt) if threading.current_thread() is threading.main_thread() else None
    try:
        yield count
    except BaseException:
        if count[0]:
            absl.logging.warning("mm-decoder: the first %d of %d outputs are %s", count[0], total, output.kept)
        raise
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _shard_of(args: FlagValues) -> Path | None:
    """Returns the file to write, with the shard's number in its name if there are several; None for stdout."""
    if not args.decode_to_file:
        return None
    target = Path(args.decode_to_file)
    return target if args.shards == 1 else target.with_name(f"{target.name}-{args.shard_id:05d}-of-{args.shards:05d}")


def _formatted(args: FlagValues, line: bytes, answer: Prediction | None) -> str:
    """Returns the line to write for an input. If that was empty or damaged, the text is empty or the list of outputs is."""
    from t2t_multimodel.decoding.files import one_line

    if args.output_format == "text":
        best = answer.outputs[0] if answer else None
        return (one_line(best.text) + (f"\t{one_line(best.words)}" if best.words else "") if best else "") + "\n"
    outputs = [_json_of(output) for output in answer.outputs] if answer else []
    seconds = round(answer.seconds, 5) if answer else 0.0
    read = {"input_tokens": answer.source} if answer and answer.source else {}
    row = {"input": line.decode("utf-8", "replace"), "outputs": outputs, **read, "seconds": seconds}
    return json.dumps(row, ensure_ascii=False) + "\n"


def _json_of(output: Hypothesis) -> dict[str, Any]:
    marked = {} if output.well_formed is None else {"well_formed": output.well_formed}
    words = {"words": output.words} if output.words else {}
    return {
        "text": output.text,
        **words,
        "score": round(output.score, 5),
        **marked,
        **(_details_of(output.pair) if output.pair else {}),
    }


def _details_of(pair: PairScore) -> dict[str, Any]:
    """Returns the tokens of an output, their log-probabilities, and where the model looks if that is known."""
    found: dict[str, Any] = {"tokens": pair.tokens, "token_log_probs": [round(value, 5) for value in pair.token_log_probs]}
    if pair.attention:
        found["attention"] = [[round(float(weight), 4) for weight in row] for row in pair.attention.weights]
        if pair.attention.shape:
            found["attention_shape"] = list(pair.attention.shape)
    return found


def _say_speed(answers: Sequence[Prediction | None], seconds: float) -> None:
    tokens = sum(answer.tokens for answer in answers if answer)
    speed = f"{tokens / seconds:,.0f} tokens/s" if seconds > 0 else ""
    absl.logging.info("%s", f"{len(answers):,} lines, {tokens:,} tokens, {seconds:.1f} s, {speed}")


def _say_what_is_damaged(damaged: Sequence[str]) -> None:
    for line in damaged[:MOST_REPORTED]:
        absl.logging.warning("mm-decoder: %s", line)
    if len(damaged) > MOST_REPORTED:
        absl.logging.warning("mm-decoder: and %d more such lines", len(damaged) - MOST_REPORTED)


def load(args: FlagValues) -> tuple[Any, str]:
    """Returns a Predictor with the newest weights of --output_dir and the flags' strategy, and a line that describes the run."""
    common.quiet_tensorflow(onednn=False)
    from t2t_multimodel.inference import open_predictor

    decoder, step = open_predictor(args.output_dir, strategy_of(args), args.well_formed_trees, args.xla)
    return decoder, f"{args.output_dir} at step {step:,}: {', '.join(decoder.specs)}"
