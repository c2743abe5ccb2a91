"""The demonstration, as `make demo` runs it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from t2t_multimodel.cli import common


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = common.build_parser("Trains mini8 from nothing and writes a report.", prog="demo")
    parser.add_argument("--output_dir", default="demo_output", metavar="DIR", help="data, checkpoints and the report")
    parser.add_argument("--full", action="store_true", help="train to the end, however long it takes")
    parser.add_argument("--minutes", type=_minutes, metavar="N", help="train for so long instead of the default of some minutes")
    return common.run_command(parser, _run, argv)


def _run(args: argparse.Namespace) -> None:
    if args.full and args.minutes:
        raise common.UserError("--full trains to the end and --minutes for a while; give one of them")
    common.quiet_tensorflow()
    from t2t_multimodel.reports.demo import TRAIN_MINUTES, run_demo

    run_demo(Path(args.output_dir), args.full, args.minutes or TRAIN_MINUTES)


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value


if __name__ == "__main__":
    sys.exit(main())
