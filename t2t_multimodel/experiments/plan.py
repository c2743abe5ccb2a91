"""The plans of the experiments: scales (which data, how many steps), runs, and the cells of each table."""

from __future__ import annotations

import dataclasses
from typing import Any

EXPERIMENTS = ("table1", "table2", "table3", "table4", "figure1")
DECODED_METRICS = ("bleu",)


@dataclasses.dataclass(frozen=True)
class Scale:
    """The data on which the paper's experiments are repeated.

    Attributes:
        name: the value of --scale.
        group: the registered group of the eight problems.
        image, translation, french, speech, parsing: the problems that the tables name.
        hparams_set: the set of hyperparameters of every run.
        steps: the number of training steps per problem, unless --hparams=train_steps sets it.
        warmup_steps: the warmup_steps of every run, at most a quarter of its steps; 0 leaves them to the set.
        usr_dir: the module that registers the problems, relative to the repository's root; "" if they are built in.
        makes_data: whether mm-experiment makes the records, which need no raw data; otherwise they must exist.
    """

    name: str
    group: str
    image: str
    translation: str
    french: str
    speech: str
    parsing: str
    hparams_set: str
    steps: int
    warmup_steps: int = 0
    usr_dir: str = ""
    makes_data: bool = False


SCALES = {
    scale.name: scale
    for scale in (
        Scale(
            "mini8",
            "mini8",
            image="mini_class",
            translation="mini_ende",
            french="mini_enfr",
            speech="mini_speech",
            parsing="mini_parse",
            hparams_set="multimodel_mini",
            steps=400,
            warmup_steps=100,
            makes_data=True,
        ),
        Scale(
            "open_small",
            "open_small",
            image="grocery_class",
            translation="m30k_ende",
            french="m30k_enfr",
            speech="fsdd_digits",
            parsing="craft_parsing",
            hparams_set="multimodel_tiny",
            steps=1000,
            warmup_steps=200,
            usr_dir="examples/open_small",
        ),
        Scale(
            "open8",
            "open8",
            image="eurosat_class",
            translation="m30k_ende",
            french="m30k_enfr",
            speech="librispeech_clean",
            parsing="craft_parsing",
            hparams_set="multimodel_small",
            steps=20_000,
        ),
        Scale(
            "multimodel8",
            "multimodel8",
            image="image_imagenet",
            translation="wmt_ende_tokens_8k",
            french="wmt_enfr_tokens_8k",
            speech="audio_wsj_tokens_8k",
            parsing="wsj_parsing_tokens_8k",
            hparams_set="multimodel_paper_joint",
            steps=250_000,
        ),
    )
}


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run, before its seed is chosen.

    Attributes:
        name: the name of its folder. Experiments with the same run share it.
        problems: the value of --problems.
        count: the number of those problems; each gets the scale's steps.
        overrides: changes to the set.
    """

    name: str
    problems: str
    count: int = 1
    overrides: str = ""


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of a table: a metric of a problem in a run, on dev at the evaluation with the lowest loss.

    Attributes:
        row, column: the cell's place in the table.
        run, problem, metric: the figure that it shows.
        paper: the paper's figure; None if it has none.
    """

    row: str
    column: str
    run: str
    problem: str
    metric: str
    paper: float | None = None


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An experiment: its name, title and question, its runs, and the cells of its table."""

    name: str
    title: str
    question: str
    runs: tuple[Run, ...]
    cells: tuple[Cell, ...]


def joint(scale: Scale, **changes: Any) -> Run:
    """Returns the run of all eight problems."""
    return Run("joint8", scale.group, 8, **changes)


def alone(problem: str) -> Run:
    """Returns the run of one problem."""
    return Run(f"alone-{problem}", problem)


def table1(scale: Scale) -> Experiment:
    """Returns the comparison of the joint model with models of one task: the MultiModel and a plain Transformer."""
    rows = (
        (scale.image, "accuracy_top5", 0.86),
        (scale.translation, "bleu", 21.2),
        (scale.french, "bleu", 30.5),
    )
    runs, cells = [joint(scale)], []
    for problem, metric, paper in rows:
        transformer = Run(f"transformer-{problem}", problem, overrides="architecture=transformer")
        runs += [alone(problem), transformer]
        columns = ((joint(scale), "joint", paper), (alone(problem), "alone", None), (transformer, "Transformer alone", None))
        cells += [Cell(problem, column, run.name, problem, metric, value) for run, column, value in columns]
    return Experiment("table1", "Table 1", "How far is the joint model from models of a single task?", tuple(runs), tuple(cells))


def table2(scale: Scale) -> Experiment:
    """Returns the comparison of the joint model with each problem alone."""
    paper = {
        scale.image: (1.7, 0.66, 1.6, 0.67),
        scale.translation: (1.4, 0.72, 1.4, 0.71),
        scale.speech: (4.4, 0.41, 5.7, 0.23),
        scale.parsing: (0.15, 0.98, 0.2, 0.97),
    }
    cells = []
    for problem, figures in paper.items():
        columns = [
            (run, column, metric) for run, column in ((joint(scale), "joint"), (alone(problem), "alone")) for metric in _MAIN
        ]
        cells += [
            Cell(problem, f"{column} {metric}", run.name, problem, metric, value)
            for (run, column, metric), value in zip(columns, figures, strict=True)
        ]
    runs = (joint(scale), *map(alone, paper))
    return Experiment(
        "table2", "Table 2", "How does joint training compare to training on each problem alone?", runs, tuple(cells)
    )


def table3(scale: Scale) -> Experiment:
    """Returns the comparison of parsing alone, with image classes, and with all eight problems."""
    with_image = Run(f"{scale.parsing}-with-{scale.image}", f"{scale.parsing},{scale.image}", 2)
    columns = (
        (alone(scale.parsing), "alone", (0.20, 0.971, 0.117)),
        (with_image, "with image classes", (0.16, 0.975, 0.127)),
        (joint(scale), "with all eight", (0.15, 0.979, 0.145)),
    )
    metrics = (*_MAIN, "accuracy_per_sequence")
    cells = [
        Cell(scale.parsing, f"{column} {metric}", run.name, scale.parsing, metric, value)
        for run, column, values in columns
        for metric, value in zip(metrics, values, strict=True)
    ]
    runs = tuple(run for run, _, _ in columns)
    return Experiment(
        "table3", "Table 3", "Does parsing gain from image classes, and from all eight problems?", runs, tuple(cells)
    )


def table4(scale: Scale) -> Experiment:
    """Returns the comparison of the whole model with models without experts and without attention."""
    paper = {
        scale.image: ((1.6, 0.67), (1.6, 0.66), (1.6, 0.67)),
        scale.french: ((1.2, 0.76), (1.3, 0.74), (1.4, 0.72)),
    }
    runs, cells = [], []
    for problem, rows in paper.items():
        variants = (
            (alone(problem), "all blocks"),
            (Run(f"no-experts-{problem}", problem, overrides="num_experts=0"), "without experts"),
            (Run(f"no-attention-{problem}", problem, overrides="attention=false"), "without attention"),
        )
        for (run, column), values in zip(variants, rows, strict=True):
            runs.append(run)
            cells += [
                Cell(problem, f"{column} {metric}", run.name, problem, metric, value)
                for metric, value in zip(_MAIN, values, strict=True)
            ]
    return Experiment("table4", "Table 4", "What do the experts and the attention contribute?", tuple(runs), tuple(cells))


def figure1(scale: Scale) -> Experiment:
    """Returns the figure with inputs and outputs of one joint model."""
    return Experiment("figure1", "Figure 1", "What does one model say to examples of all eight problems?", (joint(scale),), ())


_MAIN = ("log_perplexity", "accuracy")
_MAKE = {"table1": table1, "table2": table2, "table3": table3, "table4": table4, "figure1": figure1}


def experiments(name: str, scale: Scale) -> list[Experiment]:
    """Returns the experiment of this name; all experiments for "all"."""
    return [_MAKE[each](scale) for each in (EXPERIMENTS if name == "all" else (name,))]


def decoded_problems(chosen: list[Experiment]) -> dict[str, tuple[str, ...]]:
    """Returns by run the problems whose outputs must be decoded for a table."""
    found: dict[str, dict[str, None]] = {}
    for cell in (cell for experiment in chosen for cell in experiment.cells if cell.metric in DECODED_METRICS):
        found.setdefault(cell.run, {})[cell.problem] = None
    return {run: tuple(names) for run, names in found.items()}


def distinct_runs(chosen: list[Experiment]) -> list[Run]:
    """Returns the runs of several experiments, each once."""
    return list({run.name: run for experiment in chosen for run in experiment.runs}.values())
