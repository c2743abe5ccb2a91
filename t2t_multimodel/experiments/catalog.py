"""The experiments: those of the paper's section 3, and the curve over the amount of a problem's own data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from t2t_multimodel.experiments.plan import (
    DECODED_METRICS,
    PAPER,
    Cell,
    Experiment,
    Published,
    Run,
    Scale,
    alone,
    joint,
)

FRACTIONS = (0.05, 0.1, 0.25, 1.0)  # the points of the data curve: shares of a problem's own training data
# The paper's Table 1, "State of the art", with the works it refers to.
PUBLISHED = (
    Published("image_imagenet", "accuracy_top5", 0.95, "Inception-v4, Szegedy et al. 2016, arXiv 1602.07261"),
    Published("wmt_ende_tokens_8k", "bleu", 26.0, "mixture of experts in GNMT, Shazeer et al. 2017, arXiv 1701.06538"),
    Published("wmt_enfr_tokens_8k", "bleu", 40.5, "mixture of experts in GNMT, Shazeer et al. 2017, arXiv 1701.06538"),
)
_MAIN = ("log_perplexity", "accuracy")


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
    question = "How far is the joint model from models of a single task?"
    published = PUBLISHED if scale.name == "multimodel8" else ()
    return Experiment("table1", "Table 1", question, tuple(runs), tuple(cells), published, sizes=True)


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


def data_curve(scale: Scale) -> Experiment:
    """Returns the comparison of joint and single training of speech and parsing, over the amount of their own data.

    The other six problems have all of their data.
    """
    runs, cells = [], []
    problems = (scale.speech, scale.parsing)
    for fraction in FRACTIONS:
        percent = round(100 * fraction)
        together = limited(joint(scale), problems, fraction)
        for problem in problems:
            by_itself = limited(alone(problem), (problem,), fraction)
            runs += [together, by_itself]
            cells += [
                Cell(problem, f"{percent}% {series} {metric}", run.name, problem, metric, series=series, x=percent)
                for run, series in ((together, "joint"), (by_itself, "alone"))
                for metric in _MAIN
            ]
    question = "From how little data of its own does a problem gain from joint training?"
    return Experiment("data_curve", "Data curve", question, tuple(dict.fromkeys(runs)), tuple(cells))


def limited(run: Run, problems: Sequence[str], fraction: float) -> Run:
    """Returns `run` with a fraction of the training data of `problems`; the run itself for all of it."""
    if fraction == 1:
        return run
    parts = " ".join(f"{problem}:{fraction:g}" for problem in problems)
    return dataclasses.replace(run, name=f"{run.name}-{round(100 * fraction)}percent", overrides=f"train_fractions={parts}")


_MAKE = {"table1": table1, "table2": table2, "table3": table3, "table4": table4, "figure1": figure1, "data_curve": data_curve}


def experiments(name: str, scale: Scale) -> list[Experiment]:
    """Returns the experiment of a name, or all of the paper's for "all"."""
    return [_MAKE[each](scale) for each in (PAPER if name == "all" else (name,))]


def decoded_problems(chosen: list[Experiment]) -> dict[str, tuple[str, ...]]:
    """Returns by run the problems whose outputs must be decoded for a table."""
    found: dict[str, dict[str, None]] = {}
    for cell in (cell for experiment in chosen for cell in experiment.cells if cell.metric in DECODED_METRICS):
        found.setdefault(cell.run, {})[cell.problem] = None
    return {run: tuple(names) for run, names in found.items()}


def distinct_runs(chosen: list[Experiment]) -> list[Run]:
    """Returns the runs of several experiments, each once."""
    return list({run.name: run for experiment in chosen for run in experiment.runs}.values())
