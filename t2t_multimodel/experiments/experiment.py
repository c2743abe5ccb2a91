"""Runs an experiment from its plan to its results: the work of mm-experiment."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from t2t_multimodel.config import get_hparams
from t2t_multimodel.experiments.catalog import decoded_problems, distinct_runs, experiments
from t2t_multimodel.experiments.plan import EXPERIMENTS, SCALES, Experiment, Scale
from t2t_multimodel.experiments.results import as_json, figures_of, result_of, write_json
from t2t_multimodel.experiments.runner import (
    EVALUATIONS,
    PLANNED,
    RESULT,
    Settings,
    Task,
    carry_out,
    check_plan,
    commit,
    ensure_data,
    read_json,
    tasks,
)
from t2t_multimodel.problem import resolve
from t2t_multimodel.registry import unknown
from t2t_multimodel.reports.page import Block, Heading, Paragraph, to_html, to_markdown
from t2t_multimodel.utils.console import print_line
from t2t_multimodel.utils.errors import UserError
from t2t_multimodel.utils.files import write_atomically
from t2t_multimodel.version import __version__

FILES = "results_files"
FIGURE_TEXT = (
    "Outputs of one joint model for examples of dev, which were chosen at random by a fixed seed, right and wrong ones alike. "
    "Outputs are decoded greedily by the last checkpoint of the first seed."
)


@dataclasses.dataclass(frozen=True)
class Request:
    """The values of mm-experiment's flags, which `mm-experiment --help` explains."""

    experiment: str
    scale: str
    seeds: int
    output_dir: Path
    data_dir: Path | None = None
    tmp_dir: Path | None = None
    hparams: str = ""
    evaluations: int = EVALUATIONS
    shards: int = 1
    shard_id: int = 0
    dry_run: bool = False


def run_experiment(request: Request) -> None:
    """Carries out the runs of an experiment that are not complete yet, and writes its results when all are.

    Raises:
        UserError: the experiment or the scale is unknown, or a hyperparameter is out of range.
        DataError: data is missing, `output_dir` has runs of another plan, or a run failed.
    """
    scale, chosen = selected(request)
    settings = settings_of(request, scale)
    shown = "joint8" if any(experiment.name == "figure1" for experiment in chosen) else ""
    everything = tasks(scale, distinct_runs(chosen), request.seeds, settings, decoded_problems(chosen), shown)
    if request.dry_run:
        print("\n".join(plan_lines(everything)))
        return
    ensure_data(scale, settings.data_dir, sorted({problem.records_name for problem in resolve(scale.group)}))
    facts = {"scale": scale.name, "steps": settings.steps, "hparams": settings.hparams, "evaluations": settings.evaluations}
    check_plan(settings.output_dir, facts)
    mine = everything[request.shard_id :: request.shards]
    for number, task in enumerate(mine, start=1):
        if not task.done:
            carry_out(task, result_of, number, len(mine))
    missing = [task for task in everything if not task.done]
    if missing:
        print_line(
            f"{len(missing)} of {len(everything)} runs are not complete; the results are written when the other shards are"
        )
        return
    write_results(request, scale, chosen, everything)


def selected(request: Request) -> tuple[Scale, list[Experiment]]:
    """Returns the scale and the experiments that a request names; raises UserError for unknown names."""
    for kind, name, known in (("experiment", request.experiment, [*EXPERIMENTS, "all"]), ("scale", request.scale, list(SCALES))):
        if name not in known:
            raise UserError(f"--{kind}: {unknown(kind, name, known)}")
    scale = SCALES[request.scale]
    return scale, experiments(request.experiment, scale)


