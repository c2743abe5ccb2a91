"""mm-experiment: repeats the paper's tables and figure with runs over several seeds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from absl.flags import FlagValues

from t2t_multimodel.cli import common
from t2t_multimodel.experiments.plan import EXPERIMENTS, SCALES


def command_flags() -> common.CommandFlags:
    """Returns the flags of mm-experiment."""
    flags = common.command_flags("mm-experiment", "Repeats the paper's experiments: runs over several seeds, tables, verdicts.")
    flags.string("experiment", None, f"one of {', '.join(EXPERIMENTS)}, or all of the paper's")
    flags.string("scale", "mini8", f"the data: one of {', '.join(SCALES)}")
    flags.integer("seeds", 3, "runs of each kind, one per seed 1, 2, 3 ...", least=1)
    flags.path("output_dir", None, "folder of the runs and their results")
    common.add_data_dir_flag(flags)
    common.add_tmp_dir_flag(flags)
    flags.string("hparams", "", "changes to the hyperparameters of all runs; train_steps is the number of steps per problem")
    flags.integer("evaluations", 5, "evaluations per run, each of all of dev; the one with the lowest loss counts", least=1)
    flags.integer("shards", 1, "machines that share --output_dir and divide the runs", least=1)
    flags.integer("shard_id", 0, "number of this machine among them, from 0", least=0)
    flags.boolean("dry_run", False, "print the runs and an estimate of their time, and exit")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return common.run_command(command_flags(), run, argv)


def run(args: FlagValues) -> int:
    """Checks the flags and runs the experiment."""
    common.require(args, "experiment", "output_dir")
    if args.shard_id >= args.shards:
        raise common.UserError(f"--shard_id={args.shard_id} must be below --shards={args.shards}")
    from t2t_multimodel.experiments.experiment import Request, run_experiment, selected
    from t2t_multimodel.experiments.runner import ROOT

    paths = {name: Path(value) if (value := getattr(args, name)) else None for name in ("data_dir", "tmp_dir")}
    request = Request(
        args.experiment,
        args.scale,
        args.seeds,
        Path(args.output_dir),
        hparams=args.hparams,
        evaluations=args.evaluations,
        shards=args.shards,
        shard_id=args.shard_id,
        dry_run=args.dry_run,
        **paths,
    )
    scale, chosen = selected(request)
    if scale.usr_dir and not args.usr_dir:
        common.load_registries(ROOT / scale.usr_dir)
    if not args.dry_run and any(not experiment.cells for experiment in chosen):
        common.quiet_tensorflow()  # The examples of a figure are read by TensorFlow.
    run_experiment(request)
    return 0


if __name__ == "__main__":
    sys.exit(main())
