"""Carries out the runs of a plan. Each run is trained by mm-trainer in a process and an output directory of its own."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from t2t_multimodel.experiments.plan import Run, Scale
from t2t_multimodel.utils.console import print_line
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.files import write_atomically
from t2t_multimodel.utils.json_lines import read_json_lines
from t2t_multimodel.utils.processes import run_until_it_ends

RESULT, PLAN = "result.json", "plan.json"
# The hyperparameters that the plan sets for every run.
PLANNED = ("seed", "eval_every", "eval_steps", "eval_samples", "problem_schedule", "problem_weights", "early_stop_patience")
EVALUATIONS = 5  # the default number of evaluations per run: as in the paper, dev chooses when to stop
ROOT = Path(__file__).resolve().parents[2]


class Task(NamedTuple):
    """A run with a seed.

    Attributes:
        run, seed: the run and the seed.
        folder: the output directory.
        steps: the number of training steps over all problems of the run.
        commands: the commands, in order, that train the run and score its decoded outputs.
    """

    run: Run
    seed: int
    folder: Path
    steps: int
    commands: list[list[str]]

    @property
    def done(self) -> bool:
        """Whether the task's result has been written."""
        return (self.folder / RESULT).is_file()


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings that all runs of an output directory share.

    Attributes:
        steps: the number of training steps per problem.
        evaluations: the number of evaluations per run, each of all of dev.
        hparams: the user's changes to the hyperparameters, as --hparams takes them.
        data_dir: the folder of the records.
        output_dir: the folder of the runs and the results.
    """

    steps: int
    evaluations: int
    hparams: str
    data_dir: Path
    output_dir: Path


def tasks(
    scale: Scale, runs: Sequence[Run], seeds: int, settings: Settings, decoded: Mapping[str, Sequence[str]], shown: str = ""
) -> list[Task]:
    """Returns a task per run and seed. The first seed of every run comes first.

    Args:
        decoded: by run, the problems whose outputs the best checkpoint decodes, to be scored.
        shown: the run whose last checkpoint, of the first seed, decodes all of dev; "" for none.
    """
    made = []
    for seed in range(1, seeds + 1):
        for run in runs:
            folder, total = settings.output_dir / "runs" / f"{run.name}-seed{seed}", settings.steps * run.count
            every = max(total // settings.evaluations, 1)
            fixed = f"seed={seed},train_steps={total},eval_every={every},eval_steps=0,eval_samples=0,"
            fixed += "problem_schedule=round_robin,problem_weights="
            warmup = f"warmup_steps={min(scale.warmup_steps, total // 4)}" if scale.warmup_steps else ""
            changes = ",".join(filter(None, (warmup, settings.hparams, run.overrides, fixed)))
            trainer = [sys.executable, "-m", "t2t_multimodel.cli.trainer", f"--data_dir={settings.data_dir}"]
            if scale.usr_dir:
                trainer.append(f"--usr_dir={ROOT / scale.usr_dir}")
            chosen = [f"--problems={run.problems}", f"--hparams_set={scale.hparams_set}", f"--hparams={changes}"]
            commands = [[*trainer, *chosen, f"--output_dir={folder}"]]
            score = [*trainer, "--schedule=evaluate"]
            commands += [
                [*score, f"--problems={problem}", f"--output_dir={best_dir(folder, problem)}"]
                for problem in decoded.get(run.name, ())
            ]
            if run.name == shown and seed == 1:
                commands.append([*score, f"--output_dir={folder}"])
            made.append(Task(run, seed, folder, total, commands))
    return made


def best_dir(folder: Path, problem: str) -> Path:
    """Returns the folder in which a run keeps the checkpoint with the lowest dev loss of a problem."""
    return folder / "best" / f"{problem}-loss"


def run_command(command: Sequence[str]) -> int:
    """Runs a command of this package, installed or not, and returns its exit code."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return run_until_it_ends(command, os.environ | {"PYTHONPATH": path})


def check_plan(output_dir: Path, facts: dict[str, Any]) -> None:
    """Writes the facts that all runs of `output_dir` share; raises DataError if it holds runs with other facts."""
    path = output_dir / PLAN
    if path.is_file():
        there = {"evaluations": EVALUATIONS} | read_json(path)  # Plans may have been written without the number.
        if different := [name for name in facts if there.get(name) != facts[name]]:
            name = different[0]
            raise DataError(
                f"{output_dir} has runs of another plan ({name}: {there.get(name)}, now {facts[name]}); choose another one"
            )
        return
    write_atomically(path, (json.dumps(facts, indent=1) + "\n").encode())


def evaluated_step(folder: Path) -> int:
    """Returns the last step of a run after which all of its problems were evaluated on dev, or 0."""
    path, last = folder / "metrics.jsonl", {}
    for row in read_json_lines(path) if path.is_file() else ():
        if row["split"] == "dev" and "schedule" not in row:
            last[row["problem"]] = row["step"]
    return min(last.values(), default=0)


def read_json(path: Path) -> Any:
    """Returns the content of a JSON file of an experiment; raises DataError if it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); remove it, and the same command makes it again") from error


def carry_out(task: Task, collect: Callable[[Task], dict[str, Any]], number: int, total: int) -> None:
    """Trains a task to its end, from its newest checkpoint if there is one, and writes its result.

    Args:
        collect: returns the result of the finished task.
        number, total: the place of the task among all, for the line that announces it.

    Raises:
        DataError: mm-trainer failed, and its own line has said why; or a signal ended it before the last step.
        KeyboardInterrupt: mm-trainer was interrupted.
    """
    print_line(f"run {number} of {total}: {task.run.name}, seed {task.seed}, {task.steps:,} steps in {task.folder}")
    for command in task.commands:
        code = run_command(command)
        if code == 130:
            raise KeyboardInterrupt
        if code:
            raise DataError(
                f"the run {task.folder} failed (exit code {code}); when its cause is mended, the same command goes on from here"
            )
        if (step := evaluated_step(task.folder)) < task.steps:
            raise DataError(
                f"the run {task.folder} was stopped at step {step:,} of {task.steps:,}; the same command goes on from here"
            )
    write_atomically(task.folder / RESULT, (json.dumps({"commit": commit(), **collect(task)}, indent=1) + "\n").encode())


def ensure_data(scale: Scale, data_dir: Path, records: Sequence[str]) -> None:
    """Makes the records of a scale whose problems need no raw data.

    Args:
        records: the names of the records that must exist.

    Raises:
        DataError: records of another scale are missing; the message has the command that makes them.
    """
    if all((data_dir / f"{name}.json").is_file() for name in records):
        return
    usr_dir = f" --usr_dir={scale.usr_dir}" if scale.usr_dir else ""
    flags = [f"--problems={scale.group}", f"--hparams_set={scale.hparams_set}", f"--data_dir={data_dir}"]
    if not scale.makes_data:
        raise DataError(
            f"{data_dir} lacks records of {scale.group}; make them with: mm-datagen {' '.join(flags)}{usr_dir} --tmp_dir=RAW_DATA"
        )
    if run_command([sys.executable, "-m", "t2t_multimodel.cli.datagen", *flags]):
        raise DataError(f"the data of {scale.group} could not be made in {data_dir}")


def commit() -> str:
    """Returns the checkout's git revision; "" if there is none."""
    done = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() if not done.returncode else ""
