"""The page of an experiment's results: tables, a plot, and a verdict per claim."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from t2t_multimodel.experiments.claims import claims
from t2t_multimodel.experiments.plan import Cell, Experiment, Scale
from t2t_multimodel.experiments.results import Figures, cell_mean
from t2t_multimodel.experiments.statistics import Mean
from t2t_multimodel.reports.page import Block, Heading, Paragraph, Picture, Table

UNITS = {
    "log_perplexity": "nats per token",
    "accuracy": "of tokens, or of examples for classes",
    "accuracy_per_sequence": "of whole trees",
    "accuracy_top5": "among the first five",
    "bleu": "0 to 100",
}
TABLE_TEXT = (
    "Each figure is of dev, at the evaluation where the problem's dev loss was lowest; every run is treated alike. Beside it "
    "stand half the width of the 95% interval of the mean over seeds (Student's t) and the paper's own figure, of other data."
)


def blocks(experiment: Experiment, scale: Scale, figures: Figures) -> list[Block]:
    """Returns the section of an experiment: the question, its table, a plot, and a verdict per claim."""
    seeds = min(len(rows) for rows in figures.values())
    made: list[Block] = [
        Heading(experiment.title),
        Paragraph(f"{experiment.question} Data: {scale.group}; seeds per run: {seeds}."),
        Paragraph(TABLE_TEXT),
        results_table(experiment, figures),
        Picture(f"{experiment.name}", plot(experiment, figures), f"{experiment.title}: means over seeds with 95% intervals"),
        steps_table(experiment, figures),
    ]
    verdicts = claims_table(experiment, scale, figures)
    return [*made, Heading("Claims", level=3), verdicts] if verdicts.rows else made


def results_table(experiment: Experiment, figures: Figures) -> Table:
    """Returns a table with a row per cell: its mean over seeds and the paper's figure."""
    rows = []
    for cell in experiment.cells:
        paper = "-" if cell.paper is None else f"{cell.paper:g}"
        rows.append((cell.row, cell.column, shown(cell_mean(cell, figures)), paper, UNITS[cell.metric]))
    return Table(("problem", "run and figure", "here", "paper", "unit"), rows)


def steps_table(experiment: Experiment, figures: Figures) -> Table:
    """Returns a table of the steps that each run took per problem, and of the best evaluation's step per seed."""
    pairs = dict.fromkeys((cell.run, cell.problem) for cell in experiment.cells)
    rows = []
    for run, problem in pairs:
        found = figures[run, problem]
        spent, best = (", ".join(f"{row[key]:,.0f}" for row in found) for key in ("problem_steps", "step"))
        rows.append((run, problem, spent, best, f"{found[0]['examples']:,.0f}"))
    return Table(("run", "problem", "steps of the problem", "step of the best evaluation", "dev examples"), rows)


def claims_table(experiment: Experiment, scale: Scale, figures: Figures) -> Table:
    """Returns a table of the paper's claims that the experiment tests, each with its verdict."""
    rows = []
    for claim in claims(scale):
        if claim.experiment == experiment.name:
            found = claim.test(figures)
            rows.append((claim.text, found.verdict, "-" if math.isnan(found.p) else f"{found.p:.3g}", found.test))
    return Table(("claim", "verdict", "p", "test"), rows)


def shown(mean: Mean) -> str:
    """Returns a mean as text, "0.712 ± 0.013"; without an interval for a single seed."""
    return f"{mean.value:.4g}" + ("" if math.isnan(mean.half_width) else f" ± {mean.half_width:.2g}")


def plot(experiment: Experiment, figures: Figures) -> bytes:
    """Returns a PNG with a panel per metric and a bar per cell, with its interval and a mark for the paper's figure."""
    metrics = list(dict.fromkeys(cell.metric for cell in experiment.cells))
    figure = Figure(
        (6 * len(metrics), 1.2 + 0.35 * max(_count(experiment.cells, metric) for metric in metrics)), layout="constrained"
    )
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False).flat, metrics, strict=True):
        cells = [cell for cell in experiment.cells if cell.metric == metric]
        means = [cell_mean(cell, figures) for cell in cells]
        errors = [0.0 if math.isnan(mean.half_width) else mean.half_width for mean in means]
        places = range(len(cells))
        axes.barh(places, [mean.value for mean in means], xerr=errors, color="#9cc4e4", ecolor="#1c2430")
        papers = [(place, cell.paper) for place, cell in zip(places, cells, strict=True) if cell.paper is not None]
        axes.plot(
            [value for _, value in papers], [place for place, _ in papers], "d", color="#a3320b", label="paper (other data)"
        )
        axes.set_yticks(places, [f"{cell.row}: {cell.column.removesuffix(metric).strip()}" for cell in cells])
        axes.invert_yaxis()
        axes.set_xlabel(f"{metric} ({UNITS[metric]})")
        if papers:
            axes.legend()
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=110)
        return file.getvalue()


def _count(cells: Sequence[Cell], metric: str) -> int:
    return sum(cell.metric == metric for cell in cells)
