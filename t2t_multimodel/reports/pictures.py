"""The pictures and sounds of a report, as the bytes of PNG and WAV files."""

from __future__ import annotations

import io
import logging
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from t2t_multimodel.data.readers.pictures.read import as_seen
from t2t_multimodel.reports.scored_run import Row, Run

# Without this, matplotlib logs that it builds its font cache on first use.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)

LOSS, ACCURACY, BAR = "#8a93a3", "#0b6fb8", "#9cc4e4"
MIXTURES = ("encoder", "decoder")
RECENT_ROWS = 5
_COLUMNS = 4
_FRAME, _HOP = 200, 40


def curves(run: Run) -> bytes:
    """Plots training loss and dev accuracy against steps, one panel per problem."""
    height = -(-len(run.problems) // _COLUMNS)
    figure = Figure((12, 2.6 * height), layout="constrained")
    for axes, problem in zip(figure.subplots(height, _COLUMNS, squeeze=False).flat, run.problems, strict=False):
        train, dev = run.train[problem.name], run.dev[problem.name]
        axes.plot(*_series(train, "loss"), color=LOSS, lw=1.2)
        axes.set(title=problem.name, ylim=(0, None))
        axes.tick_params(axis="y", labelcolor=LOSS)
        right = axes.twinx()
        right.plot(*_series(dev, "accuracy"), color=ACCURACY, lw=1.8, marker="o", ms=3)
        right.set_ylim(0, 1.03)
        right.tick_params(axis="y", labelcolor=ACCURACY)
    for axes in figure.axes:
        axes.spines[["top"]].set_visible(False)
        axes.tick_params(labelsize=8)
    for axes in figure.axes[len(run.problems) : height * _COLUMNS]:
        axes.set_visible(False)
    figure.supxlabel("steps (over all problems)", fontsize=10)
    return _png(figure)


def expert_load(run: Run) -> bytes:
    """Plots the share of tokens per expert in the last training rows: bars are means over problems, points are problems."""
    loads = {name: load for name in run.train if (load := recent_load(run, name)) is not None}
    colours = {name: f"C{i}" for i, name in enumerate(loads)}
    count = max(map(len, loads.values()), default=0)
    figure = Figure((12, 3.4), layout="constrained")
    for number, axes in enumerate(np.atleast_1d(figure.subplots(1, max(count, 1), sharey=True))):
        rows = {name: load[number] for name, load in loads.items() if number < len(load)}
        for name, row in rows.items():
            axes.plot(np.arange(len(row)), row, "o", ms=5, zorder=3, color=colours[name])
        if rows:
            mean = np.mean(list(rows.values()), axis=0)
            axes.bar(np.arange(len(mean)), mean, color=BAR, width=0.7)
            axes.axhline(1 / len(mean), color="black", lw=0.8, ls="--")
            axes.set_xticks(np.arange(len(mean)))
        title = MIXTURES[number] if number < len(MIXTURES) else f"mixture {number}"
        axes.set(title=f"{title}'s mixture", xlabel="expert", ylabel="share of tokens" if not number else "")
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        [Line2D([], [], ls="", marker="o", color=c) for c in colours.values()],
        list(colours),
        loc="outside right upper",
        fontsize=8,
        frameon=False,
    )
    return _png(figure)


def expert_balance(run: Run) -> bytes:
    """Plots the coefficient of variation of the experts' load against steps, one line per problem."""
    figure = Figure((12, 2.8), layout="constrained")
    axes = figure.subplots()
    for name, rows in run.train.items():
        axes.plot(*_series(rows, "expert_load_cv"), lw=1.2, label=name)
    axes.set(xlabel="steps (over all problems)", ylabel="expert_load_cv", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return _png(figure)


def recent_load(run: Run, problem: str) -> np.ndarray | None:
    """Returns the mean share of tokens per expert in the problem's last training rows, [mixtures, experts]; None if unknown."""
    experts = run.config.hparams.model.num_experts
    rows = [_loads(row) for row in run.train[problem][-RECENT_ROWS:]]
    return np.mean(rows, axis=0).reshape(-1, experts) if rows and rows[0] and experts else None


def enlarged(content: bytes, height: int = 144) -> bytes:
    """Returns a picture's file as PNG, turned upright, and enlarged by a whole factor to about `height` pixels."""
    with Image.open(io.BytesIO(content)) as image:
        seen, _ = as_seen(image, "the picture")
        factor = max(1, round(height / seen.height))
        large = seen.convert("RGB").resize((seen.width * factor, seen.height * factor), Image.Resampling.NEAREST)
    with io.BytesIO() as file:
        large.save(file, "PNG")
        return file.getvalue()


def spectrogram(samples: np.ndarray, rate: int) -> bytes:
    """Plots the spectrogram of int16 `samples` [samples] at `rate` per second."""
    padded = np.pad(samples / 32768, (0, max(0, _FRAME - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP] * np.hanning(_FRAME)
    decibels = 20 * np.log10(np.abs(np.fft.rfft(frames)) + 1e-4)
    figure = Figure((4.6, 2.0), layout="constrained")
    axes = figure.subplots()
    extent = (0.0, len(padded) / rate, 0.0, rate / 2000)
    axes.imshow(decibels.T, origin="lower", aspect="auto", cmap="magma", extent=extent)
    axes.set_xlabel("seconds", fontsize=8)
    axes.set_ylabel("kHz", fontsize=8)
    axes.tick_params(labelsize=8)
    return _png(figure)


def _series(rows: list[Row], metric: str) -> tuple[list[int], list[Any]]:
    found = [row for row in rows if metric in row]
    return [row["step"] for row in found], [row[metric] for row in found]


def _loads(row: Row) -> list[float]:
    loads = {int(name.partition("/")[2]): value for name, value in row.items() if name.startswith("expert_load/")}
    return [loads[i] for i in sorted(loads)]


def _png(figure: Figure) -> bytes:
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=110)
        return file.getvalue()
