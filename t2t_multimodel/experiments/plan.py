"""The plans of the experiments: scales (which data, how many steps), runs, and the cells of each table."""

from __future__ import annotations

import dataclasses
from typing import Any

PAPER = ("table1", "table2", "table3", "table4", "figure1")
EXPERIMENTS = (*PAPER, "data_curve")
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
        series, x: in a plot of curves, the name of the line and the position on the horizontal axis.
    """

    row: str
    column: str
    run: str
    problem: str
    metric: str
    paper: float | None = None
    series: str = ""
    x: float | None = None


@dataclasses.dataclass(frozen=True)
class Published:
    """A problem's best published figure, as the paper quotes it, and its source."""

    problem: str
    metric: str
    value: float
    source: str


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An experiment: a name, a title, and what makes its table.

    Attributes:
        question: the question that it answers, as a sentence.
        runs, cells: the runs, and the cells of the table.
        published: figures of other systems on the same data.
        sizes: whether parameters and arithmetic of the runs are shown.
    """

    name: str
    title: str
    question: str
    runs: tuple[Run, ...]
    cells: tuple[Cell, ...]
    published: tuple[Published, ...] = ()
    sizes: bool = False


def joint(scale: Scale, **changes: Any) -> Run:
    """Returns the run of all eight problems."""
    return Run("joint8", scale.group, 8, **changes)


def alone(problem: str) -> Run:
    """Returns the run of one problem."""
    return Run(f"alone-{problem}", problem)
