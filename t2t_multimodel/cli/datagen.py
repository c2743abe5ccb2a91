"""mm-datagen: makes vocabulary and records from raw data, and verifies and inspects them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl.flags import FlagValues

from t2t_multimodel.cli import common
from t2t_multimodel.cli.quiet import quiet_tensorflow
from t2t_multimodel.data.generation.cleaning import RULES, rules_of
from t2t_multimodel.data.generation.workers import Workers
from t2t_multimodel.data.manifest import Manifest
from t2t_multimodel.problem import Problem, problems


def command_flags() -> common.CommandFlags:
    """Returns the flags of mm-datagen."""
    flags = common.command_flags("mm-datagen", "Writes vocabulary and records of problems to --data_dir.")
    common.add_problems_flag(flags)
    common.add_data_dir_flag(flags)
    common.add_tmp_dir_flag(flags)
    common.add_hparams_flags(flags, "multimodel_tiny")
    flags.integer("vocab_size", None, "pieces of a new vocabulary, instead of the set's", least=1)
    flags.integer("num_shards", 4, "files per train split", least=1)
    flags.choice("on_error", ("fail", "skip"), "fail", "stop at a damaged example, or leave it out")
    flags.integer("num_workers", 1, "processes that check and encode examples", least=1)
    runner = "encode in an Apache Beam pipeline on this runner: DirectRunner, FlinkRunner, SparkRunner, DataflowRunner or another"
    flags.string("runner", None, runner)
    options = "options of the Apache Beam pipeline, as '--flink_master=host:8081 --parallelism=16'"
    flags.parsed("runner_options", shlex.split, (), options)
    flags.parsed("clean", rules_of, frozenset(), f"leave out of train: {rules_help()}", "rules separated by commas")
    flags.integer("image_size", 0, "scale larger pictures down to this shorter side, in pixels; 0 keeps their size", least=0)
    flags.boolean("verify", False, "compare the checksums of existing records, and make damaged ones again")
    shown = "make nothing; show what the records in --data_dir hold and what the set's limits leave out, and write inspect.html"
    flags.boolean("inspect", False, shown)
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return common.run_command(command_flags(), run, argv)


def run(args: FlagValues) -> None:
    """Makes records and prints a table of them; with --inspect, shows existing ones."""
    if args.inspect:
        inspect(args)
        return
    common.require(args, "data_dir")
    chosen = recorded_problems(args) if args.verify and not args.problems else common.selected_problems(args)
    hparams = common.selected_hparams(args)
    workers = runner_workers(args)
    quiet_tensorflow()
    from t2t_multimodel.data.generation.generate import generate

    data_dir = Path(args.data_dir)
    manifests = generate(
        chosen,
        data_dir,
        common.tmp_dir_of(args),
        args.vocab_size or hparams.data.vocab_size,
        num_shards=args.num_shards,
        on_error=args.on_error,
        verify=args.verify,
        num_workers=args.num_workers,
        rules=args.clean,
        image_size=args.image_size,
        workers=workers,
    )
    print(table(manifests))


def recorded_problems(args: FlagValues) -> list[Problem]:
    """Returns the problems whose records are in --data_dir.

    Raises:
        UserError: there are no records, or records of a problem that is not registered.
    """
    from t2t_multimodel.data.inspection import recorded_names

    names = recorded_names(Path(args.data_dir))
    if not names:
        raise common.UserError(f"--data_dir={args.data_dir} has no records to verify; mm-datagen --problems=... makes some")
    if strange := [name for name in names if name not in problems]:
        described = [name for name in names if name in problems]
        others = f", or verify the others alone: --problems={','.join(described)}" if described else ""
        raise common.UserError(
            f"--data_dir={args.data_dir} has records of {', '.join(strange)}, which no flag describes (what is damaged is made "
            f"again from the raw files): give --problem_file or --usr_dir{others}"
        )
    return [problems.get(name) for name in names]


def runner_workers(args: FlagValues) -> Workers | None:
    """Returns the workers of --runner; None without the flag."""
    if not args.runner:
        if args.runner_options:
            raise common.UserError("--runner_options are for --runner, which is not given")
        return None
    if args.num_workers > 1:
        raise common.UserError(
            "--num_workers is for processes of this machine; the number of --runner's workers is among its options, for example "
            "--runner_options='--direct_num_workers=4 --direct_running_mode=multi_processing'"
        )
    if "://" in args.data_dir:
        raise common.UserError(f"--data_dir={args.data_dir} must be a folder, on a file system that all workers have mounted")
    from t2t_multimodel.data.generation.apache_beam_workers import BeamWorkers

    return BeamWorkers(args.runner, args.runner_options)


def inspect(args: FlagValues) -> None:
    """Prints statistics of the records of --problems (without it, of all in --data_dir), and what --hparams_set leaves out.

    More statistics and examples are written to inspect.html in --data_dir.
    """
    common.require(args, "data_dir")
    chosen = common.selected_problems(args) if args.problems else []
    hparams = common.selected_hparams(args)
    quiet_tensorflow()
    from t2t_multimodel.data.inspection import left_out_lines_of, recorded_names
    from t2t_multimodel.data.records import changed_lines
    from t2t_multimodel.reports.inspection_page import show

    data_dir = Path(args.data_dir)
    names = list(dict.fromkeys(problem.records_name for problem in chosen)) or recorded_names(data_dir)
    if not names:
        raise common.UserError(f"--data_dir={data_dir} has no records to inspect; mm-datagen --problems=... makes some")
    limits = (
        f"max_length={hparams.data.max_length} and max_seconds={hparams.data.max_seconds:g} (--hparams_set={args.hparams_set})"
    )
    lines = [f"with {limits}:", *left_out_lines_of(data_dir, names, hparams), *changed_lines(data_dir, names)]
    show(data_dir, names, lambda text: print(text, flush=True), "\n".join(lines))


def rules_help() -> str:
    """Returns the rules of --clean, each with what it leaves out, for --help."""
    return "all, none, " + "; ".join(f"{name} ({what})" for name, what in RULES.items())


def table(manifests: dict[str, Manifest]) -> str:
    """Returns a table with a row per split: examples, skipped ones, bytes, and how the vocabulary fits inputs / targets."""
    rows = [("problem", "split", "examples", "skipped", "bytes", "tokens/word", "byte tokens", "unknown")]
    for name, manifest in manifests.items():
        for split, entry in manifest["splits"].items():
            size = sum(shard["bytes"] for shard in entry["shards"])
            counts = (f"{entry['examples']:,}", f"{entry['skipped']:,}", f"{size:,}")
            rows.append((name, split, *counts, *_fit(entry.get("text", {}))))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, (str.ljust, str.ljust, *[str.rjust] * (len(row) - 2)), strict=True)
        lines.append("  ".join(justify(cell, width) for cell, width, justify in cells).rstrip())
    return "\n".join(lines)


def _fit(text: dict[str, dict[str, int]]) -> tuple[str, str, str]:
    """Returns three cells: tokens per word, the share of byte tokens, and the unknown characters, of each side that is text."""
    from t2t_multimodel.data.generation.text_counts import rates

    found = [(*rates(counts), counts["unknown"]) for counts in text.values()]
    cells = ([f"{words:.2f}", f"{rate:.1%}", f"{unknown:,}"] for words, rate, unknown in found)
    per_word, byte_rate, unknown = (" / ".join(column) for column in zip(*cells, strict=True)) if found else ("", "", "")
    return per_word, byte_rate, unknown


if __name__ == "__main__":
    sys.exit(main())
