"""mm-trainer: trains one model on one or several problems, evaluates it, and averages its checkpoints."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from t2t_multimodel.cli import common
from t2t_multimodel.cli.hparams_help import hparams_help
from t2t_multimodel.config import ARCHITECTURES, HParams, get_hparams
from t2t_multimodel.distributed.cluster import WORKER_TIMEOUT
from t2t_multimodel.distributed.strategies import STRATEGIES
from t2t_multimodel.problem import Problem
from t2t_multimodel.utils.console import print_line
from t2t_multimodel.utils.writer_lock import WriterLock

if TYPE_CHECKING:
    from t2t_multimodel.training.step_plan import StepPlan

SCHEDULES = ("train_and_evaluate", "evaluate")


def command_flags() -> common.CommandFlags:
    """Returns the flags of mm-trainer."""
    flags = common.command_flags("mm-trainer", "Trains one model on one or several problems, or evaluates it.")
    common.add_problems_flag(flags)
    common.add_hparams_flags(flags)
    common.add_data_dir_flag(flags)
    common.add_output_dir_flag(flags)
    described = "describe all hyperparameters, with the values of --hparams_set and --hparams, and exit"
    flags.boolean("hparams_help", False, described)
    flags.choice("model", ARCHITECTURES, None, "the network's body, instead of the set's hyperparameter architecture")
    flags.integer("train_steps", None, "the step at which the run ends, counted over all problems, instead of the set's", least=0)
    stop = "end at this step, while schedules are those of --train_steps; as run.toml says of a run that ended by the clock"
    flags.integer("stop_step", None, stop, least=0)
    flags.integer("problems_per_step", None, "problems that each step mixes, instead of the set's", least=1)
    flags.boolean("xla", None, "compile steps by XLA, once per shape of a batch, for GPUs; fixed_shapes=true makes these few")
    minutes = (
        "the longest time to train, in minutes; without train_steps the learning rate's schedule ends with it; 0 is no limit"
    )
    flags.number("train_minutes", 0.0, minutes, least=0)
    planned = "numbers of steps that schedules count on, by step, as run.toml says of a run by the clock"
    flags.parsed("planned_steps", _plan, None, planned, "steps, as 10:980 20:1041 260:evaluate")
    flags.integer("eval_steps", None, "batches per evaluation, instead of the set's; 0 is the whole split", least=0)
    flags.choice("schedule", SCHEDULES, SCHEDULES[0], "train with evaluations, or only decode and score --eval_split")
    strategy = (
        "mirrored: divide each batch among this machine's GPUs; multi_worker: among the workers of TF_CONFIG; tpu: among a TPU's "
        "cores; parameter_server: steps overlap on shared weights (docs/asynchronous.md); auto: as TF_CONFIG says, without it "
        "mirrored if there are several GPUs, else one_device"
    )
    flags.choice("strategy", STRATEGIES, STRATEGIES[0], strategy)
    flags.integer("worker_timeout", WORKER_TIMEOUT, "seconds to wait for the other workers of TF_CONFIG", least=1)
    local = "worker processes that train on this machine's processors (multi_worker or parameter_server); 0 starts none"
    flags.integer("local_workers", 0, local, least=0)
    average = "do not train; write the mean of this many last checkpoints to --output_dir/averaged"
    flags.integer("average", None, average, least=1)
    warm = "output_dir of another run; a new run, of its problems or other ones, begins with those of its weights that fit"
    flags.path("warm_start", None, warm)
    flags.parsed(
        "profile", _steps, None, "steps to profile; written to --output_dir/profile", "the first and the last step, as 100:110"
    )
    flags.string("eval_split", "dev", "the split that --schedule=evaluate scores")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    return common.run_command(command_flags(), lambda args: _run(args, argv), argv)


def _run(args: FlagValues, argv: Sequence[str]) -> int:
    if args.hparams_help:
        print(hparams_help(common.selected_hparams(args, default_set="multimodel_paper_joint")))
        return 0
    if args.average:
        return _average(args)
    common.require(args, "data_dir", "output_dir")
    if args.schedule == "evaluate":
        return _evaluate(args)
    hparams = _hparams(args)
    chosen = common.selected_problems(args)
    hparams = _with_fitting_weights(args.hparams_set, hparams, chosen)
    _check_schedule(chosen, hparams)
    if args.local_workers:
        return _local_cluster(args, argv)
    common.quiet_tensorflow()
    from t2t_multimodel.runs.launch import Terminated, train_run

    seconds = args.train_minutes * 60
    data_dir, output_dir = Path(args.data_dir), Path(args.output_dir)
    warm_start = Path(args.warm_start) if args.warm_start else None
    places = (data_dir, output_dir, seconds, args.strategy, warm_start, args.worker_timeout, args.profile)
    with contextlib.suppress(Terminated):
        by_clock = seconds > 0 and not args.planned_steps and not _gives_train_steps(args)
        planned = str(args.planned_steps or "")
        train_run(chosen, args.hparams_set, hparams, *places, args.stop_step, args.usr_dir or "", by_clock, planned)
    return 0


def _local_cluster(args: FlagValues, argv: Sequence[str]) -> int:
    """Runs the same command in several processes, which form a cluster; returns its exit code."""
    if "TF_CONFIG" in os.environ:
        raise common.UserError("--local_workers starts a cluster of its own, but TF_CONFIG describes one; give one of them")
    from t2t_multimodel.distributed.local_cluster import run_local_cluster

    again, log_dir = [*argv, "--local_workers=0"], Path(args.output_dir)
    with WriterLock(log_dir, print_line):  # The chief takes the lock too; here it is tried before all processes are started.
        pass
    if args.strategy != "parameter_server":
        return run_local_cluster({"worker": args.local_workers}, main, again, log_dir)
    jobs = {"chief": 1, "worker": args.local_workers, "ps": 1}
    return run_local_cluster(jobs, main, again, log_dir, serving=("worker", "ps"), replaced=("worker",))


def _steps(text: str) -> tuple[int, int]:
    """Returns the first and the last step in a flag's text, as "100:110"."""
    first, colon, last = text.partition(":")
    if not (colon and first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise ValueError("must be the first and the last step, as 100:110")
    return int(first), int(last)


def _plan(text: str) -> StepPlan:
    from t2t_multimodel.training.step_plan import StepPlan

    return StepPlan.parse(text)


def _gives_train_steps(args: FlagValues) -> bool:
    """Returns whether the user gave train_steps, which a set alone does not do."""
    changed = {item.partition("=")[0].strip() for item in args.hparams.split(",")}
    return args.train_steps is not None or "train_steps" in changed


def _average(args: FlagValues) -> int:
    common.require(args, "output_dir")
    common.quiet_tensorflow()
    from t2t_multimodel.runs.averaging import average_run

    target = average_run(Path(args.output_dir), args.average)
    print(f"the mean of the last {args.average} checkpoints is in {target}; decode with: mm-decoder --output_dir={target}")
    return 0


def _evaluate(args: FlagValues) -> int:
    names = common.named_problems(args)
    common.quiet_tensorflow()
    from t2t_multimodel.runs.scoring import score_run

    score_run(Path(args.output_dir), Path(args.data_dir), names, args.eval_split, args.eval_steps or 0)
    return 0


def _hparams(args: FlagValues) -> HParams:
    hparams = common.selected_hparams(args)
    flags = {"model": "architecture", **{name: name for name in ("train_steps", "eval_steps", "problems_per_step", "xla")}}
    given = {name: getattr(args, flag) for flag, name in flags.items() if getattr(args, flag) is not None}
    return hparams.override(**given)


def _with_fitting_weights(set_name: str, hparams: HParams, problems: Sequence[Problem]) -> HParams:
    """Returns `hparams` without those of the set's own problem_weights that fit no problem of the run.

    If the user gave problem_weights, `hparams` is returned as it is, and `_check_schedule` checks them.
    """
    weights = hparams.training.problem_weights
    if weights != get_hparams(set_name).training.problem_weights:
        return hparams
    fitting = [item for item in weights.split() if any(item.partition(":")[0] in problem.name for problem in problems)]
    return hparams.override(problem_weights=" ".join(fitting))


def _check_schedule(problems: Sequence[Problem], hparams: HParams) -> None:
    from t2t_multimodel.training.problem_schedule import ProblemSchedule

    c = hparams.training
    names = [problem.name for problem in problems]
    try:
        ProblemSchedule(names, [1] * len(names), c.problem_schedule, c.temperature, c.problem_weights)
    except ValueError as error:
        raise common.UserError(f"--hparams: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
