"""The page of an experiment's results: tables, a plot, and a verdict per claim."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

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


def blocks(experiment: Experiment, scale: Scale, figures: Figures, sizes: Mapping[str, Any]) -> list[Block]:
    """Returns the section of an experiment: the question, its tables, a plot, and a verdict per claim.

    Args:
        sizes: by run, see experiments.sizes.size_of.
    """
    seeds = min(len(rows) for rows in figures.values())
    made: list[Block] = [
        Heading(experiment.title),
        Paragraph(f"{experiment.question} Data: {scale.group}; seeds per run: {seeds}."),
        Paragraph(TABLE_TEXT),
        results_table(experiment, figures),
        Picture(f"{experiment.name}", plot(experiment, figures), f"{experiment.title}: means over seeds with 95% intervals"),
        steps_table(experiment, figures),
    ]
    if experiment.sizes:
        made.append(sizes_table(experiment, sizes))
    if experiment.published:
        made += [Heading("Published figures on these data", level=3), published_table(experiment)]
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
        keys = ("problem_steps", "problem_examples", "step")
        by_seed = (", ".join(f"{row[key]:,.0f}" if key in row else "not counted" for row in found) for key in keys)
        rows.append((run, problem, *by_seed, f"{found[0]['examples']:,.0f}"))
    header = ("steps of the problem", "training examples seen", "step of the best evaluation", "dev examples")
    return Table(("run", "problem", *header), rows)


def sizes_table(experiment: Experiment, sizes: Mapping[str, Any]) -> Table:
    """Returns a row per run: all parameters, those of the experts, and the arithmetic of each part."""
    rows = []
    for run in experiment.runs:
        parameters, flops = sizes[run.name]["parameters"], sizes[run.name]["flops"]
        arithmetic = "; ".join(f"{part} {number / 1e6:.3g} per {of}" for part, (number, of) in flops.items())
        counts = (sum(parameters.values()), parameters.get("experts", 0))
        rows.append((run.name, *(f"{count / 1e6:.3f} M" for count in counts), arithmetic))
    return Table(("run", "parameters", "of them experts", "MFLOP forward, by part"), rows)


def published_table(experiment: Experiment) -> Table:
    """Returns a row per published figure, with its source."""
    rows = [(each.problem, f"{each.value:g}", UNITS[each.metric], each.source) for each in experiment.published]
    return Table(("problem", "published", "unit", "source"), rows)


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
    """Returns a PNG: curves where cells have a place on the horizontal axis, else bars."""
    drawn = curves(experiment, figures) if any(cell.x is not None for cell in experiment.cells) else bars(experiment, figures)
    with io.BytesIO() as file:
        drawn.savefig(file, format="png", dpi=110)
        return file.getvalue()


def bars(experiment: Experiment, figures: Figures) -> Figure:
    """Returns a panel per metric with a bar per cell, its interval, and a mark for the paper's figure."""
    metrics = list(dict.fromkeys(cell.metric for cell in experiment.cells))
    figure = Figure(
        (6 * len(metrics), 1.2 + 0.35 * max(_count(experiment.cells, metric) for metric in metrics)), layout="constrained"
    )
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False).flat, metrics, strict=True):
        cells = [cell for cell in experiment.cells if cell.metric == metric]
        means, errors = _means(cells, figures)
        places = range(len(cells))
        axes.barh(places, means, xerr=errors, color="#9cc4e4", ecolor="#1c2430")
        papers = [(place, cell.paper) for place, cell in zip(places, cells, strict=True) if cell.paper is not None]
        axes.plot(
            [value for _, value in papers], [place for place, _ in papers], "d", color="#a3320b", label="paper (other data)"
        )
        axes.set_yticks(places, [f"{cell.row}: {cell.column.removesuffix(metric).strip()}" for cell in cells])
        axes.invert_yaxis()
        axes.set_xlabel(f"{metric} ({UNITS[metric]})")
    if papers:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower right")
    return figure


def curves(experiment: Experiment, figures: Figures) -> Figure:
    """Returns a panel per problem and metric, a line per series with intervals over the share of the problem's own data."""
    panels: dict[tuple[str, str], dict[str, list[Cell]]] = {}
    for cell in experiment.cells:
        panels.setdefault((cell.row, cell.metric), {}).setdefault(cell.series, []).append(cell)
    figure = Figure((4.5 * len(panels), 3.5), layout="constrained")
    for axes, ((row, metric), lines) in zip(figure.subplots(1, len(panels), squeeze=False).flat, panels.items(), strict=True):
        for series, cells in lines.items():
            means, errors = _means(cells, figures)
            axes.errorbar([cell.x for cell in cells], means, yerr=errors, marker="o", capsize=3, label=series)
        axes.set_xscale("log")
        ticks = sorted({cell.x for cells in lines.values() for cell in cells if cell.x is not None})
        axes.set_xticks(ticks, [f"{x:g}%" for x in ticks])
        axes.minorticks_off()
        axes.set(title=row, xlabel="share of its own training data", ylabel=f"{metric} ({UNITS[metric]})")
        axes.legend()
    return figure


def _means(cells: Sequence[Cell], figures: Figures) -> tuple[list[float], list[float]]:
    """Returns the cells' means and half the widths of their intervals, 0 where there is none."""
    means = [cell_mean(cell, figures) for cell in cells]
    return [mean.value for mean in means], [0.0 if math.isnan(mean.half_width) else mean.half_width for mean in means]


def _count(cells: Sequence[Cell], metric: str) -> int:
    return sum(cell.metric == metric for cell in cells)
