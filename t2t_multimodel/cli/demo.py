"""The command that `make demo` runs: trains mini8 and writes a report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from absl.flags import FlagValues

from t2t_multimodel.cli import common


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    flags = common.command_flags("demo", "Trains mini8 from nothing and writes a report.")
    flags.path("output_dir", "demo_output", "folder of data, checkpoints and the report")
    flags.boolean("full", False, "train to the end, however long it takes")
    flags.number("minutes", None, "the longest time to train, in minutes", above=0)
    return common.run_command(flags, _run, argv)


def _run(args: FlagValues) -> None:
    if args.full and args.minutes:
        raise common.UserError("--full trains to the end and --minutes for a while; give one of them")
    common.quiet_tensorflow()
    from t2t_multimodel.reports.demo import TRAIN_MINUTES, run_demo

    run_demo(Path(args.output_dir), args.full, args.minutes or TRAIN_MINUTES)


if __name__ == "__main__":
    sys.exit(main())