def settings_of(request: Request, scale: Scale) -> Settings:
    """Returns the settings of all runs. train_steps among the request's hparams is the number of steps per problem."""
    changes = [change for change in request.hparams.split(",") if change]
    steps = [change.partition("=")[2] for change in changes if change.startswith("train_steps=")]
    if planned := [name for change in changes if (name := change.partition("=")[0].strip()) in PLANNED]:
        raise UserError(f"--hparams: {planned[0]} is the plan's, which treats all runs alike; leave it out")
    others = ",".join(change for change in changes if not change.startswith("train_steps="))
    try:
        get_hparams(scale.hparams_set, request.hparams)
    except ValueError as error:
        raise UserError(f"--hparams: {error}") from error
    if steps and int(steps[-1]) < 1:
        raise UserError("--hparams: train_steps is the number of steps per problem here, at least 1")
    data_dir = request.data_dir or request.output_dir / "data"
    count = int(steps[-1]) if steps else scale.steps
    return Settings(count, request.evaluations, others, data_dir, request.output_dir)


def plan_lines(everything: Sequence[Task]) -> list[str]:
    """Returns a line per run, and one on the steps that are left, with their time at the speed of the finished runs."""
    seconds = [
        (result["seconds"], result["steps"]) for task in everything if task.done and (result := read_json(task.folder / RESULT))
    ]
    pace = sum(time for time, _ in seconds) / sum(steps for _, steps in seconds) if seconds else 0.0
    lines = [
        f"{task.run.name:<34} seed {task.seed}  {task.steps:>9,} steps  "
        + ("complete" if task.done else f"about {task.steps * pace / 60:.1f} minutes" if pace else "not begun")
        for task in everything
    ]
    left = sum(task.steps for task in everything if not task.done)
    if pace:
        return [
            *lines,
            f"{left:,} steps are left: about {left * pace / 60:.0f} minutes at {1 / pace:.2f} steps per second, as measured here",
        ]
    return [*lines, f"{left:,} steps are left; their time is estimated once a run is complete"]


def write_results(request: Request, scale: Scale, chosen: Sequence[Experiment], everything: Sequence[Task]) -> None:
    """Writes results.json, and the tables, plots and examples as results.html and results.md."""
    from t2t_multimodel.experiments.tables import blocks

    output_dir, figures = request.output_dir, figures_of(everything)
    compared = list(dict.fromkeys(run.name for experiment in chosen if experiment.sizes for run in experiment.runs))
    sizes = {name: size_of(next(task.folder for task in everything if task.run.name == name)) for name in compared}
    page: list[Block] = [
        Paragraph(
            f"mm-experiment {request.experiment} at scale {scale.name}, {settings_of(request, scale).steps:,} steps per problem, "
            f"{request.evaluations} evaluations per run, t2t_multimodel {__version__} {commit()}."
        )
    ]
    for experiment in chosen:
        if experiment.cells:
            page += blocks(experiment, scale, figures, sizes)
        else:
            page += figure_blocks(experiment, everything, request.data_dir or request.output_dir / "data")
    title = f"One Model To Learn Them All: {', '.join(experiment.title for experiment in chosen)}"
    write_atomically(output_dir / "results.json", write_json(output_dir, as_json(scale, chosen, everything, sizes, commit())))
    write_atomically(output_dir / "results.html", to_html(title, page).encode())
    markdown, files = to_markdown(title, page, FILES)
    for name, content in files.items():
        write_atomically(output_dir / FILES / name, content)
    write_atomically(output_dir / "results.md", markdown.encode())
    print_line(f"{output_dir / 'results.html'}, results.md and results.json hold the results")


def size_of(folder: Path) -> dict[str, Any]:
    """Returns a run's parameters and arithmetic; see experiments.sizes."""
    from t2t_multimodel.experiments import sizes

    return sizes.size_of(folder)


def figure_blocks(experiment: Experiment, everything: Sequence[Task], data_dir: Path) -> list[Block]:
    """Returns the section with examples of every problem and the joint model's outputs."""
    from t2t_multimodel.reports.examples import example_blocks
    from t2t_multimodel.reports.scored_run import read_run

    task = next(task for task in everything if task.run == experiment.runs[0] and task.seed == 1)
    _, examples = example_blocks(read_run(task.folder), data_dir)
    return [Heading(experiment.title), Paragraph(FIGURE_TEXT), *examples]
